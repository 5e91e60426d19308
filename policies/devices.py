"""Where a policy computes."""

from tasks.errors import ConfigError, PrerequisiteError


def resolve_device(name: str) -> str:
    """Give the name of a device that is there.

    Args:
        name: ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        ConfigError: There is no such name.
        PrerequisiteError: It is a CUDA device, and torch sees none.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise ConfigError(f"Unknown device '{name}'. Allowed: auto, cpu, cuda, cuda:N.") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise PrerequisiteError(
            f"Device '{name}' was asked for, but torch sees no CUDA device. "
            "Fix: use --device cpu, or install a CUDA build of torch."
        )
    return name
