"""Worker processes: starting them, hearing from them, replacing and ending them."""

import contextlib
import multiprocessing
import os
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self

from harness.messages import Stop
from harness.processes import environment, worker_variables
from harness.worker import WorkerSetup, work

_GRACE_S = 10.0
_LOG_TAIL = 400


class Worker:
    """One worker process, as its parent sees it.

    Attributes:
        number: Never used twice in an evaluation.
        ready: Whether it has reported for work.
    """

    def __init__(self, number: int, process: BaseProcess, connection: Connection) -> None:
        self.number = number
        self.process = process
        self.connection = connection
        self.ready = False

    def send(self, message: object) -> None:
        """Tell the worker something; if it has died, ``WorkerPool.hear`` will say so."""
        with contextlib.suppress(OSError):
            self.connection.send(message)

    def obituary(self) -> str:
        """Say how the process ended."""
        self.process.join(_GRACE_S)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"The worker process was killed by signal {-code}"
        return f"The worker process ended with exit code {code}"


class WorkerPool:
    """A fixed number of worker processes. Use it in a ``with`` block; they end with it.

    Args:
        count: How many.
        setup: What they work with.
    """

    def __init__(self, count: int, setup: WorkerSetup) -> None:
        self._setup = setup
        self._count = count
        self._context = multiprocessing.get_context("spawn")
        self._next = 0
        self.workers: dict[int, Worker] = {}

    def __enter__(self) -> Self:
        try:
            for _ in range(self._count):
                self.start()
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

    def start(self) -> Worker:
        """Start one more worker."""
        number, self._next = self._next, self._next + 1
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=work,
            args=(theirs, self._setup, number, os.getpid()),
            name=f"libero-bench worker {number}",
            daemon=True,
        )
        with environment(worker_variables(self._count)):
            process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        worker = self.workers[number] = Worker(number, process, ours)
        return worker

    def hear(self, timeout: float | None = None) -> Iterator[tuple[Worker, Any]]:
        """Wait until workers say something; None instead of a message means one has died.

        Args:
            timeout: Seconds to wait at most; 0 only looks.
        """
        by_connection = {worker.connection: worker for worker in self.workers.values()}
        for connection in wait(list(by_connection), timeout):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                message = None
            yield worker, message

    def bury(self, worker: Worker) -> str:
        """Remove a worker that died.

        Returns:
            How it ended, with the end of its log where it left one.
        """
        reason = worker.obituary()
        worker.connection.close()
        del self.workers[worker.number]
        return reason

    def log_tail(self, worker: Worker) -> str:
        """Return the last words of a worker, on one line."""
        path = self._setup.folder / "logs" / f"worker-{worker.number}.log"
        if not path.is_file():
            return ""
        return " ".join(path.read_text(errors="replace").split())[-_LOG_TAIL:]

    def _end(self, *, kill: bool) -> None:
        workers = list(self.workers.values())
        for worker in workers:
            if kill:
                worker.process.kill()
            else:
                worker.send(Stop())
        deadline = time.monotonic() + _GRACE_S
        for worker in workers:
            worker.process.join(max(deadline - time.monotonic(), 0.1))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join(_GRACE_S)
            worker.connection.close()
        self.workers.clear()
