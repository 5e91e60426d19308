"""Messages between the evaluation and its workers, sent through a pipe."""

from dataclasses import dataclass
from typing import Self

from policies.interface import PlanRequest
from results.latency import LatencyHistogram
from results.records import EpisodeKey, EpisodeRecord
from tasks.errors import (
    ConfigError,
    HarnessError,
    PrerequisiteError,
    ResultsError,
    SpecMismatchError,
)
from tasks.observation import FloatArray

FATAL: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (PrerequisiteError, SpecMismatchError, ConfigError, ResultsError)
}
"""Errors that end the whole evaluation, by the name under which they travel."""


@dataclass(frozen=True, kw_only=True)
class RunEpisode:
    """To a worker: run this episode."""

    key: EpisodeKey
    task_name: str
    attempt: int
    record: bool


@dataclass(frozen=True, kw_only=True)
class PlanReply:
    """To a worker: the plan it asked for, (horizon, 7), or why there is none."""

    plan: FloatArray | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """To a worker: close the environment and end."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """From a worker: it is up."""


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """From a worker that plans itself: how many steps its episode has come to."""

    step: int


@dataclass(frozen=True, kw_only=True)
class PlanQuery:
    """From a worker: it needs a plan."""

    request: PlanRequest


@dataclass(frozen=True, kw_only=True)
class EpisodeDone:
    """From a worker: the episode is finished."""

    record: EpisodeRecord


@dataclass(frozen=True, kw_only=True)
class EpisodeFailed:
    """From a worker: the episode broke.

    Attributes:
        error: What broke, on one line.
        permanent: Another try would break in the same way.
    """

    error: str
    permanent: bool = False


@dataclass(frozen=True, kw_only=True)
class Fatal:
    """From a worker: no episode can run. ``kind`` is a key of ``FATAL``."""

    kind: str
    error: str

    @classmethod
    def of(cls, error: HarnessError) -> Self:
        """Return the message of an error that is not about one episode."""
        kinds = (name for name, known in FATAL.items() if isinstance(error, known))
        return cls(kind=next(kinds, "ConfigError"), error=str(error))

    def exception(self) -> Exception:
        """Return the error that it stands for."""
        return FATAL[self.kind](self.error)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """From a pool: a worker that waited for room has a place and starts."""


@dataclass(frozen=True, kw_only=True)
class Withdrawn:
    """From a pool: a worker gives its place to a replica; its episode is to be run again."""


@dataclass(frozen=True, kw_only=True)
class Planning:
    """From a pool with replicas: a worker waits for a plan after so many steps of its episode."""

    step: int


@dataclass(frozen=True, kw_only=True)
class PlanNotes:
    """From whoever plans: what came up since its last notes. False if nothing did.

    Attributes:
        warnings: New warnings about the plans.
        latency: How long the policy's requests took, if it says so.
    """

    warnings: tuple[str, ...] = ()
    latency: LatencyHistogram | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to note."""
        return bool(self.warnings or self.latency)


NOTHING_TO_NOTE = PlanNotes()
