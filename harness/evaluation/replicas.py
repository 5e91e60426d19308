"""Copies of a policy on one machine, each in a process of its own.

An episode keeps to one replica, as a policy may remember it. A replica asks nobody: it gets what
waits for it as one batch, as soon as it is done with the batch before.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn

from harness.evaluation.latency import torch_threads
from harness.evaluation.messages import NOTHING_TO_NOTE, Fatal, PlanNotes, PlanReply, Ready
from harness.evaluation.planning import PlanService
from harness.evaluation.workers import limit_reading
from harness.parent import end_with
from harness.processes import EndsWithBlock
from policies.interface import PlanRequest
from policies.registry import PolicyConfig
from tasks.errors import HarnessError, SimulatorError

_LOSSES = 3
"""Replicas that may die without a plan in between."""
_GRACE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class ReplicaReply:
    """From a replica: a reply for each request of the batch, in order, and what came up."""

    replies: tuple[PlanReply, ...]
    notes: PlanNotes


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a worker's request has come to.

    Attributes:
        worker: The worker's number.
        step: Control steps of its episode so far.
        reply: The plan, or why there is none.
        notes: What came up over its batch; each is in one answer only.
    """

    worker: int
    step: int
    reply: PlanReply
    notes: PlanNotes = NOTHING_TO_NOTE


def run_replica(
    connection: Connection, policy: PolicyConfig, threads: int, parent: int
) -> NoReturn:
    """Plan for batches until the parent ends it; the entry point of a replica's process.

    Args:
        connection: To the parent. Lists of ``PlanRequest`` come; ``Ready``, then a ``ReplicaReply``
            for each list, or ``Fatal`` go.
        policy: Builds the policy.
        threads: Threads on a CPU.
        parent: Process id of the parent.
    """
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        service = PlanService(policy.build())
        connection.send(Ready())
        with torch_threads(threads):
            while True:
                requests: list[PlanRequest] = connection.recv()
                replies = service.plan(requests)
                connection.send(ReplicaReply(replies=tuple(replies), notes=service.notes()))
    except (EOFError, ConnectionError):
        pass  # the parent is gone, or has ended
    except HarnessError as error:
        with contextlib.suppress(OSError):
            connection.send(Fatal.of(error))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@dataclass(kw_only=True)
class _Replica:
    """A replica's process, what waits for it, and the batch it works at."""

    process: BaseProcess
    connection: Connection
    ready: bool = False
    waiting: dict[int, PlanRequest] = field(default_factory=dict)
    batch: dict[int, PlanRequest] = field(default_factory=dict)


