"""Checks in a worker process, which has what evaluations' workers have."""

from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.findings import Check, attempt_here
from harness.processes import worker_pool
from tasks.findings import Finding


class Worker:
    """Does the checks that simulate in one process, in a new one after that has died."""

    def __init__(self) -> None:
        self._life = ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._life.close()

    def attempt(self, check: Check, folder: Path) -> Finding:
        """Do a check of ``CHECKS``; the end of the worker is its finding, too."""
        if not check.simulates:
            return attempt_here(check, folder)
        if self._pool is None:
            self._pool = self._life.enter_context(worker_pool(1))
        try:
            return self._pool.submit(_attempt, check.name, folder).result()
        except BrokenProcessPool:
            self._life.close()
            self._pool = None
            return Finding(
                status="failed",
                detail="the worker process died, perhaps for lack of memory or in OpenGL",
                fix="see the lines on rendering and memory, and the kernel's log (dmesg)",
            )


def _attempt(name: str, folder: Path) -> Finding:
    from harness.doctor.checklist import CHECKS  # which imports what is checked

    return attempt_here(next(check for check in CHECKS if check.name == name), folder)
