"""Writing what is logged for other programs to show."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tasks.errors import PrerequisiteError


class Tracker(Protocol):
    """Shows numbers over updates."""

    def log(self, values: Mapping[str, float], update: int) -> None:
        """Take values of an update."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder))

    def log(self, values: Mapping[str, float], update: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, update)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        import wandb

        self._run: Any = wandb.init(
            project="libero-bench", name=folder.name, dir=str(folder), config=dict(settings)
        )

    def log(self, values: Mapping[str, float], update: int) -> None:
        self._run.log(dict(values), step=update)

    def close(self) -> None:
        self._run.finish()


def open_tracker(name: str, folder: Path, settings: Mapping[str, Any]) -> Tracker | None:
    """Open a tracker.

    Args:
        name: ``tensorboard``, ``wandb``, or ``none``.
        folder: Of the run.
        settings: Of the run.

    Raises:
        PrerequisiteError: It is not installed.
    """
    if name == "none":
        return None
    try:
        if name == "tensorboard":
            return _TensorBoard(folder / "tensorboard")
        return _Wandb(folder, settings)
    except ImportError as error:
        raise PrerequisiteError(
            f"--track {name} needs the package {name}, which is not installed. "
            f"Fix: pip install 'libero-bench[{name}]'."
        ) from error
