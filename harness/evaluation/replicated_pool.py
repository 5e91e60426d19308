"""Worker processes whose plans come from replicas of the policy."""

import contextlib
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import wait

from harness.evaluation.messages import Heartbeat, Planning, PlanQuery
from harness.evaluation.replicas import Answer, Replicas
from harness.evaluation.worker import WorkerSetup
from harness.evaluation.workers import Worker, WorkerPool
from policies.interface import PlanRequest


class ReplicatedPool(WorkerPool):
    """Worker processes whose plans come from replicas, which it starts and ends as well.

    Args:
        count: How many workers.
        setup: What they work with.
        replicas: The replicas, not yet started.
        receive_timeout_s: Seconds that a message, once begun, may take to arrive.
    """

    def __init__(
        self, count: int, setup: WorkerSetup, replicas: Replicas, *, receive_timeout_s: float
    ) -> None:
        super().__init__(count, setup, receive_timeout_s=receive_timeout_s)
        self.replicas = replicas
        self._inbox: dict[int, deque[object]] = {}
        self._stack = contextlib.ExitStack()

    def _open(self) -> None:
        self._stack.enter_context(self.replicas)
        super()._open()

    def _end(self, *, kill: bool) -> None:
        try:
            super()._end(kill=kill)
        finally:
            self._stack.close()

    def readable(self, timeout: float) -> list[Worker]:
        """Wait for messages of workers, or of replicas to them."""
        if any(self._inbox.values()):
            timeout = 0
        workers = {worker.connection: worker for worker in self.workers.values()}
        ready = wait([*workers, *self.replicas.connections], timeout)
        for answer in self.replicas.receive(ready):
            self._deliver(answer)
        messages = [self.workers[number] for number, inbox in self._inbox.items() if inbox]
        others = [workers[connection] for connection in ready if connection in workers]
        return list(dict.fromkeys([*messages, *others]))

    def receive(self, worker: Worker) -> object:
        """Return the next message of or to a worker; its requests go to a replica."""
        if inbox := self._inbox.get(worker.number):
            return inbox.popleft()
        message = super().receive(worker)
        if isinstance(message, PlanQuery):
            answer = self.replicas.ask(worker.number, message.request)
            if answer is not None:
                self._deliver(answer)
            return Planning(step=message.request.step)
        return message

    def reap(self, worker: Worker) -> str:
        """Remove a worker whose process is gone; return how it ended."""
        self.replicas.forget(worker.number)
        self._inbox.pop(worker.number, None)
        return super().reap(worker)

    def time_batch(self, requests: Sequence[PlanRequest]) -> float:
        """Have the first replica plan for requests at once; return the seconds it takes."""
        return self.replicas.time_batch(requests)

    def description(self) -> str:
        """Return how many replicas there are."""
        return f"{self.replicas.ready} of {len(self.replicas)} replicas"

    def _deliver(self, answer: Answer) -> None:
        """Hand a worker its plan, and tell the dispatcher that it goes on."""
        worker = self.workers.get(answer.worker)
        if worker is None:
            return  # it is gone
        self.send(worker, answer.reply)
        inbox = self._inbox.setdefault(worker.number, deque())
        inbox.append(Heartbeat(step=answer.step))
        if answer.notes:
            inbox.append(answer.notes)
