"""What to evaluate."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, InstanceOf, PlainSerializer

from harness.capacity import MOST_THREADS, MOST_WORKERS
from harness.labels import Label
from policies.fusion import UNFUSED, Fusion, parse_fusion
from policies.registry import PolicyConfig
from tasks.settings import MOST_NUMBERS, MOST_SEED, settings
from tasks.suites import Instructions

VOLATILE = (
    "config.workers",
    "config.hang_after",
    "config.give_up_after",
    "config.record",
    "config.hold_steps",
    "config.out",
    "config.label",
    "policy.checkpoint",  # its hash decides, not its place
    "config.instructions",  # the protocol's decide
)
"""Settings that may change when a run is resumed, as no outcome depends on them."""

PINNED = ("packages.mujoco", "packages.robosuite", "init_states")
"""Entries of the provenance that must stay when a run is resumed, as every outcome depends on them:
no two versions of mujoco compute the same motion."""


def _read_fusion(given: Fusion | str) -> Fusion:
    return parse_fusion(given) if isinstance(given, str) else given


FusionRule = Annotated[InstanceOf[Fusion], BeforeValidator(_read_fusion), PlainSerializer(str)]
"""A rule, which may be given as its text and is saved as such."""


@settings
class EvaluationConfig:
    """One run: a policy on tasks of one suite under one protocol."""

    policy: PolicyConfig
    """How to build the policy."""

    suite: str
    """Name of the suite, such as ``libero_object``."""

    out: Path
    """The run folder. A run that is there already is taken up where it stopped."""

    tasks: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Indices of the tasks; all of the suite by default."""

    episodes: int | None = Field(default=None, ge=1, le=MOST_NUMBERS)
    """Episodes per task, from initial states 0, 1, …; the protocol's number by default."""

    init_states: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Initial states of every task, instead of ``episodes``."""

    exec_horizon: int | None = None
    """Steps executed per plan, 1 to the policy's horizon; the policy's own by default."""

    fusion: FusionRule = UNFUSED
    """How overlapping plans are fused: a rule, or its text such as ``act:m=0.05``."""

    protocol: str = "openvla"
    """Name of the protocol."""

    resolution: int | None = None
    """Height and width of the pictures in pixels, if other than the protocol's."""

    instructions: Instructions | None = None
    """Which sentence the policy is told, as ``tasks.suites.Task.instruction_by`` has it; the
    protocol's by default, which is ``name`` for all of them."""

    seed: int | None = Field(default=None, ge=0, le=MOST_SEED)
    """Seed of scenes and of the policy's noise; the protocol's by default."""

    shard: str | None = None
    """A part of the run, such as ``2/4``, the second of four: the same split wherever it is made,
    every episode in one shard. Each shard has a run folder of its own."""

    workers: int | None = Field(default=None, ge=1, le=MOST_WORKERS)
    """Simulations side by side, each in a process of about 1.5 GB; as many as cores and memory
    allow by default. No outcome depends on it."""

    hang_after: float = Field(default=600.0, gt=0)
    """Seconds of silence after which a worker counts as hung, is replaced and its episode tried
    elsewhere. Building a simulation takes seconds, a filmed plan of 64 steps up to half a minute
    without a GPU."""

    give_up_after: int = Field(default=5, ge=0)
    """Episodes after which the run stops if all broke, and for the same reason: so would the rest.
    0 for never. The same command tries them again."""

    threads: int = Field(default=1, ge=1, le=MOST_THREADS)
    """Threads for a policy that computes on the CPU. More help large models on cores that no
    simulation uses; a small one is fastest with 1. Last bits of a plan may depend on it."""

    record: Annotated[int, Field(ge=0)] | Literal["all"] = 0
    """Episodes per task of which videos are made, the first ones; ``all`` for every one. A video
    needs two pictures per step, which takes most of an episode's time without a GPU."""

    hold_steps: int = Field(default=0, ge=0, le=MOST_NUMBERS)
    """Control steps for which the arm is held still after success, to record how long the goal
    goes on holding. No outcome depends on it."""

    label: Label | None = None
    """The name in tables; the policy's by default."""
