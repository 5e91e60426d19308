"""Dispatching episodes to workers, planning for them in batches, storing their records."""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from harness.evaluation.engine import SimulationPool, SimulationWorker
from harness.evaluation.messages import (
    EpisodeDone,
    EpisodeFailed,
    Fatal,
    Heartbeat,
    Placed,
    Planning,
    PlanNotes,
    PlanQuery,
    PlanReply,
    Ready,
    RunEpisode,
    Withdrawn,
)
from harness.evaluation.planning import PlanService
from harness.evaluation.scheduler import ProgressMeter, Schedule, Watchdog
from policies.interface import PlanRequest, Policy
from results.records import EpisodeKey, EpisodeRecord, error_kind
from results.signals import Interruption
from results.store import RunStore
from tasks.errors import HarnessError, ResultsError, SimulatorError

_START_S = 60.0
"""Seconds that a process may take to start, beside the limit of the watchdog."""
_LOSSES_PER_WORKER = 3
_LEAST_LOSSES = 6

_log = logging.getLogger(__name__)


class Dispatcher:
    """Runs a schedule on a pool.

    Args:
        pool: The workers.
        schedule: The episodes to run.
        store: Where records go.
        policy: Plans for the workers; None if each has its own, or the pool has replicas.
        task_names: Names of the suite's tasks.
        facts: Gives further fields of a task's records.
        recorded: Episodes of which a video is made.
        progress: Counts and reports.
        watchdog: Detects workers that hang.
        interruption: Lets Ctrl-C end the run at safe moments.
        give_up_after: Episodes after which to stop if all of the run broke for one reason; 0 for
            never.
        max_batch: Plans that the policy is asked for at once, at most; None without a limit.
    """

    def __init__(
        self,
        pool: SimulationPool,
        schedule: Schedule,
        store: RunStore,
        *,
        policy: Policy | None,
        task_names: Sequence[str],
        facts: Callable[[int], Mapping[str, Any]],
        recorded: Set[EpisodeKey],
        progress: ProgressMeter,
        watchdog: Watchdog,
        interruption: Interruption,
        give_up_after: int = 0,
        max_batch: int | None = None,
    ) -> None:
        self._pool, self._schedule, self._store = pool, schedule, store
        self._service = None if policy is None else PlanService(policy)
        self._max_batch = max_batch
        self._task_names, self._facts, self._recorded = task_names, facts, recorded
        self._progress, self._watchdog, self._interruption = progress, watchdog, interruption
        self._warned: set[str] = set()
        self._requests: dict[int, PlanRequest] = {}
        self._started: dict[int, float] = {}
        self._any_ready = False
        self._give_up_after = 0 if store.records() else give_up_after
        self._broken: list[str] = []
        self._losses = 0
        self._losses_allowed = max(_LOSSES_PER_WORKER * len(pool.workers), _LEAST_LOSSES)

    def run(self) -> None:
        """Run until every episode has a record.

        Raises:
            HarnessError: No episode can run: a bad setting, a missing part, a misfit.
            ResultsError: A record or a video could not be written.
        """
        self._progress.show(force=True)
        for worker in self._pool.workers.values():
            self._expect_start(worker)
        try:
            while not self._schedule.finished:
                self._assign()
                self._listen(self._watchdog.patience_s)
                while self._listen(0):
                    pass
                self._replace_hung()
                self._plan_requests()
                self._progress.engine = self._pool.description()
                self._progress.show()
        except BaseException:
            self._save_arrived()
            raise
        finally:
            self._progress.show(force=True)

    def _assign(self) -> None:
        workers = self._pool.workers.values()
        alone = sum(worker.placed for worker in workers) == 1
        for worker in workers:
            if not worker.ready or self._schedule.running(worker.number):
                continue
            key = self._schedule.take(worker.number, alone=alone)
            if key is None:
                continue
            self._started[worker.number] = time.monotonic()
            job = RunEpisode(
                key=key,
                task_name=self._task_names[key.task],
                attempt=self._attempt(key),
                record=key in self._recorded,
            )
            self._send(worker, job)

    def _send(self, worker: SimulationWorker, message: RunEpisode | PlanReply) -> None:
        self._pool.send(worker, message)
        self._watchdog.expect(worker.number)

    def _expect_start(self, worker: SimulationWorker) -> None:
        """Expect a worker's first message, if it has a place: it may wait for one for long."""
        if worker.placed:
            self._watchdog.expect(worker.number, grace_s=_START_S)

    def _listen(self, timeout: float) -> bool:
        """Receive the messages that have arrived; return whether there were any."""
        with self._interruption.allowed():
            workers = self._pool.readable(timeout)
        for worker in workers:
            self._take(worker, self._pool.receive(worker))
        return bool(workers)

    def _take(self, worker: SimulationWorker, message: object) -> None:
        if isinstance(message, PlanNotes):
            self._note(message)
            return
        self._watchdog.settled(worker.number)
        match message:
            case Placed():
                self._expect_start(worker)
            case Ready():
                worker.ready = self._any_ready = True
            case Heartbeat(step=step):
                self._progress.advanced(worker.number, step)
                self._watchdog.expect(worker.number)
            case Planning(step=step):
                self._progress.advanced(worker.number, step)
            case PlanQuery(request=request):
                self._requests[worker.number] = request
                self._progress.advanced(worker.number, request.step)
            case EpisodeDone(record=record):
                self._schedule.done(worker.number)
                self._losses = 0
                self._keep(record, worker.number)
            case EpisodeFailed(error=error, permanent=permanent):
                self._failed(worker, error, permanent=permanent)
            case Fatal():
                raise message.exception()
            case Withdrawn():
                self._withdraw(worker)
            case None:
                self._lost(worker, self._pool.reap(worker))

    def _replace_hung(self) -> None:
        """Replace workers that have been silent for too long."""
        for number in self._watchdog.turn():
            self._watchdog.settled(number)
            worker = self._pool.workers[number]
            stack = self._pool.kill_hung(worker)
            limit = self._watchdog.limit_s
            reason = f"The worker hung: it said nothing for {limit:g} s and was killed"
            self._lost(worker, f"{reason}, {stack}" if stack else reason)

    def _plan_requests(self) -> None:
        """Plan for all waiting episodes, of whatever tasks, in one batch."""
        while self._requests:
            assert self._service is not None, "a worker with its own policy asked for a plan"
            numbers = sorted(self._requests)[: self._max_batch]
            requests = [self._requests.pop(number) for number in numbers]
            try:
                with self._interruption.allowed():
                    replies = self._service.plan(requests)
            finally:
                self._note(self._service.notes())
            for number, reply in zip(numbers, replies, strict=True):
                self._send(self._pool.workers[number], reply)

    def _note(self, notes: PlanNotes) -> None:
        """Keep latencies with the run, and new suspicions of the plans, which are logged, too."""
        if notes.latency is not None:
            self._store.add_latency(notes.latency)
        for warning in notes.warnings:
            if warning not in self._warned:  # each replica looks for itself
                self._warned.add(warning)
                _log.warning("WARNING: %s", warning)
                self._store.warn(warning)

    def _keep(self, record: EpisodeRecord, worker: int) -> None:
        self._store.append(record)
        self._progress.finished(worker, record)
        if record.outcome == "error":
            self._give_up_if_all_broke_alike(record.error or "")
        else:
            self._give_up_after = 0

    def _give_up_if_all_broke_alike(self, reason: str) -> None:
        """Stop if the first episodes all broke for the same reason and others are left.

        Raises:
            SimulatorError: They did.
        """
        self._broken.append(reason)
        alike = len({error_kind(error) for error in self._broken}) == 1
        if not alike:
            self._give_up_after = 0
        if len(self._broken) == self._give_up_after and not self._schedule.finished:
            raise SimulatorError(
                f"The first {len(self._broken)} episodes all broke in the same way: {reason}. Fix: "
                f"mend that and give the same command, which tries them again; workers' logs are "
                f"in '{self._store.folder / 'logs'}', 'libero-bench doctor' examines the machine, "
                "--give-up-after 0 goes on regardless."
            )

    def _failed(self, worker: SimulationWorker, error: str, *, permanent: bool = False) -> None:
        key = self._schedule.running(worker.number)
        assert key is not None, "a worker failed at nothing"
        attempt = self._attempt(key)
        self._progress.abandoned(worker.number)
        if self._schedule.failed(worker.number, permanent=permanent):
            return
        spent = time.monotonic() - self._started[worker.number]
        record = EpisodeRecord(
            **key._asdict(),
            task_name=self._task_names[key.task],
            **self._facts(key.task),
            outcome="error",
            steps=0,
            plans=0,
            wall_s=round(spent, 3),
            error=error or "no reason given",
            attempt=attempt,
        )
        self._keep(record, worker.number)

    def _lost(self, worker: SimulationWorker, reason: str) -> None:
        """Replace a worker whose process is gone, and let another try its episode again."""
        tail = self._pool.log_tail(worker)
        description = f"{reason}. Its last words: {tail or 'none'}"
        self._requests.pop(worker.number, None)
        if self._schedule.running(worker.number):
            self._failed(worker, description)
        self._schedule.gone(worker.number)
        self._losses += 1
        if not self._any_ready and self._losses >= worker.start_tries:
            raise SimulatorError(
                f"{description}. No worker could start. Fix: see {self._pool.log(worker)}; "
                "call evaluate() under 'if __name__ == \"__main__\"' if a script calls it."
            )
        if self._losses >= self._losses_allowed:
            raise SimulatorError(
                f"{self._losses} workers died or hung without an episode finished in between. "
                f"The last: {description}. Fix: fewer --workers if memory is short; 'libero-bench "
                "doctor' examines the machine. Finished episodes are kept."
            )
        self._expect_start(self._pool.start())

    def _withdraw(self, worker: SimulationWorker) -> None:
        """End a worker for whose place there is a better use; its episode waits again."""
        self._requests.pop(worker.number, None)
        self._progress.abandoned(worker.number)
        self._schedule.put_back(worker.number)
        self._schedule.gone(worker.number)
        self._pool.reap(worker)
        self._expect_start(self._pool.start())

    def _attempt(self, key: EpisodeKey) -> int:
        return self._store.next_attempt(key) + self._schedule.tries(key)

    def _save_arrived(self) -> None:
        """Store episodes that were finished but not received when the run ended."""
        with contextlib.suppress(HarnessError, ResultsError, OSError):  # what ended it may last
            for worker in self._pool.readable(0):
                message = self._pool.receive(worker)
                if isinstance(message, EpisodeDone):
                    self._store.append(message.record)
