"""Processes that end with their parent, however it ends.

``python -m harness.parent PID COMMAND ...`` becomes the command, and ends with process PID.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Let the kernel end this process when its parent ends, also in the middle of a slice."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def ending_with_this(command: Sequence[str]) -> list[str]:
    """Return a command whose process ends when this one does.

    A new process asks the kernel for that and becomes the command. To ask between fork and exec
    would take a copy of this process, which threads can leave hanging and a large one has no
    memory for.

    Args:
        command: A program, by its path, and its arguments.
    """
    return [sys.executable, "-m", __name__, str(os.getpid()), *command]


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
