"""How far an evaluation has come, how fast, and how long it will take."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from results.records import EpisodeRecord
from results.statistics import wilson_interval

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


Report = Callable[[EvaluationStatus], None]


class Meter:
    """Counts, and reports not too often.

    Args:
        report: Told how far it is; None for nobody.
        total: Episodes of the whole run.
        earlier: Episodes of earlier sessions that need not be run again.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        report: Report | None,
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

    def moved(self, worker: int, step: int) -> None:
        """Take note of how many steps a worker's episode has come to."""
        self._in_flight[worker] = step

    def broke(self, worker: int) -> None:
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
