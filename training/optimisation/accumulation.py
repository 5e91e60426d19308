"""How many forward passes make an update."""

from tasks.errors import ConfigError
from training.optimisation.settings import OptimisationSettings


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
