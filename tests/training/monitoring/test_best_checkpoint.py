"""Checkpoints chosen by success: which, exactly once, and at no cost to the training."""

import json
from pathlib import Path
from typing import Any

import pytest

from policies.rdt.checkpoint.storage import load_extra
from tasks.errors import ConfigError
from tests.training.demo_files import write_file
from tests.training.evaluators import ScriptedEvaluator, calls
from tests.training.runs import run_apart, same, state
from tests.training.tiny import save_tiny
from training.config import TrainingConfig
from training.monitoring import best_checkpoint
from training.monitoring.evaluation import is_better
from training.monitoring.report import read_log
from training.progress import TrainingStatus
from training.run_folder import RunFolder
from training.trainer import train

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    write_file(tmp_path / "demos" / "a.hdf5", demos=3)
    return {
        "demos": [str(tmp_path / "demos")],
        "checkpoint": str(save_tiny(tmp_path / "tiny")),
        "out": str(tmp_path / "run"),
        "updates": 10,
        "batch_size": 2,
        "save_every": 2,
        "keep": 1,
        "eval_every": 3,
        "threads": 1,
        "image_shift": 2,
        "condition_mask": 0.2,
    }


def run(settings: dict[str, Any], evaluator: ScriptedEvaluator | None, progress=None) -> RunFolder:
    config = TrainingConfig(**settings)
    train(config, progress, evaluator=evaluator)
    return RunFolder(config.out)


def lines(folder: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.log.read_text().splitlines()]


def test_success_chooses_the_best_and_the_later_one_of_equals(settings: dict[str, Any]) -> None:
    evaluator = ScriptedEvaluator({3: 1, 6: 3, 9: 3, 10: 2})
    statuses: list[TrainingStatus] = []
    folder = run(settings, evaluator, statuses.append)
    assert evaluator.contract is not None
    assert evaluator.evaluated == [3, 6, 9, 10]
    assert [outcome.best for outcome in evaluator.outcomes] == [True, True, True, False]
    assert (folder.checkpoints.best, folder.checkpoints.updates) == (9, [9, 10])
    chosen = load_extra(folder.checkpoints.folder / "best")
    assert chosen["update"] == 9
    assert chosen["success"]["k"] == 3
    assert chosen["success"]["sampled"] is None
    logged = {e["update"]: e["success"] for e in read_log(folder.path) if "success" in e}
    assert {u: (e["k"], e["n"], e["best"]) for u, e in logged.items()} == {
        3: (1, 4, True),
        6: (3, 4, True),
        9: (3, 4, True),
        10: (2, 4, False),
    }
    assert logged[9]["per_task"]["libero_object 0"] == {"k": 3, "n": 4, "low": 0.0, "high": 1.0}
    seen = [status.evaluation.update if status.evaluation else None for status in statuses]
    assert seen == [None, None, 3, 3, 3, 6, 6, 6, 9, 10]
    assert "update 9: success 3/4 = 75% (0%–100%), the best so far" in map(str, evaluator.outcomes)
    run(settings, evaluator)
    assert evaluator.evaluated == [3, 6, 9, 10]  # a finished run is not evaluated again


@pytest.mark.parametrize(
    ("new", "old", "better"),
    [
        ({"k": 2}, None, True),
        ({"k": 2}, {"k": 3}, False),
        ({"k": 3}, {"k": 2}, True),
        ({"k": 2}, {"k": 2}, True),
        ({"k": 2, "sampled": 0.2}, {"k": 2, "sampled": 0.1}, False),
        ({"k": 2, "sampled": 0.1}, {"k": 2, "sampled": 0.2}, True),
        ({"k": 2, "sampled": None}, {"k": 2, "sampled": 0.1}, True),
        ({"k": 2, "sampled": 0.1}, {"k": 3, "sampled": 0.2}, False),
        ({"k": 1, "n": 1, "errors": 3}, {"k": 2}, False),  # what broke is no success
        ({"k": 0, "conditions": "b"}, {"k": 4}, True),
    ],
)
def test_better(new: dict[str, Any], old: dict[str, Any] | None, better: bool) -> None:
    usual = {"n": 4, "errors": 0, "sampled": None, "conditions": "a"}
    assert is_better(usual | new, None if old is None else usual | old) is better


def test_the_sampled_error_decides_ties_and_nothing_else(settings: dict[str, Any]) -> None:
    watched = settings | {"held_out": 1, "sample_period": 3, "sample_windows": 2, "keep": 0}
    folder = run(watched, ScriptedEvaluator({3: 2, 6: 2, 9: 2, 10: 1}))
    errors = {e["update"]: e["sampled"]["overall"] for e in read_log(folder.path) if "sampled" in e}
    assert sorted(errors) == [3, 6, 9]
    assert folder.checkpoints.best == min(errors, key=lambda update: errors[update])
    noted = {u: load_extra(folder.checkpoints.path(u))["success"]["sampled"] for u in (3, 6, 9, 10)}
    assert noted == errors | {10: None}
    low = watched | {"out": settings["out"] + "-low"}
    assert run(low, ScriptedEvaluator({3: 1, 6: 0, 9: 0, 10: 0})).checkpoints.best == 3


