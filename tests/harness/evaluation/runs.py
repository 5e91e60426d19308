"""Small evaluations, and what of their records must not depend on time."""

import dataclasses
from pathlib import Path
from typing import Any

from harness.evaluation.config import EvaluationConfig
from policies.registry import PolicyConfig
from results.folder import load_run
from results.records import EpisodeKey, EpisodeRecord


def make(out: Path, **changes: Any) -> EvaluationConfig:
    """Ask for four episodes of each task by the policy ``random``, unless told otherwise."""
    fields: dict[str, Any] = {
        "policy": PolicyConfig(name="random"),
        "suite": "libero_object",
        "out": out,
        "episodes": 4,
    }
    return EvaluationConfig(**{**fields, **changes})


def outcome(folder: Path) -> dict[EpisodeKey, EpisodeRecord]:
    """Return what a run recorded, less how long it took."""
    return {r.key: dataclasses.replace(r, wall_s=0.0) for r in load_run(folder)[1]}
