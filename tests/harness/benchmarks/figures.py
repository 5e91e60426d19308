"""Figures of ``bench policy`` that nobody measured."""

from typing import Any

from harness.benchmarks.config import PolicyCase
from harness.benchmarks.policy_speed import STAGES, PolicyFigures
from harness.benchmarks.subprocess_runner import BackendPair


def policy_figures(case: PolicyCase, **others: Any) -> PolicyFigures:
    pair = BackendPair(official=2.0, ours=1.0)
    figures: dict[str, Any] = {
        "device": "CPU",
        "threads": 1,
        "solver_steps": 5,
        "median": pair,
        "fastest": pair,
        "cpu": pair,
        "stages": dict.fromkeys(STAGES, pair),
        "memory_mb": {"process": 300.0},
        "joined": {"none": 0.049},
        "difference": 0.0,
    }
    return PolicyFigures(case=case, **{**figures, **others})
