"""The order of windows, and the batches of a process.

Windows are sampled uniformly, as in RDT's code, around key moments, or by a curriculum.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Sampler

from tasks.control_groups import whole_cores
from tasks.errors import ConfigError
from training.config import TrainingConfig
from training.data.windows import DemoWindows, Window
from training.data_settings import DataSettings

Weights = npt.NDArray[np.float64]

OFFICIAL_STEPS = 128
"""Demonstrations shorter than this are dropped by RDT's loader of HDF5 files."""

_FIRST_SHARE = 0.25
_MOST_DECODERS = 4


class WindowWeights:
    """The probability of every window, at any point of a run."""

    def __init__(self, data: DemoWindows, settings: DataSettings) -> None:
        """Compute the weights.

        Raises:
            ConfigError: No window could be drawn.
        """
        self._settings = settings
        entries = data.entries
        demo, self._step = data.index.T
        self._steps = np.array([entry.steps for entry in entries])[demo]
        self._rank = np.array([entry.rank for entry in entries])[demo]
        self._of = np.array([entry.of for entry in entries])[demo]
        self._base: Weights = np.ones(len(demo))
        if settings.sampling == "official":
            first = np.array([entry.first_usable for entry in entries])[demo]
            usable = (self._step >= first) & (self._steps >= OFFICIAL_STEPS)
            if not usable.any():
                raise ConfigError(
                    f"--sampling official drops demonstrations below {OFFICIAL_STEPS} steps, and "
                    f"all are: the longest has {self._steps.max()}. Fix: --sampling uniform."
                )
            self._base = usable.astype(np.float64)
        elif settings.sampling == "key-moments":
            self._base = self._near_moments([entry.transitions for entry in entries], demo)
        self._base /= self._base.sum()

    def _near_moments(self, moments: list[tuple[int, ...]], demo: npt.NDArray[np.int64]) -> Weights:
        settings = self._settings
        near = np.zeros(len(demo), dtype=np.bool_)
        late = np.zeros(len(demo), dtype=np.bool_)
        for number, steps in enumerate(moments):
            in_demo = demo == number
            for moment in steps:
                near |= in_demo & (np.abs(self._step - moment) <= settings.key_radius)
            if steps:
                late |= in_demo & (self._step >= steps[-1])
        if not near.any():
            raise ConfigError(
                "--sampling key-moments: no demonstration has a transition. "
                "Fix: --sampling uniform."
            )
        share = settings.key_share
        weights: Weights = (1.0 - share) / len(near) + share * near / near.sum()
        return weights * np.where(late, settings.late_weight, 1.0)

    def at(self, progress: float) -> Weights:
        """Return (windows,) probabilities when a share of the run's updates is done."""
        if self._settings.curriculum == "none":
            return self._base
        reached = min(progress / self._settings.curriculum_share, 1.0)
        if self._settings.curriculum == "late-first":
            share = _FIRST_SHARE + (1.0 - _FIRST_SHARE) * reached
            allowed = self._steps - self._step <= np.ceil(share * self._steps)
        else:
            allowed = self._rank < np.maximum(np.ceil(reached * self._of), 1)
        weights = self._base * allowed
        total: float = weights.sum()
        return weights / total if total > 0 else self._base


