"""Worker processes: what they inherit, and that they end with their parent."""

import contextlib
import functools
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self

from harness.parent import end_with
from tasks.errors import SimulatorError
from tasks.native_libraries import (
    KERNELS,
    KERNELS_VARIABLE,
    REPRODUCIBLE,
    environment_variables,
)
from tasks.rendering import check_rendering


def worker_variables(count: int) -> dict[str, str]:
    """Return the environment variables of worker processes; the user's own take precedence.

    One thread each, as parallelism is over episodes. The BLAS kernels are fixed so that results do
    not depend on the processor.

    Args:
        count: Number of workers.
    """
    variables = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
    }
    if REPRODUCIBLE:
        variables[KERNELS_VARIABLE] = KERNELS
    if count > 1:
        variables["LP_NUM_THREADS"] = "1"  # Mesa's software renderer
    return {name: os.environ.get(name, value) for name, value in variables.items()}


class EndsWithBlock:
    """Something whose processes start with a ``with`` block and end with it."""

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._end(kill=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(kill=kind is not None)

    def _open(self) -> None:
        """Start the processes."""
        raise NotImplementedError

    def _end(self, *, kill: bool) -> None:
        """End them: at once, or what they are at first."""
        raise NotImplementedError


def require_rendering() -> None:
    """Make sure, before workers are started, that they can render.

    Raises:
        PrerequisiteError: They cannot.
    """
    _require_rendering(tuple(sorted(os.environ.items())))


@functools.cache
def _require_rendering(environment: tuple[tuple[str, str], ...]) -> None:
    """Render an image, once under the same environment: that takes seconds."""
    check_rendering()


class WorkerDiedError(SimulatorError):
    """A worker process ended before its work did."""


@contextlib.contextmanager
def worker_pool(count: int) -> Iterator[ProcessPoolExecutor]:
    """Start worker processes; they are gone when the block is left, whatever they were doing.

    Args:
        count: Number of workers.

    Raises:
        WorkerDiedError: A worker died.
    """
    context = multiprocessing.get_context("spawn")
    with (
        environment_variables(worker_variables(count)),
        ProcessPoolExecutor(
            count, mp_context=context, initializer=_become_worker, initargs=(os.getpid(),)
        ) as pool,
    ):
        try:
            yield pool
        except BrokenProcessPool as error:
            raise WorkerDiedError(
                "A worker process died, perhaps for lack of memory (each needs about 1.5 GB). "
                "Finished work is kept. Fix: run it again, with fewer --workers."
            ) from error
        finally:
            workers = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.kill()  # work that is no longer wanted may take half a minute
            for worker in workers:
                worker.join(5)


def _become_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    end_with(parent)
