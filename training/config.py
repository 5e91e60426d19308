"""What a training run is."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

LossWeights = Literal["plain", "masked"]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrainingConfig:
    """Settings of a fine-tuning run; the defaults suit ``rdt-small`` on a CPU."""

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
    updates: int = Field(default=2000, ge=1)
    """Optimiser updates."""
    batch_size: int = Field(default=32, ge=1)
    """Windows per process and update."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Peak learning rate of AdamW."""
    warmup: int = Field(default=100, ge=0)
    """Updates over which the learning rate rises."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """What the learning rate does after the warm-up."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay."""
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    ema: float = Field(default=0.995, ge=0, lt=1)
    """Decay of the averaged weights, which are the ones saved; 0 saves the raw weights."""
    loss: LossWeights = "plain"
    """``plain``: mean over all 128 slots, as RDT trains; ``masked``: over the action's slots."""
    image_shift: int = Field(default=0, ge=0, le=32)
    """Pictures are shifted at random by up to so many of the encoder's pixels; 0 for none."""
    condition_mask: float = Field(default=0.0, ge=0, lt=1)
    """Probability of hiding the state, and each picture, of a sample; RDT was trained with 0.1."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision of accelerate; ``no`` is fp32, the fastest on most CPUs."""
    seed: int = Field(default=0, ge=0)
    """Of weights, order of samples, noise."""
    save_every: int = Field(default=250, ge=1)
    """Updates between states a killed run resumes from."""
    threads: int = Field(default=0, ge=0)
    """CPU threads; 0 leaves it to torch."""

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to be resumed, as plain data."""
        plain = asdict(self)
        for name in ("out", "save_every", "threads"):
            del plain[name]
        loaded: dict[str, Any] = json.loads(json.dumps(plain, default=str))
        return loaded
