"""Settings of an evaluation and of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
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
from harness.engines import ReplicaOptions
from harness.options import (
    InstructionSource,
    Label,
    Numbers,
    read_automatic,
    read_count,
    read_delays,
    read_tasks,
)
from policies.chunking import Chunking, parse_chunkings
from policies.delay import Delay, DelayMode, FirstPlan, read_milliseconds
from policies.fusion import UNFUSED, Fusion, parse_fusion, parse_fusions
from policies.registry import PolicyConfig
from tasks.errors import ConfigError
from tasks.perturbation import NoiseStream
from tasks.settings import MOST_NUMBERS, MOST_SEED, settings
from tasks.suites import base_suite

VOLATILE = (
    *(f"config.{option.name}" for option in fields(ReplicaOptions)),
    "config.max_batch",
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

MOST_BATCH = 4096
"""Plans that a policy is asked for at once; more are a slip."""

PINNED = ("packages.mujoco", "packages.robosuite", "init_states")
"""Entries of the provenance that must stay when a run is resumed, as every outcome depends on them:
no two versions of mujoco compute the same motion."""


def _read_fusion(value: Fusion | str) -> Fusion:
    return parse_fusion(value) if isinstance(value, str) else value


FusionRule = Annotated[InstanceOf[Fusion], BeforeValidator(_read_fusion), PlainSerializer(str)]
"""A rule, which may be given as its text and is saved as such."""


_FLAGS = {"name": "policy", "options": "option"}
"""Options of a policy's settings that are called otherwise on the command line."""


def policy_flag(name: str) -> str:
    """Return what an option of a policy's settings is called on the command line."""
    return _FLAGS.get(name, name)


