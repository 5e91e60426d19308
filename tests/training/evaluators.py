"""A judge that needs no simulator."""

from collections.abc import Mapping
from pathlib import Path

import torch

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.storage import load_checkpoint
from training.monitoring.evaluation import Candidate, Rate, Success, Verdict


class ScriptedJudge:
    """Says what it is told to, by the update; of 4 episodes one succeeds if nothing is.

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
        self.judged: list[int] = []
        self.told: list[Verdict] = []

    def check(self, contract: Contract) -> None:
        self.contract = contract

    def judge(self, candidate: Candidate) -> Success:
        torch.rand(7)
        load_checkpoint(candidate.checkpoint)
        self.judged.append(candidate.update)
        candidate.folder.mkdir(parents=True, exist_ok=True)
        with (candidate.folder / "calls").open("a") as file:
            file.write("x")
        said = self.script.get(candidate.update, 1)
        if isinstance(said, BaseException):
            raise said
        rate = Rate(k=said, n=4 - self.errors, low=0.0, high=1.0)
        return Success(
            overall=rate,
            per_task={"libero_object 0": rate},
            errors=self.errors,
            conditions=self.conditions,
        )

    def tell(self, verdict: Verdict) -> None:
        self.told.append(verdict)


def calls(folder: Path) -> int:
    """Return how often the checkpoint of an evaluation's folder was judged."""
    return len((folder / "calls").read_text())
