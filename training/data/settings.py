"""Settings of the data."""

from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from policies.rdt.actions.slots import Method
from tasks.demos.file import Convention, Targets
from tasks.errors import ConfigError
from tasks.settings import settings
from tasks.suites import Instructions
from training.options import changed_options

if TYPE_CHECKING:
    from policies.rdt.actions.layout import Layout

Probability = Annotated[float, Field(ge=0, lt=1)]

Camera = Literal["agentview", "wrist"]
"""Names of ``tasks.observation.CAMERAS``."""

_KEY_MOMENTS = ("key_share", "key_radius", "late_weight")


@settings
class DataSettings:
    """Which samples a policy is trained on, and what of them it is shown."""

    demos_per_task: Annotated[int, Field(ge=1)] | None = None
    """Demonstrations of each file: the first so many, so that more always contain fewer; all by
    default."""
    held_out: Annotated[int, Field(ge=0)] = 0
    """Demonstrations of each file that are never trained on: the last so many."""
    instructions: Instructions = "name"
    """Sentence that the policy is told of a task: name: the one in its file's name; bddl: the one
    in its BDDL file. Evaluate with the same."""
    sampling: Literal["uniform", "official", "key-moments"] = "uniform"
    """uniform: every window once per epoch; official: drawn as RDT's code draws, none before the
    arm moves, no demonstration below 128 steps, pictures of what was before hidden; key-moments:
    drawn, more around transitions."""
    key_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """key-moments: share of the samples that start near a transition."""
    key_radius: Annotated[int, Field(ge=0)] = 10
    """key-moments: control steps from a transition that are near."""
    late_weight: Annotated[float, Field(gt=0)] = 1.0
    """key-moments: how much likelier a window after the last transition is."""
    curriculum: Literal["none", "late-first", "few-first"] = "none"
    """late-first: from the last quarter of each demonstration to the whole; few-first: from one
    demonstration per file to all."""
    curriculum_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the updates after which a curriculum has reached everything."""
    convention: Convention | None = None
    """Whether rows were seen before_action (OpenVLA's regenerated files) or after_action (LIBERO's
    own), of all files; by default as each says, or as its numbers show."""
    targets: Targets | None = None
    """executed: what the demonstrator did; intended: the same without the noise that was added to
    it, where a file has that. What corrects the noise is in both, so that of deltas only the first
    lead a plan of many steps to where the demonstration went. By default intended for layouts of
    goals and executed for others."""
    tail: Literal["still", "official", "masked"] = "still"
    """Beyond a demonstration's end: still: no motion, the gripper as it was; official: the last
    action again; masked: as still, but not counted in the loss."""
    condition_mask: Probability = 0.0
    """Probability of hiding, each by itself, the state, each picture, the control frequency, the
    instruction and which slots mean something; RDT was trained with 0.1."""
    mask_state: Probability | None = None
    """Probability of hiding the state, instead of --condition-mask."""
    mask_agentview: Probability | None = None
    """Probability of hiding a picture of the outer camera, instead of --condition-mask."""
    mask_wrist: Probability | None = None
    """Probability of hiding a picture of the wrist's camera, instead of --condition-mask."""
    mask_frequency: Probability | None = None
    """Probability of hiding the control frequency, instead of --condition-mask."""
    mask_language: Probability | None = None
    """Probability of hiding the instruction, instead of --condition-mask."""
    mask_elements: Probability | None = None
    """Probability of hiding which slots mean something, instead of --condition-mask."""
    state_noise_db: Annotated[float, Field(ge=0, le=200)] | None = None
    """Signal-to-noise ratio of noise on the state, dB, by the deviations within a demonstration:
    40 is a hundredth of them; none by default."""
    normalise: Method | None = None
    """How states and actions are normalised, each by its own numbers in these demonstrations, the
    gripper as it is: none, as in RDT's recipe; meanstd: mean 0, deviation 1; minmax, quantile: -1
    to 1 from the smallest to the largest value, or from the 1 % to the 99 % quantile. By default as
    the checkpoint to start from has it, its numbers included; for a fresh network meanstd where the
    layout has goals, and none otherwise."""
    cameras: tuple[Camera, ...] | None = None
    """Cameras that the policy sees, in training and evaluation; the places of others show the
    background, and demonstrations need not have them. By default those of the checkpoint to start
    from, and all for a fresh network."""
    pictures: Literal["auto", "memory", "lazy"] = "auto"
    """Pictures are kept in memory at the encoder's size, or read when they are needed; auto keeps
    them up to 2 GiB."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that prepare batches; 0 prepares them in the trainer, which suits small pictures
    in memory."""

    @model_validator(mode="after")
    def _check_sampling(self) -> Self:
        given = changed_options(self, _KEY_MOMENTS)
        if given and self.sampling != "key-moments":
            raise ConfigError(
                f"{given} with --sampling {self.sampling}: it would be ignored. "
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
        """Say which of a demonstration's actions are learnt under a layout."""
        return self.targets or ("intended" if layout.holds_goals else "executed")

    def method_for(self, layout: "Layout") -> Method:
        """Say how a fresh network's states and actions are normalised under a layout."""
        return self.normalise or ("meanstd" if layout.holds_goals else "none")

    def mask(self, what: str) -> float:
        """Return the probability of hiding the state, the frequency, a camera and so on."""
        own: float | None = getattr(self, f"mask_{what}")
        return self.condition_mask if own is None else own
