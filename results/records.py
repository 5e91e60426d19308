"""The records of an episode and of a run, as they are on disk."""

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)
from pydantic import model_validator as validates
from pydantic.dataclasses import dataclass
from pydantic_core import to_jsonable_python

from results.latency import LatencyHistogram

SCHEMA_VERSION = 2
"""Version of the run folder; a reader refuses a newer one rather than misread it. Version 1 had the
policy in ``config`` as well."""

Outcome = Literal["success", "failure", "error"]
Status = Literal["running", "complete", "interrupted"]

JsonDict = Annotated[dict[str, Any], BeforeValidator(to_jsonable_python)]
"""A mapping kept as JSON: tuples become lists and paths become text when it is made."""

_FORBID = ConfigDict(extra="forbid")

_SPECIAL = (
    *("base_task", "dimension", "perturbation", "perturbation_hash", "instruction", "distance"),
    "starved_steps",
    *("dimensions", "latency"),
)
"""Fields that only perturbed or late runs and episodes have in their files, or those of a policy
that is elsewhere."""


def _without_unused(plain: dict[str, Any]) -> dict[str, Any]:
    unused = [name for name in _SPECIAL if name in plain and plain[name] is None]
    return {name: value for name, value in plain.items() if name not in unused}


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class EpisodeKey(NamedTuple):
    """The identity of an episode in a run."""

    suite: str
    task: int
    init_state: int
    seed: int


@dataclass(frozen=True, kw_only=True, config=_FORBID)
class EpisodeRecord:
    """One attempt at one episode.

    Raises:
        pydantic.ValidationError: A field is missing, unknown or of another type, a success has
            no ``first_success_step``, or an error has no text.
    """

    suite: str
    """Name of the suite."""

    task: Annotated[int, Field(ge=0)]
    """Index of the task in its suite."""

    task_name: str
    """Name of the task."""

    init_state: Annotated[int, Field(ge=0)]
    """Index of the initial state."""

    seed: int
    """Seed of the scene and of the policy's noise."""

    outcome: Outcome
    """``error`` means that the simulator or the policy broke; it says nothing about skill."""

    steps: Annotated[int, Field(ge=0)]
    """Control steps the policy executed until success or the limit; settling is not counted."""

    first_success_step: Annotated[int, Field(ge=0)] | None = None
    """Control step at which the goal first held; None if it never did."""

    plans: Annotated[int, Field(ge=0)]
    """How many times the policy was asked."""

    wall_s: Annotated[FiniteFloat, Field(ge=0)]
    """Duration in seconds, as this episode saw it; waiting for a shared policy is included."""

    video: str | None = None
    """Path of the video relative to the run folder, with forward slashes."""

    error: str | None = None
    """The error on one line; only for outcome ``error``."""

    scene_hash: str | None = None
    """Hash of the scene at the first step: the same key must always give the same scene."""

    goals_first_held: dict[str, int | None] | None = None
    """Control step at which each predicate of the goal first held, 0 for the start, None where it
    never did; None in records from before this was kept and where the episode broke."""

    held_steps: Annotated[int, Field(ge=0)] | None = None
    """Control steps after success for which the goal went on holding without a break, the arm being
    held still; None unless that was asked of a run, and without success."""

    success_held: bool | None = None
    """Whether the goal held at the last of these steps, possibly again; None as ``held_steps``."""

    attempt: Annotated[int, Field(ge=1)] = 1
    """1 for the first try; more after errors were retried."""

    starved_steps: Annotated[int, Field(ge=0)] | None = None
    """Control steps held still because no plan that had arrived covered them; None for runs without
    a delay."""

    base_task: str | None = None
    """Name of the unperturbed task that this one derives from; None if it is its own."""

    dimension: str | None = None
    """In which respect the task is perturbed, such as ``camera``, or the broadest kind of a
    paraphrase, such as ``act``; None if it is not."""

    perturbation: str | None = None
    """How it is perturbed, in full, such as ``camera:h=30,v=15``."""

    perturbation_hash: str | None = None
    """Hash of all that LIBERO-Plus's or the user's perturbation changes; beside ``scene_hash``."""

    instruction: str | None = None
    """What the policy was told, where that is not the protocol's sentence for the task."""

    distance: Annotated[FiniteFloat, Field(ge=0)] | None = None
    """How far that is from the task's own sentence: LIBERO-Para's PD, 0 for the same words."""

    @property
    def key(self) -> EpisodeKey:
        """The key of the episode, the same for every attempt."""
        return EpisodeKey(self.suite, self.task, self.init_state, self.seed)

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_unused(handler(self))

    @field_validator("video")
    @classmethod
    def _inside_the_run(cls, video: str | None) -> str | None:
        # A run folder is passed around; its videos must not point at other people's files.
        if video is not None:
            path = PurePosixPath(video)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"video is '{video}'; it must lie inside the run folder")
        return video

    @validates(mode="after")
    def _consistent(self) -> Self:
        if self.outcome == "success" and self.first_success_step is None:
            raise ValueError("a success needs first_success_step")
        if self.outcome == "error" and not self.error:
            raise ValueError("an error needs its text in 'error'")
        return self


