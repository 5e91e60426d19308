"""What a run says of itself while it goes on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from training.losses import Row
from training.monitoring.evaluation import Verdict
from training.monitoring.sampled_error import SampledError


@dataclass(frozen=True, kw_only=True)
class TrainingStatus:
    """How far a run is.

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
        verdict: What the latest evaluation in simulation came to, if there was one.
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
    verdict: Verdict | None = None


Progress = Callable[[TrainingStatus], None]


@dataclass(frozen=True, kw_only=True)
class TrainingStart:
    """What a run is going to do, as far as its settings do not say it.

    Attributes:
        update: Updates done before.
        demos: Demonstrations to train on.
        held_out: Demonstrations held out.
        windows: Windows to train on.
        weights: Numbers that are trained.
        all_weights: Those and the ones that stay; without those of large encoders.
        processes: Processes that train together.
        passes: Forward passes per process and update.
        samples: Windows per update.
        device: Where.
        loss_weights: A row per slot of an action: ``slot``, ``what``, ``std``, ``weight``.
        notes: What is not as in RDT's recipe, or not as in the checkpoint it starts from, a
            sentence each.
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
    loss_weights: list[Row]
    notes: tuple[str, ...] = ()


Report = Callable[[TrainingStart], None]


class Clock:
    """How fast a run is, and how long it waits for data."""

    def __init__(self, step: int, samples: int) -> None:
        self._first, self._samples = step, samples
        self._start, self._waited = time.perf_counter(), 0.0

    def waiting(self) -> "Clock":
        """Count the time of a block as waiting."""
        return self

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._waited += time.perf_counter() - self._since

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time of a block, which is not spent on training."""
        since = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - since

    def read(self, step: int) -> dict[str, float]:
        """Return the fields of ``TrainingStatus`` that are about time."""
        spent = time.perf_counter() - self._start
        rate = (step - self._first) / spent
        return {
            "rate": rate,
            "samples_per_s": rate * self._samples,
            "data_wait": self._waited / spent,
        }
