"""Settings of an evaluation and of a sweep."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import (
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationInfo,
    field_validator,
)

from harness.capacity import MOST_THREADS, MOST_WORKERS
from harness.options import InstructionSource, Label, Numbers, read_count, read_tasks
from policies.fusion import UNFUSED, Fusion, parse_fusion
from policies.registry import PolicyConfig
from tasks.perturbation import NoiseStream
from tasks.settings import MOST_NUMBERS, MOST_SEED, settings

VOLATILE = (
    "config.workers",
    "config.hang_after",
    "config.give_up_after",
    "config.record",
    "config.hold_steps",
    "config.out",
    "config.label",
    "config.plus_assets",
    "policy.checkpoint",  # its hash decides, not its place
    "config.instructions",  # the protocol's decide
)
"""Settings that may change when a run is resumed, as no outcome depends on them."""

PINNED = ("packages.mujoco", "packages.robosuite", "init_states")
"""Entries of the provenance that must stay when a run is resumed, as every outcome depends on them:
no two versions of mujoco compute the same motion."""


def _read_fusion(value: Fusion | str) -> Fusion:
    return parse_fusion(value) if isinstance(value, str) else value


FusionRule = Annotated[InstanceOf[Fusion], BeforeValidator(_read_fusion), PlainSerializer(str)]
"""A rule, which may be given as its text and is saved as such."""


_FLAGS = {"name": "policy", "options": "option"}
"""Options of a policy's settings that are called otherwise on the command line."""


def _flag(name: str) -> str:
    return _FLAGS.get(name, name)


@settings
class EvaluationConfig:
    """One run: a policy on tasks of one suite under one protocol."""

    policy: Annotated[PolicyConfig, Parameter(name="*", name_transform=_flag)]
    """How to build the policy."""

    suite: str
    """libero_spatial, libero_object, libero_goal, libero_10, libero_90, or one of LIBERO-PRO: the
    first four with _lan, _object, _swap, _task, _with_mug, _with_yellow_book or _with_milk (some of
    them), and libero_object_temp_x0.1 to x0.5 and y0.1 to y0.5; or of LIBERO-Plus: the first four
    with _plus, or _plus_camera, _plus_robot, _plus_language, _plus_light, _plus_background,
    _plus_noise, _plus_layout."""

    out: Path
    """Folder of the run; a run that is there already goes on where it stopped."""

    tasks: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Indices or names such as 0,3 or 0-4; the whole suite by default."""

    episodes: int | None = Field(default=None, ge=1, le=MOST_NUMBERS)
    """Episodes per task, from initial states 0, 1, ...; the protocol's number by default."""

    init_states: Numbers | None = None
    """Initial states such as 0,5 or 10-19, instead of --episodes."""

    exec_horizon: Annotated[int | None, Parameter(parse=False)] = None
    """Steps executed per plan, 1 to the policy's horizon; the policy's own by default."""

    fusion: Annotated[FusionRule, Parameter(parse=False)] = UNFUSED
    """How overlapping plans are fused: a rule, or its text such as ``act:m=0.05``."""

    protocol: str = "openvla"
    """openvla, openpi, lerobot or libero: whose rules and whose scenes."""

    resolution: int | None = None
    """Height and width of the images in pixels, if other than the protocol's."""

    instructions: InstructionSource | None = None
    """What the policy is told. name, the default: the sentence in the task's file name, and in
    LIBERO-PRO's _lan and _task and LIBERO-Plus's language tasks the BDDL file's; bddl: the BDDL
    file's everywhere, as LIBERO-PRO's own runner has it; upstream: what the suite's own code says,
    in LIBERO-Plus with the words of the perturbation (… view 30 0 100 0 0 initstate 0). Or FILE.csv
    with paraphrases, such as LIBERO-Para's: an episode for each row, from initial state 0."""

    perturb: Annotated[str | None, Parameter(parse=False)] = None
    """What is changed of every task's scene or pictures, such as ``camera:h=30,v=15``."""

    noise_stream: NoiseStream | None = None
    """Where the noise of pictures is drawn from. upstream, the default: one generator through the
    episode, as in LIBERO-Plus's own code; keyed: one for each picture."""

    per_base: int | None = Field(default=None, ge=1, le=MOST_NUMBERS)
    """Of a LIBERO-Plus suite, so many tasks of each base task and dimension, always the same; of a
    file of instructions, so many sentences of each task and class."""

    offline_only: Annotated[bool, Parameter(negative=())] = False
    """Leave out LIBERO-Plus's tasks whose assets are not on this machine; tables say so."""

    plus_assets: Path | None = None
    """Folder with LIBERO-Plus's assets, or with its code."""

    seed: int | None = Field(default=None, ge=0, le=MOST_SEED)
    """Of the policy's noise, and of scenes under openpi, lerobot and libero; under openvla scenes
    are the same for every seed. The protocol's by default."""

    shard: str | None = None
    """Part of the run, such as 2/4 for the second of four, each with an --out of its own. It is
    the same part wherever it is made."""

    workers: int | None = Field(default=None, ge=1, le=MOST_WORKERS)
    """Simulations side by side; by default as many as cores and memory allow, 1.5 GB each. No
    outcome depends on it."""

    hang_after: float = Field(default=600.0, gt=0)
    """Seconds of silence after which a worker is taken to hang and is replaced. A filmed plan of
    64 steps takes up to half a minute without a GPU."""

    give_up_after: int = Field(default=5, ge=0)
    """Episodes after which to stop if all broke for the same reason; 0 for never."""

    threads: int = Field(default=1, ge=1, le=MOST_THREADS)
    """Threads of a policy that computes on the CPU; a small one is fastest with 1."""

    record: Annotated[Annotated[int, Field(ge=0)] | Literal["all"], BeforeValidator(read_count)] = 0
    """Episodes per task to film, the first ones, or all. Without a GPU filming takes most of an
    episode's time."""

    hold_steps: int = Field(default=0, ge=0, le=MOST_NUMBERS)
    """Control steps to hold still after success, recording whether it lasts."""

    label: Label | None = None
    """Name in tables; the policy's by default."""

    @field_validator("tasks", mode="before")
    @classmethod
    def _read_tasks(cls, value: Any, info: ValidationInfo) -> Any:
        return read_tasks(value, [info.data["suite"]]) if "suite" in info.data else value


