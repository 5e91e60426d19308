"""Handing episodes to workers, answering their questions in batches, keeping what comes out."""

import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from harness.messages import FATAL, Answer, Done, Failed, Fatal, Job, Question, Ready
from harness.pool import Worker, WorkerPool
from harness.schedule import Schedule
from policies.interface import PlanRequest, Policy
from results.records import EpisodeKey, EpisodeRecord
from results.statistics import wilson_interval
from results.store import RunStore, load_run
from tasks.errors import HarnessError, SimulatorError, SpecMismatchError

_REPORT_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class EvaluationStatus:
    """How far an evaluation has come.

    Attributes:
        done: Episodes with a record, those of earlier sessions included.
        total: Episodes of the whole run.
        successes: Episodes that succeeded.
        errors: Episodes that broke twice; they are in no rate.
        steps_per_s: Control steps per second of all workers together, in this session.
    """

    done: int
    total: int
    successes: int
    errors: int
    steps_per_s: float

    def __str__(self) -> str:
        """Say it in a few words, with a 95 % interval."""
        counted = self.done - self.errors
        words = f"success {self.successes}/{counted}"
        if counted:
            low, high = wilson_interval(self.successes, counted)
            words += f" = {self.successes / counted:.0%} ({low:.0%}–{high:.0%})"
        if self.errors:
            words += f", {self.errors} error{'s' if self.errors > 1 else ''}"
        return words


Report = Callable[[EvaluationStatus], None]


class Dispatcher:
    """Runs a schedule on a pool.

    Args:
        pool: The workers.
        schedule: The episodes to run.
        store: Where records go.
        policy: Answers the workers' questions; None if they have their own.
        task_names: Names of the suite's tasks.
        recorded: Episodes of which a video is made.
        report: Told now and then how far it is.
    """

    def __init__(
        self,
        pool: WorkerPool,
        schedule: Schedule,
        store: RunStore,
        *,
        policy: Policy | None,
        task_names: Sequence[str],
        recorded: Set[EpisodeKey],
        report: Report | None,
    ) -> None:
        self._pool, self._schedule, self._store = pool, schedule, store
        self._policy = policy
        self._task_names, self._recorded = task_names, recorded
        self._alone = len(pool.workers) == 1
        self._questions: dict[int, PlanRequest] = {}
        self._started: dict[int, float] = {}
        self._meter = _Meter(report, store)

    def run(self) -> None:
        """Run until every episode has a record.

        Raises:
            HarnessError: No episode can run: a bad setting, a missing part, a misfit.
        """
        self._meter.show(force=True)
        try:
            while not self._schedule.finished:
                self._assign()
                self._listen(None)
                while self._listen(0):
                    pass
                self._answer()
        except (KeyboardInterrupt, SystemExit):
            self._save_arrived()
            raise
        finally:
            self._meter.show(force=True)

    def _assign(self) -> None:
        for worker in self._pool.workers.values():
            if not worker.ready or self._schedule.running(worker.number):
                continue
            key = self._schedule.take(worker.number, alone=self._alone)
            if key is None:
                continue
            self._started[worker.number] = time.monotonic()
            worker.send(
                Job(
                    key=key,
                    task_name=self._task_names[key.task],
                    attempt=self._attempt(key),
                    record=key in self._recorded,
                )
            )

    def _listen(self, timeout: float | None) -> bool:
        """Take in what workers say; return whether they said anything."""
        heard = list(self._pool.hear(timeout))
        for worker, message in heard:
            match message:
                case Ready():
                    worker.ready = True
                case Question(request=request):
                    self._questions[worker.number] = request
                    self._meter.moved(worker.number, request.step)
                case Done(record=record):
                    self._schedule.done(worker.number)
                    self._keep(record, worker.number)
                case Failed(error=error, hopeless=hopeless):
                    self._failed(worker, error, hopeless=hopeless)
                case Fatal(kind=kind, error=error):
                    raise FATAL[kind](error)
                case None:
                    self._died(worker)
        return bool(heard)

    def _answer(self) -> None:
        """Answer all open questions, whatever episodes and tasks they come from, in one batch."""
        if not self._questions:
            return
        assert self._policy is not None, "a worker with its own policy asked for a plan"
        numbers = sorted(self._questions)
        requests = [self._questions[number] for number in numbers]
        self._questions.clear()
        for number, answer in zip(numbers, plan_batch(self._policy, requests), strict=True):
            self._pool.workers[number].send(answer)
        self._meter.show()

    def _keep(self, record: EpisodeRecord, worker: int) -> None:
        self._store.append(record)
        self._meter.finished(worker, record)

    def _failed(self, worker: Worker, error: str, *, hopeless: bool = False) -> None:
        key = self._schedule.running(worker.number)
        assert key is not None, "a worker failed at nothing"
        attempt = self._attempt(key)
        if self._schedule.failed(worker.number, hopeless=hopeless):
            return
        spent = time.monotonic() - self._started[worker.number]
        record = EpisodeRecord(
            **key._asdict(),
            task_name=self._task_names[key.task],
            outcome="error",
            steps=0,
            plans=0,
            wall_s=round(spent, 3),
            error=error or "no reason given",
            attempt=attempt,
        )
        self._keep(record, worker.number)

    def _died(self, worker: Worker) -> None:
        """Replace a worker whose process ended, and let another try its episode again."""
        tail = self._pool.log_tail(worker)
        reason = self._pool.bury(worker)
        if not worker.ready:
            raise SimulatorError(
                f"{reason} before it could start. Its last words: {tail or 'none'}. "
                "Fix: call evaluate() under 'if __name__ == \"__main__\"' if a script does."
            )
        self._questions.pop(worker.number, None)
        if self._schedule.running(worker.number):
            self._failed(worker, f"{reason}. Its last words: {tail or 'none'}")
        self._schedule.gone(worker.number)
        self._pool.start()

    def _attempt(self, key: EpisodeKey) -> int:
        return self._store.next_attempt(key) + self._schedule.tries(key)

    def _save_arrived(self) -> None:
        """Keep what was finished before the interruption but not yet read."""
        for _, message in self._pool.hear(0):
            if isinstance(message, Done):
                self._store.append(message.record)