class DrawnBatches(Sampler[list[int]]):
    """Batches drawn with replacement; batch ``k`` depends on the seed and on ``k`` alone."""

    def __init__(
        self,
        weights: WindowWeights,
        batch_size: int,
        *,
        seed: int,
        start: int,
        stop: int,
        per_update: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        """Choose the batches ``start + rank``, ``start + rank + processes``, … below ``stop``.

        Args:
            weights: Of the windows.
            batch_size: Samples in a batch.
            seed: Of the draws.
            start: First batch of all processes.
            stop: One past the last batch of the whole run.
            per_update: Batches of all processes in an update.
            rank: Number of this process.
            processes: Number of processes.
        """
        self._weights, self._batch_size, self._seed = weights, batch_size, seed
        self._per_update, self._updates = per_update, stop // per_update
        self._batches = range(start + rank, stop, processes)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        known, cumulative = -1, np.empty(0)
        for batch in self._batches:
            update = batch // self._per_update
            if update != known:
                known = update
                cumulative = np.cumsum(self._weights.at(update / self._updates))
            positions = np.random.default_rng([self._seed, batch]).random(self._batch_size)
            # Just below the sum: rounding must not point past the last window.
            windows = np.searchsorted(cumulative, positions * cumulative[-1], side="right")
            yield np.minimum(windows, len(cumulative) - 1).tolist()


class EndlessBatches(Sampler[list[int]]):
    """Batches of sample indices, every sample once per epoch.

    Epoch ``e`` is a permutation drawn from ``(seed, e)`` and batches run across epochs, so batch
    ``k`` is the same after an interruption. Of N processes each gets every N-th batch: together
    they see the batches of one process.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int,
        start: int,
        stop: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        """Choose batches of ``size`` samples as ``DrawnBatches`` does."""
        self._size, self._batch_size, self._seed = size, batch_size, seed
        self._batches = range(start + rank, stop, processes)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        orders: dict[int, list[int]] = {}
        for batch in self._batches:
            chosen: list[int] = []
            position, missing = batch * self._batch_size, self._batch_size
            while missing:
                epoch, offset = divmod(position, self._size)
                if epoch not in orders:
                    orders = {e: o for e, o in orders.items() if e == epoch - 1}
                    orders[epoch] = self._permutation(epoch)
                taken = orders[epoch][offset : offset + missing]
                chosen += taken
                position, missing = position + len(taken), missing - len(taken)
            yield chosen

    def _permutation(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed((self._seed << 20) + epoch)
        order: list[int] = torch.randperm(self._size, generator=generator).tolist()
        return order


@dataclass(frozen=True, kw_only=True)
class BatchShare:
    """A process's share of the batches; ``batches_per_update`` are those of all processes."""

    batches_per_update: int
    rank: int = 0
    processes: int = 1


@contextmanager
def load_batches(
    config: TrainingConfig,
    windows: DemoWindows,
    share: BatchShare,
    *,
    start: int,
    pin_memory: bool = False,
) -> Iterator[Iterator[Window]]:
    """Yield an iterator over the batches of a process.

    Args:
        config: The run.
        windows: Its windows.
        share: This process's share of the batches.
        start: Updates done before.
        pin_memory: Whether batches are copied to a GPU.

    Raises:
        ConfigError: The way of sampling gives nothing on these demonstrations.
    """
    batches = iter(
        DataLoader(
            windows,
            batch_sampler=batch_order(config, windows, share, start=start),
            num_workers=config.workers or (_decoders() if windows.decodes else 0),
            pin_memory=pin_memory,
            worker_init_fn=_outlast_signals,
        )
    )
    try:
        yield batches
    finally:
        # The traceback of an error keeps the iterator, and Python would wait for its processes.
        getattr(batches, "_shutdown_workers", lambda: None)()


def _decoders() -> int:
    """Return how many processes decode ahead unless the run says so: one beside the trainer."""
    return max(1, min(_MOST_DECODERS, whole_cores() - 1))


def _outlast_signals(_: int) -> None:
    """Let a loading process leave signals meant for the whole group to the main one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))


def batch_order(
    config: TrainingConfig, windows: DemoWindows, share: BatchShare, *, start: int
) -> Sampler[list[int]]:
    """Return the sampler of a process's batches; see ``load_batches``."""
    options = {
        "seed": config.seed,
        "start": start * share.batches_per_update,
        "stop": config.updates * share.batches_per_update,
        "rank": share.rank,
        "processes": share.processes,
    }
    if config.sampling == "uniform" and config.curriculum == "none":
        return EndlessBatches(len(windows), config.batch_size, **options)
    weights = WindowWeights(windows, config)
    return DrawnBatches(weights, config.batch_size, per_update=share.batches_per_update, **options)
