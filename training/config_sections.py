"""Settings of a run's optimisation, loss, checkpoints and monitoring.

``training.config.TrainingConfig`` joins them with ``training.data_settings``. Options and keys of
saved configurations are flat, so a field's name is unique over all classes.
"""

import dataclasses
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tasks.errors import ConfigError
from tasks.settings import changed_options, settings

LoraTargets = Literal["attention", "attention-ffn", "all-linear"]

DEFAULT_WARMUP = 100
"""Default number of warm-up updates; the schedule ``constant`` has none."""


@settings
class MonitoringSettings:
    """Measurements and logging during training."""

    log_every: Annotated[int, Field(ge=1)] = 10
    """Updates between lines of train.jsonl."""
    sample_period: Annotated[int, Field(ge=0)] = 0
    """Updates between measurements of the error of sampled plans on the held-out demonstrations;
    0 for none. The error chooses the best checkpoint; with --eval-every it decides ties."""
    sample_windows: Annotated[int, Field(ge=1)] = 32
    """Windows on which plans are sampled, evenly spread."""
    track: Literal["none", "tensorboard", "wandb"] = "none"
    """Also write the log for TensorBoard (into OUT/tensorboard) or Weights & Biases."""
    eval_every: Annotated[int, Field(ge=0)] = 0
    """Updates between evaluations in simulation, on the tasks of the demonstrations; 0 for none.
    Success chooses the best checkpoint; the last update is evaluated, too."""
    eval_episodes: Annotated[int, Field(ge=1, le=1000)] = 5
    """--eval-every: episodes per task, always from the same sampled starts, which neither
    demonstrations nor other evaluations use."""
    eval_exec_horizon: Annotated[int, Field(ge=1)] | None = None
    """--eval-every: steps executed per plan; the policy's default if not given."""
    eval_workers: Annotated[int, Field(ge=1, le=512)] | None = None
    """--eval-every: simulations side by side; as many as cores and memory allow by default."""

    @model_validator(mode="after")
    def _check_evaluation(self) -> Self:
        changed = changed_options(self, ("eval_episodes", "eval_exec_horizon", "eval_workers"))
        if changed and not self.eval_every:
            raise ConfigError(
                f"{changed} without --eval-every: nothing is evaluated, so it would be ignored. "
                "Fix: --eval-every 500, or drop it."
            )
        return self


@settings
class CheckpointSettings:
    """When checkpoints are saved, which are kept, and where a run continues."""

    save_every: Annotated[int, Field(ge=1)] = 250
    """Updates between checkpoints, each of which is a policy and a state to resume from."""
    keep: Annotated[int, Field(ge=0)] = 4
    """Newest checkpoints to keep beside the best one; 0 keeps all."""
    from_update: Annotated[int, Field(ge=1)] | None = None
    """Roll back: continue from the checkpoint of this update, with other settings if they are
    given, and delete later checkpoints."""


@settings
class LossSettings:
    """The weights of slots in the mean squared error."""

    loss: Literal["plain", "masked", "weighted"] = "plain"
    """plain: mean over all 128 slots, as RDT is trained; masked: over the action's slots; weighted:
    over the action's slots, each divided by the variance its values have in the demonstrations,
    after --normalise."""
    std_min: Annotated[float, Field(gt=0)] = 0.01
    """weighted: smaller standard deviations count as this one."""
    std_max: Annotated[float, Field(gt=0)] = 1.0
    """weighted: larger standard deviations count as this one."""
    rotation_cap: Annotated[float, Field(gt=0)] = 4.0
    """weighted: largest weight of a rotation's slot, relative to the mean over all slots."""
    gripper_factor: Annotated[float, Field(gt=0)] = 1.0
    """weighted: factor of the gripper's weight."""

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        names = ("std_min", "std_max", "rotation_cap", "gripper_factor")
        changed = changed_options(self, names)
        if changed and self.loss != "weighted":
            raise ConfigError(
                f"{changed} with --loss {self.loss}, which has no weights by deviation: it would "
                "be ignored. Fix: --loss weighted, or drop it."
            )
        if self.std_min > self.std_max:
            raise ConfigError(
                f"--std-min {self.std_min:g} is above --std-max {self.std_max:g}. Fix: swap them."
            )
        return self


