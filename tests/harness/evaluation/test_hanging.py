"""Workers that fall silent: replaced, their episodes tried elsewhere, nobody else blamed."""

import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.evaluation import plan as evaluation_plan
from harness.evaluation.run import EvaluationConfig, evaluate
from policies.interface import PlanRequest
from policies.registry import PolicyConfig
from results.folder import load_run
from results.records import EpisodeKey, EpisodeRecord
from tasks.errors import SimulatorError
from tasks.observation import FloatArray
from tests.harness.doubles import EchoSpec, RecordingPolicy, Trouble

pytestmark = pytest.mark.slow

HUNG = EpisodeKey("libero_object", 0, 1, 7)


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})


def make(out: Path, **changes: Any) -> EvaluationConfig:
    fields: dict[str, Any] = {
        "policy": PolicyConfig(name="random"),
        "suite": "libero_object",
        "out": out,
        "tasks": (0,),
        "episodes": 4,
        "workers": 2,
        "hang_after": 2.0,
    }
    return EvaluationConfig(**{**fields, **changes})


def records(folder: Path) -> dict[EpisodeKey, EpisodeRecord]:
    return {r.key: dataclasses.replace(r, wall_s=0.0) for r in load_run(folder)[1]}


@pytest.mark.parametrize(("kind", "workers"), [("hang", 1), ("stop", 2)])
def test_an_episode_that_hangs_is_tried_elsewhere(tmp_path: Path, kind: str, workers: int) -> None:
    places = EchoSpec(folder=str(tmp_path), troubles={(0, 1): Trouble(kind=kind)})
    found = records(evaluate(make(tmp_path / "run", workers=workers), environments=places))
    calm = records(evaluate(make(tmp_path / "calm"), environments=EchoSpec()))
    assert found[HUNG].attempt == 2
    found[HUNG] = dataclasses.replace(found[HUNG], attempt=1)
    assert found == calm


def test_one_that_hangs_twice_is_an_error_that_says_where(tmp_path: Path) -> None:
    places = EchoSpec(folder=str(tmp_path), troubles={(0, 1): Trouble(kind="hang", times=2)})
    found = records(evaluate(make(tmp_path / "run"), environments=places))
    assert [r.key for r in found.values() if r.outcome == "error"] == [HUNG]
    assert "hung: it said nothing for 2 s" in (found[HUNG].error or "")
    assert "in execute (doubles.py, line" in (found[HUNG].error or "")


class Ponderous(RecordingPolicy):
    """Takes longer for a plan than a worker may be silent."""

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        if len(self.batches) < 2:
            time.sleep(1.5)
        return super().plan(requests)


def test_a_parent_that_plans_for_long_blames_nobody(tmp_path: Path) -> None:
    config = make(tmp_path / "run", hang_after=1.0, episodes=2)
    found = records(evaluate(config, policy=Ponderous(), environments=EchoSpec()))
    assert len(found) == 2
    assert {(r.attempt, r.error) for r in found.values()} == {(1, None)}


def test_a_run_whose_workers_all_die_gives_up(tmp_path: Path) -> None:
    """As where memory is short: the kernel kills one after the other."""
    troubles = {(0, state): Trouble(kind="die", times=9) for state in range(10)}
    config = make(tmp_path / "run", episodes=10)
    with pytest.raises(SimulatorError, match=r"6 workers died or hung .* fewer --workers"):
        evaluate(config, environments=EchoSpec(folder=str(tmp_path), troubles=troubles))
    assert load_run(tmp_path / "run")[0].status == "interrupted"
    found = records(evaluate(config, environments=EchoSpec()))
    assert len(found) == 10
    assert "error" not in {record.outcome for record in found.values()}


class Unpicklable(EchoSpec):
    """Cannot be had in another process: workers die before they are up."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os._exit, (7,))


def test_workers_that_cannot_start_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=r"exit code 7.*No worker could start.*worker-\d\.log"):
        evaluate(make(tmp_path / "run"), environments=Unpicklable())
    assert load_run(tmp_path / "run")[1] == []