def test_an_evaluation_changes_no_bit(settings: dict[str, Any]) -> None:
    evaluated = run(settings | {"keep": 0}, ScriptedEvaluator({6: RuntimeError("broke")}))
    alone = settings | {"out": settings["out"] + "-alone", "keep": 0, "eval_every": 0}
    left = run(alone, None)
    for update in (6, 8):
        assert same(state(evaluated.path, update), state(left.path, update))
    for name in ("model.safetensors", "encoders.safetensors"):
        ours, theirs = evaluated.checkpoint / name, left.checkpoint / name
        assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("update", [6, 10])
def test_a_run_killed_while_it_is_evaluated_goes_on_there(
    settings: dict[str, Any], update: int
) -> None:
    whole = run(settings | {"out": settings["out"] + "-whole"}, ScriptedEvaluator({6: 2}))
    evaluator = ScriptedEvaluator({6: 2} | {update: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(settings, evaluator)
    folder = RunFolder(Path(settings["out"]))
    assert folder.checkpoints.updates[-1] == update
    assert evaluator.evaluated[-1] == update
    again = ScriptedEvaluator({6: 2})
    updates: list[int] = []
    run(settings, again, lambda status: updates.append(status.update))
    assert again.evaluated == [at for at in (3, 6, 9, 10) if at >= update]
    assert updates == list(range(update + 1, 11))
    assert folder.checkpoints.best == whole.checkpoints.best == 6
    for name in ("model.safetensors", "encoders.safetensors"):
        assert (folder.checkpoint / name).read_bytes() == (whole.checkpoint / name).read_bytes()


def test_a_kill_before_the_result_is_noted_evaluates_again(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    first = ScriptedEvaluator({3: 4})
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(best_checkpoint, "save_extra", killed)
        run(settings, first)
    again = ScriptedEvaluator({3: 4})
    folder = run(settings, again)
    assert (first.evaluated, again.evaluated) == ([3], [3, 6, 9, 10])
    assert folder.checkpoints.best == 3
    noted = [entry["update"] for entry in read_log(folder.path) if "success" in entry]
    assert noted == [3, 6, 9, 10]  # though update 3 has two lines


def test_an_evaluator_that_breaks_costs_an_evaluation_and_no_training(
    settings: dict[str, Any],
) -> None:
    evaluator = ScriptedEvaluator({3: 3, 6: RuntimeError("no EGL\nhere"), 9: 1})
    folder = run(settings, evaluator)
    assert folder.finished
    assert folder.checkpoints.best == 3
    assert str(evaluator.outcomes[1]) == "update 6 was not judged: RuntimeError: no EGL here"
    assert {
        "event": "not judged",
        "update": 6,
        "problem": "RuntimeError: no EGL here",
    } in lines(folder)
    never = ScriptedEvaluator(dict.fromkeys((3, 6, 9, 10), OSError("no")))  # type: ignore[arg-type]
    assert run(settings | {"out": settings["out"] + "-never"}, never).checkpoints.best is None


def test_other_conditions_start_afresh(settings: dict[str, Any]) -> None:
    def stop(status: TrainingStatus) -> None:
        if status.update == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(settings, ScriptedEvaluator({3: 4}), stop)
    changed = settings | {"eval_episodes": 7}
    folder = run(changed, ScriptedEvaluator({6: 1, 9: 2, 10: 1}, conditions="b"))
    assert folder.checkpoints.best == 9


def test_rolling_back_forgets_later_evaluations(settings: dict[str, Any]) -> None:
    every = settings | {"keep": 0}
    folder = run(every, ScriptedEvaluator({3: 1, 6: 0, 9: 2, 10: 1}))
    assert folder.checkpoints.best == 9
    evaluator = ScriptedEvaluator({9: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(every | {"from_update": 6}, evaluator)
    assert folder.checkpoints.best == 3  # the best of those that are left
    assert evaluator.evaluated == [9]
    assert calls(folder.evaluation(6)) == 1
    assert not folder.evaluation(10).exists()


def test_two_processes_wait_for_one_evaluation(settings: dict[str, Any]) -> None:
    launch = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")
    launch += ("--main_process_port", "0", "-m")
    run_apart(settings | {"updates": 4, "keep": 0}, launch=launch)
    folder = RunFolder(Path(settings["out"]))
    assert folder.path.with_suffix(".processes").read_text() == "2"
    assert folder.finished
    assert folder.checkpoints.best == 4
    assert [calls(folder.evaluation(update)) for update in (3, 4)] == [1, 1]


def test_settings_that_would_do_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="give train\\(\\) an evaluator"):
        run(settings, None)
    assert not Path(settings["out"]).exists()
    with pytest.raises(ConfigError, match=r"--eval-exec-horizon, --eval-workers without"):
        TrainingConfig(**(settings | {"eval_every": 0, "eval_exec_horizon": 8, "eval_workers": 1}))
