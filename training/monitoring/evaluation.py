"""Success in simulation: what a judge is asked, and what it says.

Whoever starts a training hands the judge in; the trainer knows nothing of how it finds out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from policies.rdt.checkpoint.contract import Contract  # its import takes torch

SUCCESS = "success"
"""Entry of a checkpoint's extra, and of a line of the log."""

NOT_JUDGED = "not judged"
"""Event in the log where an evaluation failed."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A policy to be judged.

    Attributes:
        update: Updates it was trained for.
        checkpoint: Its folder.
        folder: Where the evaluation goes; one of the same policy that is there is gone on with.
        device: Where to compute, ``cpu`` or ``cuda:0``.
    """

    update: int
    checkpoint: Path
    folder: Path
    device: str


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A success rate.

    Attributes:
        k: Successes.
        n: Episodes that count, those that broke left out.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    k: int
    n: int
    low: float
    high: float

    def __str__(self) -> str:
        """Say it in a few words."""
        share = f" = {self.k / self.n:.0%}" if self.n else ""
        return f"{self.k}/{self.n}{share} ({self.low:.0%}–{self.high:.0%})"

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"k": self.k, "n": self.n, "low": round(self.low, 4), "high": round(self.high, 4)}


@dataclass(frozen=True, kw_only=True)
class Success:
    """What an evaluation came to.

    Attributes:
        overall: Of all episodes.
        per_task: By suite and index, such as ``libero_object 3``.
        errors: Episodes that broke; they are in no rate.
        error: What broke most of them, on one line; empty if none broke.
        conditions: Identifies tasks, starts and rules: only under the same are rates comparable.
    """

    overall: Rate
    per_task: Mapping[str, Rate]
    errors: int
    conditions: str
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        tasks = {name: rate.as_dict() for name, rate in self.per_task.items()}
        kept = {"errors": self.errors, "conditions": self.conditions, "per_task": tasks}
        if self.error:
            kept["error"] = self.error
        return self.overall.as_dict() | kept


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of judging a checkpoint.

    Attributes:
        update: Its update.
        success: What the evaluation came to; None if there was none.
        best: Whether it is the best so far.
        problem: Why it was not judged.
    """

    update: int
    success: Success | None = None
    best: bool = False
    problem: str = ""

    def __str__(self) -> str:
        """Say it in a few words."""
        if self.success is None:
            return f"update {self.update} was not judged: {self.problem}"
        why = f" ({self.success.error})" if self.success.error else ""
        broken = f", {self.success.errors} broke{why}" if self.success.errors else ""
        best = ", the best so far" if self.best else ""
        return f"update {self.update}: success {self.success.overall}{broken}{best}"


class Judge(Protocol):
    """Evaluates checkpoints in simulation. It runs in the main process alone."""

    def check(self, contract: "Contract") -> None:
        """Refuse, before the first update, what it could never judge.

        Args:
            contract: Of the policy to be trained.

        Raises:
            HarnessError: It cannot, or a setting does not fit.
        """

    def judge(self, candidate: Candidate) -> Success:
        """Evaluate a checkpoint, or go on with an evaluation that was interrupted.

        Whatever it raises but KeyboardInterrupt and SystemExit leaves the checkpoint unjudged.
        """

    def tell(self, verdict: Verdict) -> None:
        """Take note of what was made of it."""


def is_better(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> bool:
    """Whether a judged checkpoint takes the place of the best one.

    More successes of the episodes asked for win; an episode that broke is none. A tie goes to the
    lower error of sampled plans where both have one, and to the later checkpoint where not.

    Args:
        new: Entry ``success`` of the later checkpoint's extra: a ``Success`` as plain data, and
            ``sampled``, the overall error of sampled plans at that update or None.
        old: That of the best; None without one. Judged under other conditions, it does not count.
    """
    if old is None or old["conditions"] != new["conditions"]:
        return True
    ours, theirs = _share(new), _share(old)
    if ours != theirs:
        return ours > theirs
    if new["sampled"] is None or old["sampled"] is None:
        return True
    return bool(new["sampled"] <= old["sampled"])


def _share(entry: Mapping[str, Any]) -> float:
    return float(entry["k"] / (entry["n"] + entry["errors"]))
