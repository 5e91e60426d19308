"""The learning rate of every update."""

import math

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
