"""Worker processes, as their parent sees them: start, receive, replace, end."""

import contextlib
import multiprocessing
import os
import re
import socket
import struct
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from harness.evaluation.messages import EpisodeDone, EpisodeFailed, RunEpisode, Stop
from harness.evaluation.worker import DUMP_SIGNAL, WorkerSetup, run_worker, worker_log
from harness.processes import EndsWithBlock, worker_variables
from policies.interface import PlanRequest
from tasks.native_libraries import environment_variables

_GRACE_S = 10.0
_DUMP_S = 0.3
_LOG_TAIL = 400
_FRAME = re.compile(r'File "([^"]+)", line (\d+) in (\S+)')


class Worker:
    """One worker process, as its parent sees it.

    Attributes:
        number: Never used twice in an evaluation.
        placed: True: a process needs no room but that of this machine.
        ready: Whether it has reported for work.
        busy: Whether it has an episode.
        start_tries: How many may fail to start before any has.
    """

    placed = True
    start_tries = 1

    def __init__(self, number: int, process: BaseProcess, connection: Connection) -> None:
        self.number = number
        self.process = process
        self.connection = connection
        self.ready = self.busy = False

    @property
    def idle(self) -> bool:
        """Whether it waits for what to do next."""
        return self.ready and not self.busy and self.process.is_alive()

    def send(self, message: object) -> None:
        """Send a message; if the worker has died, ``receive`` will show it."""
        self.busy = self.busy or isinstance(message, RunEpisode)
        with contextlib.suppress(OSError):
            self.connection.send(message)

    def receive(self) -> object:
        """Return the next message; None if the process is gone or stopped in the middle of one."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            return None
        if isinstance(message, EpisodeDone | EpisodeFailed):
            self.busy = False
        return message

    def exit_reason(self) -> str:
        """Return how the process ended; one that is still there is killed."""
        self.process.join(_GRACE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(_GRACE_S)
            return "The worker process stopped in the middle of a message and was killed"
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"The worker process was killed by signal {-code}"
        return f"The worker process ended with exit code {code}"


class WorkerPool(EndsWithBlock):
    """A fixed number of worker processes. Use it in a ``with`` block; they end with it.

    Args:
        count: How many.
        setup: What they work with.
        receive_timeout_s: Seconds that a message, once begun, may take to arrive.
    """

    def __init__(self, count: int, setup: WorkerSetup, *, receive_timeout_s: float) -> None:
        self._setup = setup
        self._count = count
        self._receive_timeout_s = receive_timeout_s
        self._context = multiprocessing.get_context("spawn")
        self._next = 0
        self.workers: dict[int, Worker] = {}

    def _open(self) -> None:
        for _ in range(self._count):
            self.start()

    def take_over(self, count: int, setup: WorkerSetup, *, receive_timeout_s: float) -> None:
        """Go on with another run: idle workers stay, others end, and new ones start for them.

        Args:
            count: How many workers the run has.
            setup: What they work with.
            receive_timeout_s: Seconds that a message, once begun, may take to arrive.
        """
        if (count > 1) != (self._count > 1):  # a single worker renders with more threads
            staying = []
        else:
            staying = [worker for worker in self.workers.values() if worker.idle][:count]
        for worker in [each for each in self.workers.values() if each not in staying]:
            worker.process.kill()
            self.reap(worker)
        self._count, self._setup, self._receive_timeout_s = count, setup, receive_timeout_s
        for worker in staying:
            worker.ready = False  # until it has what the run needs
            limit_reading(worker.connection, receive_timeout_s)
            worker.send(setup)
        while len(self.workers) < count:
            self.start()

    def start(self) -> Worker:
        """Start one more worker."""
        number, self._next = self._next, self._next + 1
        ours, theirs = self._context.Pipe()
        limit_reading(ours, self._receive_timeout_s)
        process = self._context.Process(
            target=run_worker,
            args=(theirs, self._setup, number, os.getpid()),
            name=f"libero-bench worker {number}",
            daemon=True,
        )
        with environment_variables(worker_variables(self._count)):
            process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        worker = self.workers[number] = Worker(number, process, ours)
        return worker

    def readable(self, timeout: float) -> list[Worker]:
        """Wait for workers whose message has arrived, or whose process is gone.

        Args:
            timeout: Seconds to wait at most; 0 only looks.
        """
        by_connection = {worker.connection: worker for worker in self.workers.values()}
        return [by_connection[c] for c in wait(list(by_connection), timeout)]  # type: ignore[index]

    def receive(self, worker: Worker) -> object:
        """Return the next message of a worker; None if its process is gone."""
        return worker.receive()

    def send(self, worker: Worker, message: object) -> None:
        """Send a message to a worker; if it has died, ``receive`` will show it."""
        worker.send(message)

    def reap(self, worker: Worker) -> str:
        """Remove a worker whose process is gone; return how it ended."""
        reason = worker.exit_reason()
        worker.connection.close()
        del self.workers[worker.number]
        return reason

    def kill_hung(self, worker: Worker) -> str:
        """Remove a worker that hangs.

        Returns:
            Where it hung, such as ``in execute (simulator.py, line 12)``; empty if it cannot say.
        """
        log = worker_log(self._setup.folder, worker.number)
        size = log.stat().st_size if log.is_file() else 0
        if worker.ready and worker.process.pid is not None:
            with contextlib.suppress(OSError):
                os.kill(worker.process.pid, DUMP_SIGNAL)
                time.sleep(_DUMP_S)
        worker.process.kill()
        self.reap(worker)
        return innermost_frame(log, size)

    def time_batch(self, requests: Sequence[PlanRequest]) -> float:
        """Raise an error: there are no replicas."""
        raise TypeError("a pool without replicas does not plan")

    def description(self) -> str:
        """Return nothing: all of it is on this machine."""
        return ""

    def log(self, worker: Worker) -> str:
        """Return the path of a worker's log."""
        return str(worker_log(self._setup.folder, worker.number))

    def log_tail(self, worker: Worker) -> str:
        """Return the last words of a worker, on one line."""
        path = worker_log(self._setup.folder, worker.number)
        if not path.is_file():
            return ""
        return " ".join(path.read_text(encoding="utf-8", errors="replace").split())[-_LOG_TAIL:]

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


def limit_reading(connection: Connection, seconds: float) -> None:
    """Let reading fail where a message does not go on, as of a process stopped while it sends."""
    whole = int(seconds)
    limit = struct.pack("@ll", whole, int((seconds - whole) * 1e6))
    with socket.socket(fileno=os.dup(connection.fileno())) as pipe:
        pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)


def innermost_frame(log: Path, offset: int) -> str:
    """Read the first line of a stack that ``faulthandler`` wrote behind an offset of a log."""
    with contextlib.suppress(OSError):
        match = _FRAME.search(log.read_bytes()[offset:].decode(errors="replace"))
        if match:
            return f"in {match[3]} ({Path(match[1]).name}, line {match[2]})"
    return ""
