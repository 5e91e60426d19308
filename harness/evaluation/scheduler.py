"""Scheduling: which worker runs which episode next, which workers hang, how far the run is."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from results.records import EpisodeKey, EpisodeRecord
from results.statistics.intervals import wilson_interval

ATTEMPTS = 2
"""Tries at an episode before it is recorded as an error."""


class Schedule:
    """The episodes that are still to be run, by task.

    Workers stay with a task as long as they can, as building a simulation takes seconds. Tasks
    with most to do go first, and who has no task left helps with the one that has most to do for
    each of its workers, so that no long one is left for a single worker at the end. As all episodes
    of a suite have the same step limit, their number says how much there is to do.

    Args:
        episodes: What is to be run; the order within a task is kept.
    """

    def __init__(self, episodes: Iterable[EpisodeKey]) -> None:
        self._waiting: dict[int, deque[EpisodeKey]] = {}
        for key in episodes:
            self._waiting.setdefault(key.task, deque()).append(key)
        self._holders: dict[int, int] = {}  # worker: its latest task
        self._running: dict[int, EpisodeKey] = {}
        self._failures: dict[EpisodeKey, list[int]] = {}

    @property
    def finished(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._running and not any(self._waiting.values())

    @property
    def waiting(self) -> int:
        """Episodes that nobody has taken."""
        return sum(len(keys) for keys in self._waiting.values())

    def take(self, worker: int, *, alone: bool = False) -> EpisodeKey | None:
        """Give a worker its next episode.

        Args:
            worker: Its number; a replaced worker has a new one.
            alone: No other worker is there, so it may try again what it failed at.

        Returns:
            The episode, or None if there is nothing for this worker now.
        """
        for task in self._preferred(worker):
            for key in self._waiting[task]:
                if alone or worker not in self._failures.get(key, ()):
                    self._waiting[task].remove(key)
                    self._holders[worker] = task
                    self._running[worker] = key
                    return key
        return None

    def running(self, worker: int) -> EpisodeKey | None:
        """Return the episode a worker is at."""
        return self._running.get(worker)

    def tries(self, key: EpisodeKey) -> int:
        """Return how often an episode broke so far."""
        return len(self._failures.get(key, ()))

    def done(self, worker: int) -> EpisodeKey:
        """Take note that a worker finished its episode."""
        return self._running.pop(worker)

    def failed(self, worker: int, *, permanent: bool = False) -> bool:
        """Take note that a worker's episode broke.

        Args:
            worker: Its number.
            permanent: Do not try again.

        Returns:
            Whether it will be tried again.
        """
        key = self._running.pop(worker)
        tries = self._failures.setdefault(key, [])
        tries.append(worker)
        if permanent or len(tries) >= ATTEMPTS:
            return False
        self._waiting[key.task].append(key)
        return True

    def gone(self, worker: int) -> None:
        """Take note that a worker is no more; its episode was dealt with before."""
        self._holders.pop(worker, None)

    def _preferred(self, worker: int) -> list[int]:
        """Order the tasks for a worker: its own, then those nobody holds, then the largest."""
        held = Counter(task for other, task in self._holders.items() if other != worker)
        own = self._holders.get(worker)
        share = {task: len(keys) / (held[task] + 1) for task, keys in self._waiting.items() if keys}
        return sorted(share, key=lambda task: (task != own, task in held, -share[task], task))


_TURN_SHARE = 0.1


class Watchdog:
    """Measures for how long each worker has been silent while a message from it is expected.

    Nothing is expected of a worker that waits for the parent. A turn of the parent's loop counts
    for a tenth of the limit at most, however long it took: if the parent planned for minutes, or
    everything was stopped (Ctrl-Z, a suspended laptop), the worker gets the time to show that it
    is alive.

    Args:
        limit_s: Seconds of silence after which a worker counts as hung.
        clock: Gives the time in seconds.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._silent: dict[int, float] = {}
        self._latest = clock()

    @property
    def patience_s(self) -> float:
        """Seconds that the parent's loop may wait before it looks again."""
        return min(1.0, self.limit_s * _TURN_SHARE)

    def expect(self, worker: int, *, grace_s: float = 0.0) -> None:
        """Expect a message from a worker from now on.

        Args:
            worker: Its number.
            grace_s: Seconds it may take beside the limit.
        """
        self._silent[worker] = -grace_s

    def settled(self, worker: int) -> None:
        """Expect nothing of a worker: its message has arrived, or its process is gone."""
        self._silent.pop(worker, None)

    def turn(self) -> list[int]:
        """Count the time since the last turn; call it when all messages have been received.

        Returns:
            The numbers of the workers that have been silent for too long.
        """
        now = self._clock()
        passed = min(now - self._latest, self.limit_s * _TURN_SHARE)
        self._latest = now
        for worker in self._silent:
            self._silent[worker] += passed
        return [worker for worker, silent in self._silent.items() if silent > self.limit_s]


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
        left_s: Seconds that the rest will take if it goes on like this; None before the first
            episode of this session is finished.
    """

    done: int
    total: int
    successes: int
    errors: int
    steps_per_s: float
    left_s: float | None = None

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


ProgressCallback = Callable[[EvaluationStatus], None]


class ProgressMeter:
    """Counts episodes and steps, and reports at most every half second.

    Args:
        report: Called with the status; None for nobody.
        total: Episodes of the whole run.
        earlier: Episodes of earlier sessions that need not be run again.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        report: ProgressCallback | None,
        total: int,
        earlier: Iterable[EpisodeRecord] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        outcomes = [record.outcome for record in earlier]
        self._report, self._total, self._clock = report, total, clock
        self._done, self._successes, self._errors = len(outcomes), outcomes.count("success"), 0
        self._finished = 0
        self._steps = 0
        self._in_flight: dict[int, int] = {}
        self._start = self._shown = clock()

    def advanced(self, worker: int, step: int) -> None:
        """Take note of how many steps a worker's episode has come to."""
        self._in_flight[worker] = step

    def abandoned(self, worker: int) -> None:
        """Take note that a worker's episode will not be finished by it."""
        self._in_flight.pop(worker, None)

    def finished(self, worker: int, record: EpisodeRecord) -> None:
        """Take note of a record, and report."""
        self._in_flight.pop(worker, None)
        self._steps += record.steps
        self._finished += record.outcome != "error"
        self._done += 1
        self._successes += record.outcome == "success"
        self._errors += record.outcome == "error"
        self.show(force=True)

    def show(self, *, force: bool = False) -> None:
        """Report, unless that was done just now.

        Args:
            force: Report in any case.
        """
        now = self._clock()
        if self._report is None or not (force or now - self._shown >= _REPORT_EVERY_S):
            return
        self._shown = now
        self._report(self.status())

    def status(self) -> EvaluationStatus:
        """Return how far it is now."""
        in_flight = sum(self._in_flight.values())
        rate = (self._steps + in_flight) / max(self._clock() - self._start, 1e-9)
        left = None
        if self._finished and rate:
            ahead = (self._total - self._done) * self._steps / self._finished
            left = max(ahead - in_flight, 0.0) / rate
        return EvaluationStatus(
            done=self._done,
            total=self._total,
            successes=self._successes,
            errors=self._errors,
            steps_per_s=rate,
            left_s=left,
        )
