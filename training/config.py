"""What a training run is."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from training.augmentation.settings import AugmentationSettings
from training.checkpoints.settings import CheckpointSettings
from training.data.settings import DataSettings
from training.losses.settings import LossSettings
from training.optimisation.settings import OptimisationSettings

VOLATILE = ("out", "save_every", "keep", "from_update", "threads", "workers")
"""Settings that may change when a run is resumed, as no weight depends on them."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrainingConfig(
    OptimisationSettings, LossSettings, DataSettings, AugmentationSettings, CheckpointSettings
):
    """Settings of a fine-tuning run; the defaults suit ``rdt-small`` on a CPU.

    What a part of training can be told stands beside that part; here it is put together.
    """

    demos: tuple[Path, ...]
    """HDF5 files in LIBERO's format, or folders of them."""
    out: Path
    """Folder of the run."""
    preset: str = "rdt-small"
    """Shape of a fresh network; not used with ``checkpoint``."""
    checkpoint: Path | None = None
    """Weights to start from; a fresh network without."""
    layout: str = "eef-velocity"
    """Mapping of states and actions to RDT's 128-vector."""

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to be resumed, as plain data."""
        plain = asdict(self)
        for name in VOLATILE:
            del plain[name]
        loaded: dict[str, Any] = json.loads(json.dumps(plain, default=str))
        return loaded