@settings
class SweepConfig:
    """The axes of a sweep: a run for each combination, in ``OUT/h16-act`` and the like."""

    exec_horizon: Numbers = ()
    """Steps of a plan executed before the next plan; or several, such as 64,16,8. The policy's own
    by default."""

    fusion: str = "none"
    """How overlapping plans are fused: none, act (temporal ensembling), newest, mean, ema or
    adaptive; with options such as act:m=0.05, ema:alpha=0.5 or adaptive:alpha=0.1,plans=4; or
    several, such as none,act."""

    perturb: tuple[str, ...] = ()
    """What is changed of every task: camera:h=30,v=15,s=120,er=5,ev=5 or robot:start=57 or
    robot:offset=0.3,seed=1 or noise:fog=5 (motion, gaussian, zoom, fog, glass; 1 to 10) or
    light:diffuse=0.5 or background:floor=dark,wall=white or layout:shift=0.03; several at once with
    plus signs between them. Given several times it makes a run for each; none is one of them."""


_FOLDER_SIGNS = str.maketrans({":": "-", ",": "-", "=": "", "+": "_"})


def run_name(exec_horizon: int | None, fusion: Fusion, perturb: str | None = None) -> str:
    """Return the name of a run's folder in a sweep, such as ``h16-act`` or ``h16-act-noise-fog5``.

    Args:
        exec_horizon: Steps executed per plan; None for the policy's own.
        fusion: How overlapping plans are fused.
        perturb: What is perturbed, where that is an axis of the sweep.
    """
    horizon = "" if exec_horizon is None else f"h{exec_horizon}-"
    changed = "" if perturb is None else "-" + perturb.translate(_FOLDER_SIGNS)
    return horizon + fusion.folder_name + changed
