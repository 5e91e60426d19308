"""Settings of a run's data: which windows are trained on, and how images are augmented."""

from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from policies.rdt.actions.slots import Method
from tasks.demos.schema import Convention, Targets
from tasks.errors import ConfigError
from tasks.settings import changed_options, settings
from tasks.suites import Instructions

if TYPE_CHECKING:
    from policies.rdt.actions.layout import Layout

Probability = Annotated[float, Field(ge=0, lt=1)]

Camera = Literal["agentview", "wrist"]
"""Names of ``tasks.observation.CAMERAS``."""


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
    """The windows that a policy is trained on, and the masking of their inputs."""

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
    pictures: Literal["auto", "memory", "lazy", "cache"] = "auto"
    """memory: images are kept in memory at the encoder's size; lazy: read when they are needed;
    cache: read once, then kept on the disk at the encoder's size. auto keeps up to 2 GiB in memory,
    and decodes videos when they are needed."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that prepare batches; 0 prepares them in the trainer, which suits small images in
    memory, or where images are decoded ahead, in processes that leave it a core."""

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
