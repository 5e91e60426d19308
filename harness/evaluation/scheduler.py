"""Scheduling of episodes on workers, detection of hung workers, and progress."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from results.records import EpisodeKey, EpisodeRecord
from results.statistics.intervals import wilson_interval

ATTEMPTS = 2
"""Tries at an episode before it is recorded as an error."""


class Schedule:
    """The remaining episodes, by task.

    Workers stay with a task as long as they can, as building a simulation takes seconds. Tasks
    with most episodes go first. A worker without a task helps with the one that has most episodes
    per worker, so that no long task is left for a single worker at the end. Tasks of one scene
    share a simulation, so a worker stays with a scene likewise.

    Args:
        episodes: The episodes to run; their order within a task is kept.
        scene_of: Gives the number of a task's scene; each task has its own by default.
    """

    def __init__(
        self, episodes: Iterable[EpisodeKey], scene_of: Callable[[int], int] = int
    ) -> None:
        self._scene_of = scene_of
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
        """Number of episodes that no worker has taken."""
        return sum(len(keys) for keys in self._waiting.values())

    def take(self, worker: int, *, alone: bool = False) -> EpisodeKey | None:
        """Give a worker its next episode.

        Args:
            worker: Its number; a replaced worker has a new one.
            alone: It is the only worker, so it may retry episodes that broke with it.

        Returns:
            The episode; None if there is none for this worker now.
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
        """Return the running episode of a worker."""
        return self._running.get(worker)

    def tries(self, key: EpisodeKey) -> int:
        """Return how often an episode broke so far."""
        return len(self._failures.get(key, ()))

    def done(self, worker: int) -> EpisodeKey:
        """Note that a worker finished its episode; return the episode."""
        return self._running.pop(worker)

    def failed(self, worker: int, *, permanent: bool = False) -> bool:
        """Note that a worker's episode broke; return whether it will be tried again.

        Args:
            worker: Its number.
            permanent: Do not try again.
        """
        key = self._running.pop(worker)
        tries = self._failures.setdefault(key, [])
        tries.append(worker)
        if permanent or len(tries) >= ATTEMPTS:
            return False
        self._waiting[key.task].append(key)
        return True

    def put_back(self, worker: int) -> None:
        """Let an episode that was stopped, but not by itself, wait again; no try is counted."""
        key = self._running.pop(worker, None)
        if key is not None:
            self._waiting[key.task].appendleft(key)

    def gone(self, worker: int) -> None:
        """Forget a worker whose process is gone; its episode must be done, failed or put back."""
        self._holders.pop(worker, None)

    def _preferred(self, worker: int) -> list[int]:
        """Order the tasks for a worker.

        First its latest, then those of the same scene, those of a scene without a worker, those
        without a worker, and the largest.
        """
        others = Counter(task for other, task in self._holders.items() if other != worker)
        scenes = {self._scene_of(task) for task in others}
        latest = self._holders.get(worker)
        scene = None if latest is None else self._scene_of(latest)
        share = {t: len(keys) / (others[t] + 1) for t, keys in self._waiting.items() if keys}

        def rank(task: int) -> tuple[float, ...]:
            own = self._scene_of(task)
            return task != latest, own != scene, own in scenes, task in others, -share[task], task

        return sorted(share, key=rank)


_TURN_SHARE = 0.1


class Watchdog:
    """Measures for how long each worker has been silent while a message from it is expected.

    No message is expected from a worker that waits for the parent. A turn of the parent's loop
    counts for a tenth of the limit at most. So if the parent planned for minutes, or everything was
    stopped (Ctrl-Z, a suspended laptop), the worker still has time to send a message.

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
        """Expect no message from a worker: it has arrived, or the process is gone."""
        self._silent.pop(worker, None)

    def turn(self) -> list[int]:
        """Return the workers that were silent for too long; call it after receiving messages."""
        now = self._clock()
        passed = min(now - self._latest, self.limit_s * _TURN_SHARE)
        self._latest = now
        for worker in self._silent:
            self._silent[worker] += passed
        return [worker for worker, silent in self._silent.items() if silent > self.limit_s]


_REPORT_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class EvaluationStatus:
    """Progress of an evaluation.

    Attributes:
        done: Episodes with a record, those of earlier sessions included.
        total: Episodes of the whole run.
        successes: Episodes that succeeded.
        errors: Episodes that broke twice; no rate includes them.
        steps_per_s: Control steps per second of all workers together, in this session.
        left_s: Estimated seconds left; None before the first episode of this session is finished.
        engine: What runs where, such as ``2 nodes, 4 simulations, 2 replicas``; empty if all of it
            is on this machine.
    """

    done: int
    total: int
    successes: int
    errors: int
    steps_per_s: float
    left_s: float | None = None
    engine: str = ""

    def __str__(self) -> str:
        """Return the success with its 95 % interval, and what runs where."""
        counted = self.done - self.errors
        text = f"success {self.successes}/{counted}"
        if counted:
            low, high = wilson_interval(self.successes, counted)
            text += f" = {self.successes / counted:.0%} ({low:.0%}–{high:.0%})"
        if self.errors:
            text += f", {self.errors} error{'s' if self.errors > 1 else ''}"
        return f"{text}; {self.engine}" if self.engine else text


ProgressCallback = Callable[[EvaluationStatus], None]


class ProgressMeter:
    """Counts episodes and steps, and reports at most every half second.

    Args:
        report: Called with the status, if given.
        total: Episodes of the whole run.
        earlier: Episodes of earlier sessions that need not be run again.
        clock: Gives the time in seconds.

    Attributes:
        engine: What runs where; see ``EvaluationStatus``.
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
        self.engine = ""
        self._finished = 0
        self._steps = 0
        self._in_flight: dict[int, int] = {}
        self._start = self._shown = clock()

    def advanced(self, worker: int, step: int) -> None:
        """Note the number of steps of a worker's running episode."""
        self._in_flight[worker] = step

    def abandoned(self, worker: int) -> None:
        """Note that a worker will not finish its episode."""
        self._in_flight.pop(worker, None)

    def finished(self, worker: int, record: EpisodeRecord) -> None:
        """Count a record, and report."""
        self._in_flight.pop(worker, None)
        self._steps += record.steps
        self._finished += record.outcome != "error"
        self._done += 1
        self._successes += record.outcome == "success"
        self._errors += record.outcome == "error"
        self.show(force=True)

    def show(self, *, force: bool = False) -> None:
        """Report, if the last report is half a second ago or ``force`` is set."""
        now = self._clock()
        if self._report is None or not (force or now - self._shown >= _REPORT_EVERY_S):
            return
        self._shown = now
        self._report(self.status())

    def status(self) -> EvaluationStatus:
        """Return the current status."""
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
            engine=self.engine,
        )
