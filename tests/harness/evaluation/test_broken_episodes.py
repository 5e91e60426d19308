"""Episodes that break: tried again, recorded apart, and given up where all do."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.evaluation import plan as evaluation_plan
from harness.evaluation.run import evaluate
from harness.evaluation.scheduler import EvaluationStatus
from policies.interface import PlanRequest
from results.folder import load_run
from results.records import EpisodeKey
from tasks.errors import PrerequisiteError, SimulatorError
from tasks.observation import FloatArray
from tests.harness.doubles import EchoSpec, RecordingPolicy, Trouble
from tests.harness.evaluation.runs import make, outcome


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "workers"), [("raise", 1), ("raise", 2), ("die", 1), ("die", 2)])
def test_a_broken_episode_is_tried_again(tmp_path: Path, kind: str, workers: int) -> None:
    places = EchoSpec(folder=str(tmp_path), troubles={(0, 1): Trouble(kind=kind)})
    run = evaluate(make(tmp_path / "run", tasks=(0,), workers=workers), environments=places)
    calm = evaluate(make(tmp_path / "calm", tasks=(0,)), environments=EchoSpec())
    broken = EpisodeKey("libero_object", 0, 1, 7)
    records = outcome(run)
    assert records[broken].attempt == 2
    records[broken] = dataclasses.replace(records[broken], attempt=1)
    assert records == outcome(calm)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "words"), [("raise", "RuntimeError: broke"), ("die", "signal 9")])
def test_an_episode_that_breaks_twice_is_an_error_until_resumed(
    tmp_path: Path, kind: str, words: str
) -> None:
    places = EchoSpec(folder=str(tmp_path), troubles={(0, 1): Trouble(kind=kind, times=2)})
    config = make(tmp_path / "run", tasks=(0,), workers=2)
    seen: list[EvaluationStatus] = []
    records = outcome(evaluate(config, environments=places, progress=seen.append))
    broken = records[EpisodeKey("libero_object", 0, 1, 7)]
    assert broken.outcome == "error"
    assert words in (broken.error or "")
    assert sum(r.outcome == "error" for r in records.values()) == 1
    assert "1 error" in str(seen[-1])
    again = outcome(evaluate(config, environments=places))[broken.key]
    assert (again.outcome != "error", again.attempt) == (True, 3)


@pytest.mark.slow
def test_a_run_whose_first_episodes_all_break_alike_is_given_up(tmp_path: Path) -> None:
    always = {(task, state): Trouble(times=9) for task in range(3) for state in range(10)}
    places = EchoSpec(folder=str(tmp_path), troubles=always)
    config = make(tmp_path / "run", workers=2, give_up_after=3)
    with pytest.raises(SimulatorError, match=r"first 3 episodes .* RuntimeError: broke at step 0"):
        evaluate(config, environments=places)
    info, records = load_run(tmp_path / "run")
    assert (info.status, len(records)) == ("interrupted", 3)
    # Other settings change no outcome; the same run goes on where it can.
    run = evaluate(dataclasses.replace(config, give_up_after=0), environments=EchoSpec())
    assert len(outcome(run)) == 12
    assert {record.outcome for record in outcome(run).values()} <= {"success", "failure"}


@pytest.mark.slow
def test_a_run_is_not_given_up_for_one_task_or_for_several_reasons(tmp_path: Path) -> None:
    broken = {(0, state): Trouble(times=9) for state in range(4)}
    places = EchoSpec(folder=str(tmp_path), troubles=broken)
    config = make(tmp_path / "run", tasks=(0, 1), workers=2, give_up_after=4)
    records = outcome(evaluate(config, environments=places))
    assert sum(record.outcome == "error" for record in records.values()) == 4

    class Various(RecordingPolicy):
        def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
            kinds = [ValueError, KeyError, TypeError, OSError]
            raise kinds[int(requests[0].window[-1]["ee_pos"][1])]("no")

    alone = make(tmp_path / "various", tasks=(0,), workers=1, give_up_after=2)
    records = outcome(evaluate(alone, policy=Various(), environments=EchoSpec()))
    assert {record.outcome for record in records.values()} == {"error"}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_breaks_every_episode_ends_the_run_with_that_error(
    tmp_path: Path, workers: int
) -> None:
    config = make(tmp_path / "run", workers=workers)
    with pytest.raises(PrerequisiteError, match="There is no EGL"):
        evaluate(config, environments=EchoSpec(unbuildable=True))
    info, records = load_run(tmp_path / "run")
    assert (info.status, records) == ("interrupted", [])
