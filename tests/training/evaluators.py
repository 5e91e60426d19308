"""An evaluator that needs no simulator."""

from collections.abc import Mapping
from pathlib import Path

import torch

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.storage import load_checkpoint
from training.monitoring.evaluation import (
    Candidate,
    EvaluationOutcome,
    EvaluationResult,
    SuccessRate,
)


class ScriptedEvaluator:
    """Returns successes of 4 episodes, or raises, by a script; 1 where that has no entry.

    It uses up random numbers, as evaluating a policy may, and leaves a note of each call.
    """

    def __init__(
        self,
        script: Mapping[int, int | BaseException] | None = None,
        *,
        conditions: str = "a",
        errors: int = 0,
    ) -> None:
        self.script, self.conditions, self.errors = dict(script or {}), conditions, errors
        self.contract: Contract | None = None
        self.evaluated: list[int] = []
        self.outcomes: list[EvaluationOutcome] = []

    def check(self, contract: Contract) -> None:
        self.contract = contract

    def evaluate(self, candidate: Candidate) -> EvaluationResult:
        torch.rand(7)
        load_checkpoint(candidate.checkpoint)
        self.evaluated.append(candidate.update)
        candidate.folder.mkdir(parents=True, exist_ok=True)
        with (candidate.folder / "calls").open("a") as file:
            file.write("x")
        result = self.script.get(candidate.update, 1)
        if isinstance(result, BaseException):
            raise result
        rate = SuccessRate(k=result, n=4 - self.errors, low=0.0, high=1.0)
        return EvaluationResult(
            overall=rate,
            per_task={"libero_object 0": rate},
            errors=self.errors,
            conditions=self.conditions,
        )

    def report(self, outcome: EvaluationOutcome) -> None:
        self.outcomes.append(outcome)


def calls(folder: Path) -> int:
    """Return how often the checkpoint of an evaluation's folder was evaluated."""
    return len((folder / "calls").read_text())
