"""Worker processes that go on with the next run of an engine."""

import os
import signal
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.evaluation import plan as evaluation_plan
from harness.evaluation.environments import EnvironmentSpec
from harness.evaluation.local_engine import LocalEngine
from harness.evaluation.plan import plan_evaluation
from harness.evaluation.run import evaluate, execute
from tests.harness.doubles import EchoSpec, RecordingPolicy, Trouble
from tests.harness.evaluation.runs import make, outcome

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})


def run(
    engine: LocalEngine, out: Path, environments: EnvironmentSpec | None = None, **changes: Any
) -> set[int | None]:
    """Run four episodes of two tasks; return the processes that are there afterwards."""
    environments = environments or EchoSpec()
    config = make(out, tasks=(0, 1), **{"workers": 2, "record": 1} | changes)
    plan = plan_evaluation(
        config, policy=RecordingPolicy(), environments=environments, engine=engine
    )
    execute(plan, engine=engine)
    return {process.pid for process in active_children()}


def test_runs_of_an_engine_share_workers_and_have_the_records_of_single_runs(
    tmp_path: Path,
) -> None:
    places = {
        "a": EchoSpec(),
        "b": EchoSpec(),
        "c": EchoSpec(folder=str(tmp_path), troubles={(1, 2): Trouble(kind="die")}),
        "d": EchoSpec(states=7),
    }
    before = {process.pid for process in active_children()}
    pids = {}
    with LocalEngine(make(tmp_path / "any")) as engine:
        for name, environments in places.items():
            pids[name] = run(engine, tmp_path / name, environments) - before
    assert pids["a"] == pids["b"]
    assert [len(each) for each in pids.values()] == [2] * 4
    assert len(pids["b"] & pids["c"]) == 1  # the other one died
    assert pids["c"] & pids["d"]  # all that were ready by then
    assert {process.pid for process in active_children()} == before
    for name in places:
        alone = evaluate(
            make(tmp_path / f"{name}-alone", tasks=(0, 1), workers=1),
            policy=RecordingPolicy(),
            environments=EchoSpec(),
        )
        attempts = {key: record.attempt for key, record in outcome(tmp_path / name).items()}
        assert attempts.pop(("libero_object", 1, 2, 7)) == (2 if name == "c" else 1)
        assert set(attempts.values()) == {1}
        assert [
            (record.key, record.outcome, record.steps, record.scene_hash)
            for _, record in sorted(outcome(tmp_path / name).items())
        ] == [
            (record.key, record.outcome, record.steps, record.scene_hash)
            for _, record in sorted(outcome(alone).items())
        ]
        assert len(list((tmp_path / name / "videos").glob("*.mp4"))) == 2
        assert len(list((tmp_path / name / "logs").glob("worker-*.log"))) >= 2


def test_a_worker_that_died_between_runs_costs_nothing(tmp_path: Path) -> None:
    with LocalEngine(make(tmp_path / "any")) as engine:
        before = run(engine, tmp_path / "a")
        for pid in before:
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert run(engine, tmp_path / "b").isdisjoint(before)
    assert {record.attempt for record in outcome(tmp_path / "b").values()} == {1}


def test_a_run_has_as_many_workers_as_it_asks_for(tmp_path: Path) -> None:
    """A single one renders with more threads, so it is not one of several."""
    with LocalEngine(make(tmp_path / "any")) as engine:
        pids = [
            run(engine, tmp_path / str(number), workers=workers)
            for number, workers in enumerate((3, 2, 3, 1, 1))
        ]
    assert [len(each) for each in pids] == [3, 2, 3, 1, 1]
    assert pids[1] < pids[0]
    assert pids[1] < pids[2]
    assert pids[3].isdisjoint(pids[2])
    assert pids[3] == pids[4]


def test_a_run_that_is_broken_off_leaves_no_worker(tmp_path: Path) -> None:
    def stop(status: object) -> None:
        raise KeyboardInterrupt

    config = make(tmp_path / "b", tasks=(0,), workers=2)
    with LocalEngine(config) as engine:
        run(engine, tmp_path / "a")
        plan = plan_evaluation(
            config, policy=RecordingPolicy(), environments=EchoSpec(), engine=engine
        )
        with pytest.raises(KeyboardInterrupt):
            execute(plan, engine=engine, progress=stop)
        assert not active_children()
        assert len(run(engine, tmp_path / "b")) == 2


@pytest.mark.sim
def test_simulations_that_stay_give_the_episodes_of_fresh_ones(tmp_path: Path) -> None:
    """A run with other pictures among them, which needs another simulation."""
    some = {"tasks": (0,), "episodes": 1, "resolution": 32, "workers": 1}
    runs = [{"exec_horizon": 64}, {"exec_horizon": 32}, {"perturb": "camera:h=20"}]
    kept, fresh = [RecordingPolicy() for _ in runs], [RecordingPolicy() for _ in runs]
    with LocalEngine(make(tmp_path / "any")) as engine:
        for number, changes in enumerate(runs):
            config = make(tmp_path / f"kept-{number}", **some | changes)
            execute(plan_evaluation(config, policy=kept[number], engine=engine), engine=engine)
    for number in (1, 2):
        config = make(tmp_path / f"fresh-{number}", **some | runs[number])
        evaluate(config, policy=fresh[number])
        assert outcome(tmp_path / f"kept-{number}") == outcome(config.out)
        assert len(kept[number].requests) == len(fresh[number].requests)
        for one, other in zip(kept[number].requests, fresh[number].requests, strict=True):
            assert one.episode == other.episode
            for here, there in zip(one.window, other.window, strict=True):
                np.testing.assert_equal(dict(here), dict(there))
