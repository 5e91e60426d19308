"""The sections of the facts, with each fact's meaning; None where no input says anything."""

from dataclasses import fields
from typing import Any, Literal

from pydantic import ConfigDict, PositiveInt
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid")

Code = Literal["official", "libero-bench", "other"]
"""Owner of the training code: thu-ml/RoboticsDiffusionTransformer or a fork of it, us, others."""

Gripper = Literal["opening", "command", "closing", "fingers"]
"""Meaning of a gripper's slot: 1 = open; LIBERO's −1 open and +1 close; 1 = closed; metres."""

Rotation = Literal["delta-axis-angle", "delta-6d", "pose", "joints"]

Statistics = Literal["none", "action", "state"]
"""The statistics that actions are normalised with."""

Mask = Literal["union", "state", "action"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PolicyInterface:
    """Inputs and outputs of a policy, which must be the same in training and evaluation."""

    cameras: tuple[str, ...] | None = None
    """Cameras shown, in this project's names where they are known."""
    camera_count: int | None = None
    """Their number, where only that is stated."""
    missing_camera: Literal["background", "zeros", "repeated"] | None = None
    """The image in place of a missing camera."""
    orientation: Literal["rotate180", "raw", "flipped"] | None = None
    """``rotate180``: upright; ``raw``: as rendered, upside down; ``flipped``: mirrored."""
    render_size: int | None = None
    """Height and width of rendered images, pixels; 0 for any."""
    image_size: int | None = None
    """Height and width the encoder takes, pixels."""
    history: int | None = None
    """Control steps of images."""
    horizon: int | None = None
    """Steps in a plan."""
    control_hz: float | None = None
    """Control frequency that conditions the policy, Hz."""
    norm: Literal["variance", "mean_square"] | None = None
    """Divisor of RDT's norms."""
    normalisation: Statistics | None = None
    """How actions are normalised."""
    text_encoder: str | None = None
    """Identity of the text encoder."""
    instruction: Literal["sentence", "plain"] | None = None
    """``sentence``: a capital first and a full stop last; ``plain``: as LIBERO writes them."""
    state_slots: tuple[int, ...] | None = None
    """Slots of the 128-vector that a state fills."""
    action_slots: tuple[int, ...] | None = None
    """Slots of the 128-vector that an action fills."""
    delta_slots: tuple[int, ...] | None = None
    """Those of the action slots that hold deltas of the hand."""
    goals: bool | None = None
    """Whether an action is a goal pose of the hand in the world frame."""
    rotation: Rotation | None = None
    """How actions hold rotations."""
    mask: Mask | None = None
    """The slot mask that conditions RDT."""
    gripper: Gripper | None = None
    """Meaning of an action's gripper slot."""
    gripper_slot: int | None = None
    gripper_state: Gripper | None = None
    """Meaning of a state's gripper slot."""
    gripper_state_slot: int | None = None
    """The first slot of a state's gripper."""

    @property
    def number_of_cameras(self) -> int | None:
        """How many cameras are shown; None where that is not known."""
        return self.camera_count if self.cameras is None else len(self.cameras)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Training:
    """How weights are trained."""

    code: Code | None = None
    network: str | None = None
    """Preset of RDT, such as ``rdt-1b``."""
    start: str | None = None
    """Weights that training starts from; empty for random ones."""
    missing_flags: tuple[str, ...] = ()
    """Flags without which the code stops."""
    processes: PositiveInt | None = None
    batch: PositiveInt | None = None
    """Samples per process and micro-batch."""
    accumulation: PositiveInt | None = None
    """Micro-batches per update."""
    effective_batch: PositiveInt | None = None
    """Samples per update, where that is what is set."""
    updates: PositiveInt | None = None
    """Optimiser updates."""
    lora_rank: int | None = None
    """Rank of low-rank adapters; 0 where the weights themselves are trained."""
    adapters: bool | None = None
    """Whether low-rank adapters are trained; None where only their rank is stated."""
    learning_rate: float | None = None
    scale_lr: bool | None = None
    """Whether the learning rate is multiplied by the effective batch."""
    scheduler: str | None = None
    warmup: float | None = None
    """Requested updates of warm-up; below 1, their share of all updates."""
    precision: Literal["no", "bf16", "fp16"] | None = None
    deepspeed: bool | None = None
    deepspeed_clips: bool | None = None
    """Whether DeepSpeed's configuration has ``gradient_clipping``."""
    visible_devices: tuple[str, ...] | None = None
    """Devices that CUDA_VISIBLE_DEVICES shows a training on one machine."""
    device_filter: str | None = None
    """The option by which the launcher deepspeed chooses devices, such as ``--include=…``."""
    unset: tuple[str, ...] = ()
    """Variables in the command that nothing in the script sets."""
    fork: str | None = None
    """Repository whose loader is known, by the name of its program."""
    promised_accumulation: int | None = None
    """Accumulation that a comment in the script promises."""
    promised_batch: int | None = None
    """Samples per update that a comment in the script promises."""
    weights: Literal["float32", "bfloat16", "float16"] | None = None
    """Dtype of the weights that the optimiser changes."""
    clip: float | None = None
    """Requested largest gradient norm."""
    ema: bool | None = None
    """Whether averaged weights are kept."""
    ema_dtype: Literal["float32", "bfloat16", "float16"] | None = None
    loss: Literal["plain", "masked", "weighted"] | None = None
    action_std: tuple[float, ...] | None = None
    """Standard deviation of each number of an action, as the network receives it."""
    augmentation: bool | None = None
    """Whether images are augmented."""
    flips: bool | None = None
    """Whether augmentation mirrors images."""
    shift: float | None = None
    """Largest random shift, as a share of the image's width."""
    crop: float | None = None
    """Smallest share of the area that a random crop keeps."""
    hue: float | None = None
    """Largest change of hue, of 0.5 at most."""
    condition_mask: float | None = None
    """Probability of hiding each condition."""
    state_noise_db: float | None = None
    targets: str | None = None
    """The actions of a demonstration that are learnt: executed or intended."""
    demos: int | None = None
    tasks: int | None = None
    demo_steps: PositiveInt | None = None
    """Control steps of a demonstration, about."""
    shortest_demo: int | None = None
    """Control steps of the shortest one."""
    save_every: PositiveInt | None = None
    """Updates between checkpoints."""
    keep: int | None = None
    """Number of checkpoints that are kept."""
    sample_every: int | None = None
    """Updates between measurements of the sampled action error; 0 or less for none."""
    judge_every: PositiveInt | None = None
    """Updates between evaluations in simulation, by which the best checkpoint is chosen and kept;
    None where that is not done."""
    loader_workers: int | None = None
    seeded: bool | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Evaluation:
    """How success is measured."""

    evaluator: Literal["rdt", "openpi", "openvla", "lerobot"] | None = None
    """Owner of the evaluating code, where it is not ours."""
    suite: str | None = None
    checkpoint: str | None = None
    averaged: bool | None = None
    """Whether averaged (EMA) weights are evaluated."""
    exec_horizons: tuple[PositiveInt, ...] | None = None
    """Steps executed per plan; several in a sweep."""
    fusion: str | None = None
    """Temporal ensembling."""
    max_steps: int | None = None
    episodes: int | None = None
    """Episodes per task."""
    video_fps: float | None = None
    mujoco: str | None = None
    """Requirement of mujoco, as pip writes it: ``==3.2.3``, ``>=3.1,<3.4``, ``*``."""
    enforced: bool | None = None
    """Whether facts of the interface that are not stated are the checkpoint's, as under
    ``libero-bench eval``."""


SECTIONS: dict[str, Any] = {
    "training": Training,
    "evaluation": Evaluation,
    "trained": PolicyInterface,
    "evaluated": PolicyInterface,
}
"""The parts of the facts that inputs fill."""


def fact_names(section: str) -> tuple[str, ...]:
    """Return the names of a section's facts."""
    return tuple(entry.name for entry in fields(SECTIONS[section]))
