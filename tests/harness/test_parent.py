"""Commands that end with the process that started them."""

import contextlib
import os
import subprocess
import sys
import time

import pytest

from harness.parent import ending_with_this
from tests.harness.conftest import ROOT

STARTER = """
import os, signal, subprocess, sys
from harness.parent import ending_with_this
child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
process = subprocess.Popen(ending_with_this([sys.executable, "-c", child]), stdout=subprocess.PIPE)
print(process.stdout.readline().decode(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def is_there(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_the_command_is_what_was_asked_for() -> None:
    child = "import os, sys; print(os.getpid(), sys.argv[1:]); sys.exit(7)"
    command = ending_with_this([sys.executable, "-c", child, "a b", "--x", ""])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    said, _ = process.communicate(timeout=60)
    assert said == f"{process.pid} ['a b', '--x', '']\n"
    assert process.returncode == 7


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends it in the middle of its work")
def test_a_killed_parent_takes_it_along() -> None:
    started = subprocess.run(
        [sys.executable, "-c", STARTER], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert started.returncode == -9, started.stderr
    pid, deadline = int(started.stdout), time.monotonic() + 20
    while is_there(pid):
        assert time.monotonic() < deadline, f"{pid} is still there"
        time.sleep(0.05)


def test_another_parent_is_noticed() -> None:
    command = ending_with_this([sys.executable, "-c", "print('ran')"])
    command[3] = "1"  # the starter has gone, and its child has another parent
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (1, "")
