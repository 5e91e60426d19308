"""Progress of a run: what callbacks are told, and how fast it is."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from training.losses import SlotRow
from training.monitoring.evaluation import EvaluationOutcome
from training.monitoring.sampled_error import SampledError


@dataclass(frozen=True, kw_only=True)
class TrainingStatus:
    """Progress of a run after an update.

    Attributes:
        update: Updates done.
        updates: Updates in all.
        loss: Running mean of the loss.
        rate: Updates per second since this process started.
        learning_rate: Of the latest update.
        gradient_norm: Of the latest update, before clipping.
        samples_per_s: Windows per second over all processes since this process started.
        data_wait: Share of the time spent waiting for batches since this process started.
        sampled: The latest error of sampled plans, if it is measured.
        evaluation: The outcome of the latest evaluation in simulation, if there was one.
    """

    update: int
    updates: int
    loss: float
    rate: float
    learning_rate: float
    gradient_norm: float
    samples_per_s: float
    data_wait: float
    sampled: SampledError | None
    evaluation: EvaluationOutcome | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingStart:
    """What a run is about to do, as far as its settings do not say so.

    Attributes:
        update: Updates done before.
        demos: Demonstrations to train on.
        held_out: Demonstrations held out.
        windows: Windows to train on.
        weights: Numbers that are trained.
        all_weights: Trained and frozen numbers, without those of large encoders.
        processes: Processes that train together.
        passes: Forward passes per process and update.
        samples: Windows per update.
        device: Where.
        loss_weights: A row per slot of an action: ``slot``, ``what``, ``std``, ``weight``.
        notes: Sentences on what differs from RDT's recipe, or from the checkpoint to start from.
    """

    update: int
    demos: int
    held_out: int
    windows: int
    weights: int
    all_weights: int
    processes: int
    passes: int
    samples: int
    device: str
    loss_weights: list[SlotRow]
    notes: tuple[str, ...] = ()


UpdateCallback = Callable[[TrainingStatus], None]
StartCallback = Callable[[TrainingStart], None]


class Throughput:
    """Measures how fast a run is, and how long it waits for data."""

    def __init__(self, update: int, samples: int) -> None:
        """Start the clock.

        Args:
            update: Updates done before.
            samples: Windows per update.
        """
        self._first, self._samples = update, samples
        self._start, self._waited = time.perf_counter(), 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of a block as waiting for data."""
        since = time.perf_counter()
        try:
            yield
        finally:
            self._waited += time.perf_counter() - since

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time of a block, which is not spent on training."""
        since = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - since

    def read(self, update: int) -> dict[str, float]:
        """Return the fields of ``TrainingStatus`` that are about time."""
        spent = time.perf_counter() - self._start
        rate = (update - self._first) / spent
        return {
            "rate": rate,
            "samples_per_s": rate * self._samples,
            "data_wait": self._waited / spent,
        }