@dataclass(frozen=True, kw_only=True, config=_FORBID)
class Resumption:
    """One time that a run was resumed."""

    at: datetime
    """When, in UTC."""

    changed: JsonDict
    """New values of the provenance's entries that differ from those at the beginning."""


@dataclass(frozen=True, kw_only=True, config=_FORBID)
class RunInfo:
    """The settings, provenance and status of a run.

    ``policy``, ``protocol``, ``tasks``, ``episodes_per_task``, ``demos`` and ``config`` decide
    what an episode's outcome means: a run is resumed only if they are the same. Hashes of a
    checkpoint therefore belong into ``policy``; ``provenance`` may change.

    Raises:
        pydantic.ValidationError: A field is missing, unknown or of another type, or ``policy``
            or ``protocol`` lacks a name or a hash.
    """

    schema_version: int = SCHEMA_VERSION
    """Version of the folder's format."""

    name: str
    """The label in tables."""

    status: Status = "running"
    """How the run stands; ``interrupted`` ends a run that can be resumed."""

    created: datetime = dataclasses.field(default_factory=_now)
    """When the run was first started, in UTC."""

    updated: datetime = dataclasses.field(default_factory=_now)
    """When ``run.json`` was last written, in UTC."""

    policy: JsonDict
    """``name`` is required; ``checkpoint``, ``exec_horizon`` (steps) and ``fusion`` are shown."""

    protocol: JsonDict
    """``name`` and ``hash`` are required; step limits and the like besides."""

    tasks: dict[str, tuple[int, ...]]
    """Indices of the tasks, for each suite in order."""

    episodes_per_task: Annotated[int, Field(ge=1)]
    """Episodes asked for per task."""

    expected_episodes: Annotated[int, Field(ge=0)]
    """Episodes of the whole run once it is complete."""

    demos: str | None = None
    """Which demonstrations the policy was trained on, on one line; None if on none or unknown."""

    perturbation: str | None = None
    """What is perturbed in every task, such as ``noise:fog=5``; None where nothing is, and where
    each task has a perturbation of its own."""

    dimensions: dict[str, dict[str, int]] | None = None
    """Episodes that the whole run has in each dimension of perturbation, by suite; None where
    nothing is perturbed."""

    config: JsonDict = dataclasses.field(default_factory=dict)
    """The resolved configuration, without the policy's."""

    provenance: JsonDict = dataclasses.field(default_factory=dict)
    """Commit, dirty flag, versions, GL renderer, hardware and hashes when the run began."""

    latency: LatencyHistogram | None = None
    """How long the requests of plans took, those of earlier parts of the run included; None for
    policies that do not say."""

    resumed: tuple[Resumption, ...] = ()
    """Each time the run was resumed, oldest first."""

    @property
    def protocol_name(self) -> str:
        """The protocol's name in tables, with the instructions if they are not the usual ones."""
        name, instructions = str(self.protocol["name"]), self.protocol.get("instructions")
        unusual = instructions in ("bddl", "upstream")
        return f"{name}, {instructions} instructions" if unusual else name

    @property
    def order_seed(self) -> int | None:
        """Seed of the order of the sequential comparison that it is an arm of; None for others."""
        seed = self.config.get("order_seed")
        return seed if isinstance(seed, int) else None

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites of the run, in order."""
        return tuple(self.tasks)

    @property
    def mujoco(self) -> str | None:
        """Version of mujoco the run was begun with; None if it does not say."""
        packages = self.provenance.get("packages")
        version = packages.get("mujoco") if isinstance(packages, dict) else None
        return None if version is None else str(version)

    def expected_of(self, suite: str) -> int:
        """Return how many of the expected episodes belong to a suite; all tasks have as many."""
        total = sum(len(indices) for indices in self.tasks.values())
        return self.expected_episodes * len(self.tasks[suite]) // total if total else 0

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_unused(handler(self))

    @validates(mode="after")
    def _identified(self) -> Self:
        for part, names in (("policy", ["name"]), ("protocol", ["name", "hash"])):
            missing = [name for name in names if not getattr(self, part).get(name)]
            if missing:
                raise ValueError(f"{part} lacks {' and '.join(missing)}")
        return self


RunRecords = tuple[RunInfo, Sequence[EpisodeRecord]]
"""A run as ``results.folder.load_run`` returns it."""

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+", re.IGNORECASE)


def error_kind(error: str) -> str:
    """Return an error's text without its numbers, which differ from episode to episode."""
    return _NUMBER.sub("#", error)


def most_frequent_error(errors: Sequence[str]) -> tuple[str, int]:
    """Return the most frequent kind of error, in its first wording, and how often it came.

    Args:
        errors: The error of each broken episode; at least one.
    """
    kind, count = Counter(map(error_kind, errors)).most_common(1)[0]
    return next(error for error in errors if error_kind(error) == kind), count
