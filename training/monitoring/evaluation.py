"""In-training evaluation: the interface of an evaluator, and its results.

The caller of ``train`` provides the evaluator; training does not depend on a simulator.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from policies.rdt.checkpoint.contract import Contract  # its import takes torch


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A checkpoint to evaluate.

    Attributes:
        checkpoint: Its folder.
        folder: Folder of the evaluation; an interrupted one of the same policy is resumed.
        device: Where the policy computes, ``cpu`` or ``cuda:0``.
    """

    update: int
    checkpoint: Path
    folder: Path
    device: str


@dataclass(frozen=True, kw_only=True)
class SuccessRate:
    """A success rate: ``k`` of ``n`` episodes without error, and its 95 % interval."""

    k: int
    n: int
    low: float
    high: float

    def __str__(self) -> str:
        share = f" = {self.k / self.n:.0%}" if self.n else ""
        return f"{self.k}/{self.n}{share} ({self.low:.0%}–{self.high:.0%})"

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"k": self.k, "n": self.n, "low": round(self.low, 4), "high": round(self.high, 4)}


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """The result of an evaluation.

    Attributes:
        overall: Success rate of all episodes.
        per_task: Success rates by suite and index, such as ``libero_object 3``.
        errors: Episodes that ended in an error; they are in no rate.
        error: The most frequent error, on one line; empty without errors.
        conditions: Identifies tasks, starts and protocol: rates are comparable only where it is
            equal.
    """

    overall: SuccessRate
    per_task: Mapping[str, SuccessRate]
    errors: int
    conditions: str
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        tasks = {name: rate.as_dict() for name, rate in self.per_task.items()}
        details = {"errors": self.errors, "conditions": self.conditions, "per_task": tasks}
        if self.error:
            details["error"] = self.error
        return self.overall.as_dict() | details


@dataclass(frozen=True, kw_only=True)
class EvaluationOutcome:
    """The end of a checkpoint's evaluation: a result, or the problem that prevented it.

    Attributes:
        best: Whether the checkpoint is the best so far.
    """

    update: int
    result: EvaluationResult | None = None
    best: bool = False
    problem: str = ""

    def __str__(self) -> str:
        if self.result is None:
            return f"update {self.update} was not judged: {self.problem}"
        why = f" ({self.result.error})" if self.result.error else ""
        broken = f", {self.result.errors} broke{why}" if self.result.errors else ""
        best = ", the best so far" if self.best else ""
        return f"update {self.update}: success {self.result.overall}{broken}{best}"


class Evaluator(Protocol):
    """Evaluates checkpoints in simulation. It runs in the main process alone."""

    def check(self, contract: "Contract") -> None:
        """Refuse a policy that could not be evaluated; called before the first update.

        Args:
            contract: Contract of the policy.

        Raises:
            HarnessError: The policy cannot be evaluated, or a setting does not fit.
        """

    def evaluate(self, candidate: Candidate) -> EvaluationResult:
        """Evaluate a checkpoint, or resume an interrupted evaluation of it.

        Any exception but KeyboardInterrupt and SystemExit leaves the checkpoint unevaluated;
        training continues.
        """

    def report(self, outcome: EvaluationOutcome) -> None:
        """Show the end of an evaluation to the user."""


def is_better(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> bool:
    """Return whether an evaluated checkpoint replaces the best one.

    The higher share of successes wins; an episode that ended in an error counts as none. The lower
    error of sampled plans decides a tie, or the later checkpoint where one has no such error.

    Args:
        new: The extra's entry ``success`` of the later checkpoint: an ``EvaluationResult`` as plain
            data, and ``sampled``, the overall error of sampled plans at that update or None.
        old: The entry of the best one; None without one. It does not count under other conditions.
    """
    if old is None or old["conditions"] != new["conditions"]:
        return True
    new_share, old_share = _success_share(new), _success_share(old)
    if new_share != old_share:
        return new_share > old_share
    if new["sampled"] is None or old["sampled"] is None:
        return True
    return bool(new["sampled"] <= old["sampled"])


def _success_share(entry: Mapping[str, Any]) -> float:
    return float(entry["k"] / (entry["n"] + entry["errors"]))
