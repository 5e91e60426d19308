"""The configuration of a training run."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from tasks.errors import ConfigError
from tasks.settings import settings
from training.config_sections import (
    CheckpointSettings,
    LoraSettings,
    LossSettings,
    MonitoringSettings,
    OptimisationSettings,
)
from training.data_settings import AugmentationSettings, DataSettings

VOLATILE = (
    *("out", "save_every", "keep", "from_update", "threads", "workers", "pictures"),
    *("log_every", "sample_period", "sample_windows", "track"),
    *("eval_every", "eval_episodes", "eval_exec_horizon", "eval_workers"),
    *("siglip", "t5", "language_cache"),
)
"""Settings that may change when a run is resumed, as no weight depends on them."""


@settings
class TrainingConfig(
    OptimisationSettings,
    LoraSettings,
    LossSettings,
    DataSettings,
    AugmentationSettings,
    CheckpointSettings,
    MonitoringSettings,
):
    """Settings of a fine-tuning run; the defaults suit ``rdt-small`` on a CPU."""

    demos: tuple[Path, ...]
    """HDF5 files in LIBERO's format, or folders of them."""
    out: Path
    """Folder of the run."""
    preset: str = "rdt-small"
    """Shape of a fresh network; not used with ``checkpoint``."""
    checkpoint: Path | None = None
    """Checkpoint to start from; a fresh network by default."""
    layout: str | None = None
    """Mapping of states and actions to RDT's 128-vector. By default that of the checkpoint to start
    from, eef-velocity where an official one does not say, and eef-goal for a fresh network."""

    siglip: str | None = None
    """Folder or hub name of SigLIP, for policies with large frozen encoders."""
    t5: str | None = None
    """Folder or hub name of T5, for policies with large frozen encoders."""
    language_cache: str | None = None
    """Folder of instructions that T5 encoded before."""

    @model_validator(mode="after")
    def _check_held_out(self) -> Self:
        if self.sample_period and not self.held_out:
            raise ConfigError(
                f"--sample-period {self.sample_period} measures on demonstrations that are held "
                "out, and none are. Fix: --held-out 1 (of each file), or drop --sample-period."
            )
        return self

    @model_validator(mode="after")
    def _check_adapters(self) -> Self:
        if self.lora_rank and self.freeze == "trunk":
            raise ConfigError(
                f"--lora-rank {self.lora_rank} with --freeze trunk: adapters are how a frozen "
                "trunk learns after all. Allowed with them: --freeze none, encoders. "
                "Fix: drop one of the two."
            )
        if self.lora_rank and self.checkpoint is None:
            raise ConfigError(
                f"--lora-rank {self.lora_rank} without --checkpoint: the trunk would stay as it "
                "was drawn at random. Fix: give the --checkpoint to adapt, or drop --lora-rank."
            )
        return self

    def identity(self) -> dict[str, Any]:
        """Return the settings that must be the same when a run is resumed, as plain data."""
        plain = asdict(self)
        for name in VOLATILE:
            del plain[name]
        loaded: dict[str, Any] = json.loads(json.dumps(plain, default=str))
        return loaded
