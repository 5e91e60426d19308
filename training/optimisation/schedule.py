"""The learning rate of every update."""

import math

from tasks.errors import ConfigError
from training.optimisation.settings import OptimisationSettings


def learning_rate(settings: OptimisationSettings, update: int) -> float:
    """Return the learning rate of an update: linear warm-up, then the schedule.

    It is a function of the update's number alone. A scheduler that accelerate prepares would
    advance once per process and make the warm-up shorter on more of them.

    Args:
        settings: The schedule.
        update: Counted from 0.
    """
    peak, warmup = settings.learning_rate, settings.warmup_updates
    if update < warmup:
        return peak * (update + 1) / warmup
    progress = (update - warmup) / max(settings.updates - warmup, 1)
    if settings.schedule == "cosine":
        return peak * 0.5 * (1.0 + math.cos(math.pi * progress))
    if settings.schedule == "linear":
        return peak * (1.0 - progress)
    return peak


def accumulation(settings: OptimisationSettings, processes: int) -> int:
    """Return the forward passes per process and update.

    Args:
        settings: With the batch sizes.
        processes: Processes that train together.

    Raises:
        ConfigError: The effective batch is no multiple of what one pass of all processes takes.
    """
    wanted, once = settings.effective_batch_size, settings.batch_size * processes
    if wanted is None:
        return 1
    if wanted % once:
        near = [each for each in (wanted // once * once, (wanted // once + 1) * once) if each]
        allowed = " or ".join(str(each) for each in near)
        raise ConfigError(
            f"--effective-batch-size {wanted} is no multiple of {once} (--batch-size "
            f"{settings.batch_size} × {processes} processes). Allowed nearby: {allowed}. "
            "Fix: give one of these, or another --batch-size."
        )
    return wanted // once
