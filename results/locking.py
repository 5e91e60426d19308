"""One writer for each folder of work: a lock that ends with its process, however that ends."""

import contextlib
import fcntl
import os
import socket
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tasks.errors import ResultsError

LOCK_FILE = ".lock"
"""The usual name of the lock in a folder of work."""

_PATIENCE_S = 1.0

_held: "weakref.WeakSet[BinaryIO]" = weakref.WeakSet()


class WriterLock:
    """Keeps other processes from writing a folder until it is released.

    The operating system drops the lock when its process ends. Processes that this one forks do not
    hold it: one that outlives its parent keeps nobody waiting.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        _held.add(file)

    @classmethod
    def take(cls, path: Path, folder: Path | None = None) -> Self:
        """Take the lock of a folder.

        Args:
            path: The file to lock; made if it is missing, left there afterwards.
            folder: What is written, for the message; the folder of the lock by default.

        Raises:
            ResultsError: Another process holds it.
            OSError: The file cannot be written.
        """
        file = path.open("a+b")
        try:
            if not _locked(file):
                file.seek(0)
                holder = file.read().decode(errors="replace").strip() or "another process"
                raise ResultsError(
                    f"'{folder or path.parent}' is being written by {holder}: wait for it, end "
                    "it, or give another --out."
                )
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            file.flush()
        except BaseException:
            file.close()
            raise
        return cls(file)

    def release(self) -> None:
        """Let others write; releasing twice is harmless."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


@contextlib.contextmanager
def sole_writer(folder: Path, work: Path | None = None) -> Iterator[None]:
    """Keep other processes from writing a folder while the block runs.

    Args:
        folder: The folder; made if it is missing, removed at the end if nothing is in it. Where
            the block raises before it has made anything, the folder stays as it was.
        work: What is written, for the message; the folder by default.

    Raises:
        ResultsError: Another process is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCK_FILE
    before = {path.name for path in folder.iterdir()}
    with WriterLock.take(lock, work):
        try:
            yield
        except BaseException:
            if {path.name for path in folder.iterdir()} - before == {lock.name}:
                lock.unlink()
            raise
        finally:
            if {path.name for path in folder.iterdir()} <= {lock.name}:
                lock.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _locked(file: BinaryIO) -> bool:
    """Lock a file; a second is given to what a killed process was just about to start."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PATIENCE_S / 10)
        else:
            return True


def _forget_in_child() -> None:
    for file in list(_held):
        file.close()  # the parent's lock stays: only its last descriptor drops it


os.register_at_fork(after_in_child=_forget_in_child)
