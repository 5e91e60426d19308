"""The sections of a training run's configuration, one class for each part of training.

``training.config.TrainingConfig`` puts them together. Options and keys of saved configurations are
flat, so a field's name is unique over all sections.
"""

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from policies.rdt.actions.slots import Method
from tasks.demos.file import Convention, Targets
from tasks.errors import ConfigError
from tasks.settings import settings
from tasks.suites import Instructions

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from policies.rdt.actions.layout import Layout

Probability = Annotated[float, Field(ge=0, lt=1)]

Camera = Literal["agentview", "wrist"]
"""Names of ``tasks.observation.CAMERAS``."""

LoraTargets = Literal["attention", "attention-ffn", "all-linear"]

DEFAULT_WARMUP = 100
"""Default number of warm-up updates; the schedule ``constant`` has none."""


def changed_options(section: "DataclassInstance", names: Iterable[str]) -> str:
    """Name the options that are not at their defaults, such as ``--std-min, --std-max``.

    Args:
        section: The settings.
        names: Fields to look at, each of which has a default.
    """
    defaults = {entry.name: entry.default for entry in dataclasses.fields(section)}
    changed = [name for name in names if getattr(section, name) != defaults[name]]
    return ", ".join("--" + name.replace("_", "-") for name in changed)


@settings
class MonitoringSettings:
    """What is measured and logged during training."""

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
class AugmentationSettings:
    """How images are augmented: all frames of a camera in a sample alike, never flipped."""

    image_shift: Annotated[int, Field(ge=0, le=32)] = 0
    """Largest random shift of the images, in pixels of the encoder's input; 0 for none."""
    crop: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest share of an image's side that is cropped; the rest is resized to the full size."""
    colour: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Strength of colour jitter; 1 is RDT's: brightness 0.3, contrast 0.4, saturation 0.5, hue
    0.03."""
    blur: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability of a Gaussian blur."""
    motion_blur: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability of a motion blur."""
    pixel_noise: Annotated[float, Field(ge=0, le=64)] = 0.0
    """Largest standard deviation of Gaussian noise, grey levels."""
    augment: Literal["none", "official"] = "none"
    """official: RDT's --image_aug: half of all images get colour jitter, noise and blur, or both;
    no crop."""

    @property
    def photometric(self) -> bool:
        """Whether any photometric augmentation is chosen by itself."""
        return any((self.colour, self.blur, self.motion_blur, self.pixel_noise))

    @model_validator(mode="after")
    def _check_preset(self) -> Self:
        if self.augment == "official" and self.photometric:
            raise ConfigError(
                "--augment official with --colour, --blur, --motion-blur or --pixel-noise: it has "
                "its own. Fix: drop --augment, or these."
            )
        return self


@settings
class DataSettings:
    """Which windows a policy is trained on, and which of their inputs are hidden from it."""

    demos_per_task: Annotated[int, Field(ge=1)] | None = None
    """Demonstrations of each file, counted from the first, so that a larger number includes the
    demonstrations of a smaller one; all by default."""
    held_out: Annotated[int, Field(ge=0)] = 0
    """Demonstrations of each file that are never trained on, counted from the last."""
    instructions: Instructions = "name"
    """Instruction of a task: name: the sentence of its file name; bddl: the sentence of its BDDL
    file. Evaluate with the same."""
    sampling: Literal["uniform", "official", "key-moments"] = "uniform"
    """uniform: every window once per epoch; official: drawn as in RDT's code, no window before the
    arm moves, no demonstration below 128 steps, images before the first window hidden;
    key-moments: drawn, more around transitions."""
    key_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """key-moments: share of the samples that start near a transition."""
    key_radius: Annotated[int, Field(ge=0)] = 10
    """key-moments: control steps from a transition that are near."""
    late_weight: Annotated[float, Field(gt=0)] = 1.0
    """key-moments: factor of the probability of windows after the last transition."""
    curriculum: Literal["none", "late-first", "few-first"] = "none"
    """late-first: from the last quarter of each demonstration to the whole; few-first: from one
    demonstration per file to all."""
    curriculum_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the updates after which a curriculum includes all windows."""
    convention: Convention | None = None
    """Whether the rows of all files were observed before_action (OpenVLA's regenerated files) or
    after_action (LIBERO's own); by default what each file states or its numbers show."""
    targets: Targets | None = None
    """executed: the demonstrator's actions as executed; intended: without the noise that was added
    to them, where a file has these. Both contain the corrections of that noise, so of intended
    deltas only the first of a long plan lead where the demonstration went. By default intended for
    layouts of goals and executed for others."""
    tail: Literal["still", "official", "masked"] = "still"
    """Actions after a demonstration's end: still: no motion, the gripper as it was; official: the
    last action again; masked: as still, but left out of the loss."""
    condition_mask: Probability = 0.0
    """Probability of hiding the state, each image, the control frequency, the instruction and the
    slot mask, each independently; RDT was trained with 0.1."""
    mask_state: Probability | None = None
    """Probability of hiding the state, instead of --condition-mask."""
    mask_agentview: Probability | None = None
    """Probability of hiding an image of the outer camera, instead of --condition-mask."""
    mask_wrist: Probability | None = None
    """Probability of hiding an image of the wrist camera, instead of --condition-mask."""
    mask_frequency: Probability | None = None
    """Probability of hiding the control frequency, instead of --condition-mask."""
    mask_language: Probability | None = None
    """Probability of hiding the instruction, instead of --condition-mask."""
    mask_elements: Probability | None = None
    """Probability of hiding the slot mask, instead of --condition-mask."""
    state_noise_db: Annotated[float, Field(ge=0, le=200)] | None = None
    """Signal-to-noise ratio of noise on the state, dB, relative to its deviations within a
    demonstration: 40 is a hundredth of them; no noise by default."""
    normalise: Method | None = None
    """Normalisation of states and actions, measured on these demonstrations, the gripper left as
    it is: none, as in RDT's recipe; meanstd: mean 0, deviation 1; minmax, quantile: -1 to 1 from
    the smallest to the largest value, or from the 1 % to the 99 % quantile. By default that of the
    checkpoint to start from, numbers included; for a fresh network meanstd where the layout has
    goals, and none otherwise."""
    cameras: tuple[Camera, ...] | None = None
    """Cameras that the policy sees, in training and evaluation; the slots of others show the
    background, and demonstrations need not have them. By default those of the checkpoint to start
    from, and all for a fresh network."""
    pictures: Literal["auto", "memory", "lazy"] = "auto"
    """Images are kept in memory at the encoder's size, or read when they are needed; auto keeps
    up to 2 GiB of them."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that prepare batches; 0 prepares them in the trainer, which suits small images in
    memory."""

    @model_validator(mode="after")
    def _check_sampling(self) -> Self:
        changed = changed_options(self, ("key_share", "key_radius", "late_weight"))
        if changed and self.sampling != "key-moments":
            raise ConfigError(
                f"{changed} with --sampling {self.sampling}: it would be ignored. "
                "Fix: --sampling key-moments, or drop it."
            )
        share = changed_options(self, ["curriculum_share"])
        if share and self.curriculum == "none":
            raise ConfigError(
                f"{share} without a curriculum: it would be ignored. "
                "Fix: --curriculum late-first or few-first, or drop it."
            )
        return self

    @model_validator(mode="after")
    def _check_cameras(self) -> Self:
        if self.cameras is None:
            return self
        allowed = get_args(Camera)
        if not self.cameras or len(set(self.cameras)) < len(self.cameras):
            raise ConfigError(
                f"--cameras {' '.join(self.cameras) or 'without a name'} is not allowed. Allowed: "
                f"{', '.join(allowed)}, each once. Fix: --cameras {allowed[0]}."
            )
        for name in allowed:
            if name not in self.cameras and getattr(self, f"mask_{name}") is not None:
                raise ConfigError(
                    f"--mask-{name} without the camera {name}: it is hidden always, so it would "
                    f"be ignored. Fix: drop it, or add {name} to --cameras."
                )
        return self

    def targets_for(self, layout: "Layout") -> Targets:
        """Return which of a demonstration's actions are learnt under a layout."""
        return self.targets or ("intended" if layout.holds_goals else "executed")

    def method_for(self, layout: "Layout") -> Method:
        """Return how a fresh network's states and actions are normalised under a layout."""
        return self.normalise or ("meanstd" if layout.holds_goals else "none")

    def mask_probability(self, condition: str) -> float:
        """Return the probability of hiding ``state``, ``frequency``, a camera and so on."""
        probability: float | None = getattr(self, f"mask_{condition}")
        return self.condition_mask if probability is None else probability


@settings
class LossSettings:
    """What the squared error is averaged over."""

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
    """CPU threads; 0 leaves the number to torch."""

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
