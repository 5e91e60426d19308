"""The log of a worker process: what LIBERO, its renderer and Python print there."""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def worker_log(folder: Path, number: int) -> Path:
    """Return the path of a worker's log in a run folder."""
    return folder / "logs" / f"worker-{number}.log"


class _PatientFile(io.FileIO):
    """A file; what the disk does not take is lost without complaint."""

    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


def redirect_output(path: Path) -> None:
    """Send all output of this process, that of C libraries included, to a file.

    A full disk or a folder that cannot be written costs the log, not the process: no episode may
    break because a library had something to say.

    Args:
        path: The log; output is appended.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        handle = os.open(os.devnull, os.O_WRONLY)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            _PatientFile(number, "wb", closefd=False),
            encoding="utf-8",
            errors="replace",
            write_through=True,
        )
        for number in (1, 2)
    )
