"""Settings of what is watched."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tasks.errors import ConfigError
from tasks.settings import settings
from training.options import changed_options

_JUDGING = ("eval_episodes", "eval_exec_horizon", "eval_workers")


@settings
class WatchingSettings:
    """What is measured and written down while a policy is trained."""

    log_every: Annotated[int, Field(ge=1)] = 10
    """Updates between lines of train.jsonl."""
    sample_period: Annotated[int, Field(ge=0)] = 0
    """Updates between measurements of the error of sampled plans on the demonstrations that are
    held out, which choose the best checkpoint, or decide ties with --eval-every; 0 for none."""
    sample_windows: Annotated[int, Field(ge=1)] = 32
    """Windows on which plans are sampled, evenly spread."""
    track: Literal["none", "tensorboard", "wandb"] = "none"
    """Write what is logged for TensorBoard (into OUT/tensorboard) or Weights & Biases, too."""
    eval_every: Annotated[int, Field(ge=0)] = 0
    """Updates between evaluations of the policy in simulation, on the tasks of the demonstrations,
    which choose the best checkpoint by success; the last update is judged, too. 0 for none."""
    eval_episodes: Annotated[int, Field(ge=1, le=1000)] = 5
    """--eval-every: episodes per task, every time from the same sampled starts, which neither
    demonstrations nor other evaluations have."""
    eval_exec_horizon: Annotated[int, Field(ge=1)] | None = None
    """--eval-every: steps executed per plan; the policy's own by default."""
    eval_workers: Annotated[int, Field(ge=1, le=512)] | None = None
    """--eval-every: simulations side by side; as many as cores and memory allow by default."""

    @model_validator(mode="after")
    def _check_judging(self) -> Self:
        given = changed_options(self, _JUDGING)
        if given and not self.eval_every:
            raise ConfigError(
                f"{given} without --eval-every: nothing is evaluated, so it would be ignored. "
                "Fix: --eval-every 500, or drop it."
            )
        return self
