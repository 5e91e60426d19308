"""Settings of what is watched."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class WatchingSettings:
    """What is measured and written down while a policy is trained."""

    log_every: Annotated[int, Field(ge=1)] = 10
    """Updates between lines of train.jsonl."""
    sample_period: Annotated[int, Field(ge=0)] = 0
    """Updates between measurements of the error of sampled plans on the demonstrations that are
    held out, which choose the best checkpoint; 0 for none."""
    sample_windows: Annotated[int, Field(ge=1)] = 32
    """Windows on which plans are sampled, evenly spread."""
    track: Literal["none", "tensorboard", "wandb"] = "none"
    """Write what is logged for TensorBoard (into OUT/tensorboard) or Weights & Biases, too."""
