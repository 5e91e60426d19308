"""The batches of a process, in the order that seed and sampling give."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch.utils.data import DataLoader, Sampler

from training.config import TrainingConfig
from training.data.sampling import DrawnBatches, EndlessBatches, WindowWeights
from training.data.windows import DemoWindows, Window


@dataclass(frozen=True, kw_only=True)
class BatchShare:
    """Which batches of a run a process gets.

    Attributes:
        batches_per_update: Batches of all processes in an update.
        rank: Number of this process.
        processes: How many there are.
    """

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
        share: Which batches are this process's.
        start: Updates done before.
        pin_memory: Whether batches are copied to a GPU.

    Raises:
        ConfigError: The way of sampling gives nothing on these demonstrations.
    """
    batches = iter(
        DataLoader(
            windows,
            batch_sampler=batch_order(config, windows, share, start=start),
            num_workers=config.workers,
            pin_memory=pin_memory,
            worker_init_fn=_outlast_signals,
        )
    )
    try:
        yield batches
    finally:
        # The traceback of an error keeps the iterator, and Python would wait for its processes.
        getattr(batches, "_shutdown_workers", lambda: None)()


def _outlast_signals(_: int) -> None:
    """Let a loading process leave signals meant for the whole group to the main one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))


def batch_order(
    config: TrainingConfig, windows: DemoWindows, share: BatchShare, *, start: int
) -> Sampler[list[int]]:
    """Return the sampler of a process; see ``load_batches``."""
    place = {
        "seed": config.seed,
        "start": start * share.batches_per_update,
        "stop": config.updates * share.batches_per_update,
        "rank": share.rank,
        "processes": share.processes,
    }
    if config.sampling == "uniform" and config.curriculum == "none":
        return EndlessBatches(len(windows), config.batch_size, **place)
    weights = WindowWeights(windows, config)
    return DrawnBatches(weights, config.batch_size, together=share.batches_per_update, **place)