class Replicas(EndsWithBlock):
    """The replicas' processes. Use it in a ``with`` block; they end with it.

    Args:
        policies: Builds each replica's policy.
        threads: Threads of each on a CPU.
        max_batch: Plans that a policy is asked for at once, at most; None without a limit.
        receive_timeout_s: Seconds that a message, once begun, may take to arrive.
    """

    def __init__(
        self,
        policies: Sequence[PolicyConfig],
        *,
        threads: int,
        max_batch: int | None,
        receive_timeout_s: float,
    ) -> None:
        self._policies, self._threads = policies, threads
        self._max_batch, self._receive_timeout_s = max_batch, receive_timeout_s
        self._context = multiprocessing.get_context("spawn")
        self._replicas: dict[int, _Replica] = {}
        self._place: dict[int, int] = {}  # worker: the replica of its episode
        self._losses = 0

    def _open(self) -> None:
        for number in range(len(self._policies)):
            self._start(number)

    def __len__(self) -> int:
        return len(self._policies)

    @property
    def ready(self) -> int:
        """How many have loaded the policy."""
        return sum(replica.ready for replica in self._replicas.values())

    @property
    def connections(self) -> list[Connection]:
        """Connections that become readable when a replica has answered or died."""
        return [replica.connection for replica in self._replicas.values()]

    @property
    def processes(self) -> list[int]:
        """The processes' ids, by the replicas' numbers."""
        return [self._replicas[number].process.pid or 0 for number in sorted(self._replicas)]

    def ask(self, worker: int, request: PlanRequest) -> Answer | None:
        """Let the replica of a worker's episode plan, when it is free.

        Args:
            worker: The worker's number.
            request: The request; at step 0 the episode gets the replica with the fewest episodes.

        Returns:
            None, as the answer comes later; that the episode's replica died, if it did.
        """
        if request.step == 0:
            self.forget(worker)
            load = Counter(self._place.values())
            self._place[worker] = min(self._replicas, key=lambda number: (load[number], number))
        number = self._place.get(worker)
        if number is None:
            reply = PlanReply(error="The episode's replica of the policy died")
            return Answer(worker=worker, step=request.step, reply=reply)
        self._replicas[number].waiting[worker] = request
        self._feed(number)
        return None

    def forget(self, worker: int) -> None:
        """Forget the episode of a worker."""
        number = self._place.pop(worker, None)
        if number is not None:
            self._replicas[number].waiting.pop(worker, None)

    def receive(self, connections: Sequence[Any]) -> list[Answer]:
        """Take what readable connections hold.

        Returns:
            Plans; and for the episodes of a replica that died, that it did. Another takes its
            place.

        Raises:
            HarnessError: A policy cannot work in this evaluation, or replicas die again and again.
        """
        answers: list[Answer] = []
        for number, replica in list(self._replicas.items()):
            if replica.connection not in connections:
                continue
            try:
                message = replica.connection.recv()
            except (EOFError, OSError):
                message = None
            if isinstance(message, Fatal):
                raise message.exception()
            if isinstance(message, Ready):
                replica.ready = True
                self._feed(number)
                continue
            if isinstance(message, ReplicaReply):
                answers += self._answers(replica, message)
                self._losses = 0
                self._feed(number)
            else:
                answers += self._replace(number)
        return answers

    def time_batch(self, requests: Sequence[PlanRequest]) -> float:
        """Have the first replica, which must be free, plan for requests; return the seconds.

        Raises:
            HarnessError: The policy cannot work in this evaluation.
            SimulatorError: The replica died.
        """
        replica = self._replicas[0]
        begun = time.perf_counter()
        try:
            replica.connection.send(list(requests))
            wait([replica.connection])
            message = replica.connection.recv()
        except (EOFError, OSError) as error:
            raise SimulatorError(
                f"A replica of the policy died over {len(requests)} plans at once. Fix: give a "
                "smaller --max-batch."
            ) from error
        if isinstance(message, Fatal):
            raise message.exception()
        return time.perf_counter() - begun

    def _answers(self, replica: _Replica, message: ReplicaReply) -> list[Answer]:
        batch, replica.batch = replica.batch, {}
        notes = message.notes
        answers = []
        for (worker, request), reply in zip(batch.items(), message.replies, strict=True):
            answers.append(Answer(worker=worker, step=request.step, reply=reply, notes=notes))
            notes = NOTHING_TO_NOTE
        return answers

    def _replace(self, number: int) -> list[Answer]:
        """Start a replica in the place of one that died; its episodes break."""
        replica = self._replicas.pop(number)
        replica.process.kill()
        replica.process.join(_GRACE_S)
        replica.connection.close()
        code = replica.process.exitcode or 0
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        reason = f"Replica {number} of the policy {how}"
        self._losses += 1
        if self._losses >= _LOSSES * len(self._policies):
            raise SimulatorError(
                f"{reason}; {self._losses} died without a plan in between. Fix: fewer --replicas "
                "if memory is short. Finished episodes are kept."
            )
        self._start(number)
        broken = replica.batch | replica.waiting
        # Others of its episodes execute a plan now; a new replica would not remember them.
        self._place = {worker: place for worker, place in self._place.items() if place != number}
        return [
            Answer(worker=worker, step=request.step, reply=PlanReply(error=reason))
            for worker, request in broken.items()
        ]

    def _feed(self, number: int) -> None:
        """Give a replica that is free what waits for it."""
        replica = self._replicas[number]
        if not replica.ready or replica.batch or not replica.waiting:
            return
        workers = sorted(replica.waiting)[: self._max_batch]
        replica.batch = {worker: replica.waiting.pop(worker) for worker in workers}
        with contextlib.suppress(OSError):  # it died: its connection shows that
            replica.connection.send(list(replica.batch.values()))

    def _start(self, number: int) -> None:
        ours, theirs = self._context.Pipe()
        limit_reading(ours, self._receive_timeout_s)
        process = self._context.Process(
            target=run_replica,
            args=(theirs, self._policies[number], self._threads, os.getpid()),
            name=f"libero-bench replica {number}",
            daemon=True,
        )
        process.start()
        theirs.close()
        self._replicas[number] = _Replica(process=process, connection=ours)

    def _end(self, *, kill: bool) -> None:
        for replica in self._replicas.values():
            replica.process.kill()  # in any case: it holds nothing that is not on record
        for replica in self._replicas.values():
            replica.process.join(_GRACE_S)
            replica.connection.close()
        self._replicas.clear()