@settings
class LoraSettings:
    """Low-rank adapters (LoRA): small matrices trained beside the trunk's frozen weights."""

    lora_rank: Annotated[int, Field(ge=0)] = 0
    """Rank of the adapters of RDT's trunk, whose own weights are then frozen; 0 trains the trunk
    itself. Needs the extra lora. Saved checkpoints have the adapters merged in."""
    lora_alpha: Annotated[int, Field(ge=1)] | None = None
    """An adapter's output is scaled by this over the rank; the rank itself by default."""
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout of an adapter's inputs during training."""
    lora_targets: LoraTargets = "attention"
    """Linear layers of the trunk that get adapters: those of its attention, of its feed-forward
    parts too, or all, the embedders of timestep and frequency included."""
    lora_train_adaptors: bool = True
    """Train the adaptors of state, images and language and the trunk's last layer beside the
    adapters: they give slots and tokens their meaning, and are small. The small encoders are
    trained unless --freeze encoders."""

    @model_validator(mode="after")
    def _check_lora(self) -> Self:
        names = (entry.name for entry in dataclasses.fields(LoraSettings))
        changed = changed_options(self, names)
        if changed and not self.lora_rank:
            raise ConfigError(
                f"{changed} without --lora-rank: it would be ignored. "
                "Fix: --lora-rank 16, or drop it."
            )
        return self


@settings
class OptimisationSettings:
    """How weights are updated."""

    updates: Annotated[int, Field(ge=1)] = 2000
    """Optimiser updates."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Windows per process and forward pass."""
    effective_batch_size: Annotated[int, Field(ge=1)] | None = None
    """Windows per update over all processes; gradients are accumulated over several passes where
    one pass has fewer. By default one forward pass per process and update."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Peak learning rate of AdamW."""
    warmup: Annotated[float, Field(ge=0)] | None = None
    """Updates over which the learning rate rises, or below 1 their share of all updates; 100 by
    default, 0 under constant. Counted in updates whatever the number of processes."""
    schedule: Literal["constant", "constant_with_warmup", "cosine", "linear"] = "cosine"
    """Learning rate after the warm-up: constant, or falling to 0; constant has no warm-up."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled weight decay."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of an update's accumulated gradient."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.995
    """Decay of the averaged weights, which are the ones saved, in fp32; 0 saves the raw weights."""
    ema_warmup: bool = False
    """Let the decay rise to --ema as in RDT's code, so that the first weights are soon
    forgotten."""
    freeze: Literal["none", "encoders", "trunk"] = "none"
    """Weights that are not trained: those of the image and text encoders, or of all of RDT but its
    adaptors and last layer."""
    gradient_checkpointing: bool = False
    """Compute the blocks' activations twice instead of keeping them: less memory, more time."""
    compile: bool = False
    """Compile RDT with torch.compile."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision; weights, averages and the optimiser's moments are fp32 under each. no is
    the fastest on most CPUs."""
    seed: Annotated[int, Field(ge=0, lt=1 << 22)] = 0
    """Seed of weights, order of samples and noise."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads; 0 leaves the number to torch, within what a container gives the time of."""

    @property
    def warmup_updates(self) -> int:
        """The warm-up in updates."""
        if self.warmup is None:
            return 0 if self.schedule == "constant" else DEFAULT_WARMUP
        share = 0 < self.warmup < 1
        return max(round(self.warmup * self.updates), 1) if share else int(self.warmup)

    @model_validator(mode="after")
    def _check_warmup(self) -> Self:
        if self.schedule == "constant" and self.warmup:
            raise ConfigError(
                f"--warmup {self.warmup:g} with --schedule constant, which has no warm-up: it "
                "would be ignored. Allowed with one: constant_with_warmup, cosine, linear. "
                "Fix: --schedule constant_with_warmup, or drop --warmup."
            )
        if self.warmup is not None and self.warmup > 1 and self.warmup % 1:
            raise ConfigError(
                f"--warmup {self.warmup:g} is neither a number of updates nor a share. Allowed: "
                "whole updates from 1, or a share below 1. Fix: --warmup "
                f"{round(self.warmup)}."
            )
        return self