@settings
class EvaluationConfig(ReplicaOptions):
    """One run: a policy on tasks of one suite under one protocol."""

    policy: Annotated[PolicyConfig, Parameter(name="*", name_transform=policy_flag)]
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

    delay: Annotated[
        Annotated[int, Field(ge=0, le=MOST_NUMBERS)] | Literal["measured"], Parameter(parse=False)
    ] = 0
    """Control steps from an observation to the plan made from it; ``measured`` for what the policy
    takes here."""

    delay_mode: DelayMode = "async"
    """What the robot does while a late plan is made. async: it goes on with the plan before, and
    the new one enters at the row for that step. pause: it holds still, then executes the new plan
    from its first row."""

    first_plan: FirstPlan = "free"
    """With a delay, whether the first plan of an episode is there at once (free), or the robot
    holds still until it is (hold)."""

    order_seed: Annotated[int | None, Parameter(parse=False)] = None
    """Of the order of a sequential comparison that the run is an arm of; None for other runs."""

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

    base_tasks: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Of a LIBERO-Plus suite, only tasks that perturb these tasks of the plain suite, indices or
    names such as 0-2: those that a policy was trained on."""

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

    workers: Annotated[
        Annotated[int, Field(ge=1, le=MOST_WORKERS)] | Literal["auto"] | None,
        BeforeValidator(read_automatic),
    ] = None
    """Simulations side by side; by default as many as cores and memory allow, 1.5 GB each. auto
    measures for up to a minute and settles for as many as the policy can plan for with a fifth of
    its time to spare. No outcome depends on it."""

    max_batch: Annotated[
        Annotated[int, Field(ge=1, le=MOST_BATCH)] | Literal["auto"] | None,
        BeforeValidator(read_automatic),
    ] = None
    """Plans that the policy is asked for at once, at most; by default for all that wait. auto
    measures for up to a minute and settles for the smallest that gives nearly most plans."""

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

    @property
    def joins_plans(self) -> bool:
        """Whether it decides how a plan and the one before it are brought together."""
        return self.fusion != UNFUSED or self.delay != 0 or "guidance" in self.policy.options

    @property
    def late(self) -> Delay:
        """How late plans are; the delay must be a number by now."""
        assert self.delay != "measured", "the delay is not measured yet"
        return Delay(steps=self.delay, mode=self.delay_mode, first=self.first_plan)

    @field_validator("tasks", mode="before")
    @classmethod
    def _read_tasks(cls, value: Any, info: ValidationInfo) -> Any:
        return read_tasks(value, [info.data["suite"]]) if "suite" in info.data else value

    @field_validator("base_tasks", mode="before")
    @classmethod
    def _read_base_tasks(cls, value: Any, info: ValidationInfo) -> Any:
        if "suite" not in info.data:
            return value
        return read_tasks(value, [base_suite(info.data["suite"])], "--base-tasks")


AnyDelay = int | Literal["measured"]
"""Control steps, or ``measured`` for those that the policy takes on this machine."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The axes of a sweep.

    Attributes:
        exec_horizons: Steps executed per plan; none for the policy's own.
        fusions: How overlapping plans are fused.
        delays: How late plans are.
        chunkings: How a chunk is joined to the one before; none for what the policy's options say.
        perturbs: What is perturbed; none for nothing.
    """

    exec_horizons: Sequence[int] = ()
    fusions: Sequence[Fusion] = (UNFUSED,)
    delays: Sequence[AnyDelay] = (0,)
    chunkings: Sequence[Chunking] = ()
    perturbs: Sequence[str] = ()

    @property
    def size(self) -> int:
        """How many combinations there are, those that cannot be included."""
        perturbs = tuple(dict.fromkeys(self.perturbs))
        axes = (self.exec_horizons, self.fusions, self.delays, self.chunkings, perturbs)
        number = 1
        for axis in axes:
            number *= max(len(axis), 1)
        return number


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

    delay: Annotated[
        tuple[Annotated[int, Field(ge=0, le=MOST_NUMBERS)] | Literal["measured"], ...],
        BeforeValidator(read_delays),
    ] = ()
    """Control steps (50 ms) from an observation to the plan made from it, or several, such as
    0,2,4; measured for what the policy takes on this machine, fixed before the first episode and
    recorded."""

    delay_ms: str | None = None
    """The same in milliseconds, such as 120 or 50,100,200; rounded up to whole steps."""

    chunking: str = ""
    """How RDT joins a plan to the one before: none; rtc (real-time chunking); rtc-blend (the same
    without a gradient); inpaint; bid; with options such as rtc:beta=5,schedule=exp; or several,
    such as none,rtc. By default what --option.guidance says."""

    @property
    def delays(self) -> tuple[AnyDelay, ...]:
        """The delays that were asked for, in control steps; 0 by default."""
        if self.delay_ms is None:
            return self.delay or (0,)
        if self.delay:
            raise ConfigError(
                f"Both --delay and --delay-ms {self.delay_ms} were given. Fix: give one of them."
            )
        return read_milliseconds(self.delay_ms)

    @property
    def grid(self) -> Grid:
        """The axes, read and checked."""
        return Grid(
            exec_horizons=self.exec_horizon,
            fusions=parse_fusions(self.fusion),
            delays=self.delays,
            chunkings=parse_chunkings(self.chunking),
            perturbs=self.perturb,
        )


_FOLDER_SIGNS = str.maketrans({":": "-", ",": "-", "=": "", "+": "_"})


def run_name(
    exec_horizon: int | None,
    fusion: Fusion,
    delay: int | str = 0,
    chunking: Chunking | None = None,
    perturb: str | None = None,
) -> str:
    """Return the name of a run's folder in a sweep, such as ``h16-act`` or ``h16-none-d4-rtc``.

    Args:
        exec_horizon: Steps executed per plan; None for the policy's own.
        fusion: How overlapping plans are fused.
        delay: How late plans are.
        chunking: How chunks are joined; None for what the policy's options say.
        perturb: What is perturbed, where that is an axis of the sweep.
    """
    parts = ["" if exec_horizon is None else f"h{exec_horizon}", fusion.folder_name]
    parts.append(f"d{delay}" if delay else "")
    parts.append("" if chunking is None or chunking.name == "none" else chunking.folder_name)
    parts.append("" if perturb is None else perturb.translate(_FOLDER_SIGNS))
    return "-".join(part for part in parts if part)