def plan_batch(policy: Policy, requests: Sequence[PlanRequest]) -> list[Answer]:
    """Plan for several episodes; if that breaks, find out for which.

    Args:
        policy: The policy.
        requests: One per episode.

    Returns:
        One answer per request.

    Raises:
        HarnessError: The policy cannot work in this evaluation.
    """
    try:
        plans = policy.plan(requests)
    except HarnessError:
        raise
    except Exception as error:
        if len(requests) > 1:
            return [plan_batch(policy, [request])[0] for request in requests]
        return [Answer(error=f"{type(error).__name__}: {' '.join(str(error).split())}"[:500])]
    if len(plans) != len(requests):
        raise SpecMismatchError(
            f"Policy '{policy.spec.name}' gave {len(plans)} plans for {len(requests)} requests. "
            "Needed: one per request, in order."
        )
    return [Answer(plan=plan) for plan in plans]


class _Meter:
    """Counts, and reports not too often."""

    def __init__(self, report: Report | None, store: RunStore) -> None:
        self._report = report
        self._total = store.info.expected_episodes
        earlier = [r.outcome for r in load_run(store.folder)[1] if r.outcome != "error"]
        self._done, self._successes, self._errors = len(earlier), earlier.count("success"), 0
        self._steps = 0
        self._in_flight: dict[int, int] = {}
        self._start = self._shown = time.monotonic()

    def moved(self, worker: int, step: int) -> None:
        self._in_flight[worker] = step

    def finished(self, worker: int, record: EpisodeRecord) -> None:
        self._in_flight.pop(worker, None)
        self._steps += record.steps
        self._done += 1
        self._successes += record.outcome == "success"
        self._errors += record.outcome == "error"
        self.show(force=True)

    def show(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if self._report is None or not (force or now - self._shown >= _REPORT_EVERY_S):
            return
        self._shown = now
        steps = self._steps + sum(self._in_flight.values())
        self._report(
            EvaluationStatus(
                done=self._done,
                total=self._total,
                successes=self._successes,
                errors=self._errors,
                steps_per_s=steps / max(now - self._start, 1e-9),
            )
        )
