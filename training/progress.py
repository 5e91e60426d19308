"""Progress of a run: the messages to callbacks, and the clock behind them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from training.losses import SlotRow
from training.monitoring.evaluation import EvaluationOutcome
from training.monitoring.sampled_error import SampledError


@dataclass(frozen=True, kw_only=True)
class TrainingStatus:
    """Progress of a run after an update; rates are those since this process started.

    Attributes:
        update: Updates done.
        updates: Updates in all.
        loss: Running mean.
        rate: Updates per second.
        gradient_norm: Before clipping.
        samples_per_s: Windows per second over all processes.
        data_wait: Share of the time spent waiting for batches.
        sampled: The latest error of sampled plans.
        evaluation: Outcome of the latest evaluation in simulation.
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
    """Facts of a run that its settings do not say, before its first update.

    Attributes:
        update: Updates done before.
        demos: Number of demonstrations to train on.
        held_out: Number of demonstrations held out.
        windows: Number of windows to train on.
        weights: Number of trained weights.
        all_weights: Number of trained and frozen weights, without those of large encoders.
        passes: Forward passes per process and update.
        samples: Windows per update.
        loss_weights: A row per slot of an action.
        notes: Sentences for the user; see ``setup_notes``.
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
        """Start the clock after some updates, of ``samples`` windows each."""
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
