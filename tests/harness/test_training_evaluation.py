"""In-training evaluation: in echo environments, and once in LIBERO."""

import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import Any

import h5py
import pytest

from harness import training_evaluation
from harness.cli import main
from harness.demonstrations.attempts import attempt_seed
from harness.demonstrations.config import CollectionConfig
from harness.evaluation.environments import MOST_STARTS, SampledStartSpec
from harness.evaluation.scheduler import EvaluationStatus
from harness.recipes.config import load_recipe
from harness.recipes.resolved import RecipeRun
from harness.training_evaluation import (
    FIRST_SEED,
    SimulationEvaluator,
    demonstrated_tasks,
    summarise,
)
from policies.rdt.checkpoint.storage import load_checkpoint, load_extra
from results.folder import load_run
from results.records import EpisodeRecord, Outcome
from tasks.errors import ConfigError, SimulatorError
from tasks.opengl import unavailable
from tasks.protocols import PROTOCOLS, Protocol, SampledStart, get_protocol
from tasks.rendering import Rendering
from tests.harness.doubles import EchoEnvironment, EchoSpec, Trouble
from tests.training.demo_files import write_official
from tests.training.tiny import save_tiny
from training.config import TrainingConfig
from training.run_folder import RunFolder
from training.trainer import train

STARTS = f"sampling, seeds from {FIRST_SEED}"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    write_official(tmp_path / "demos" / "libero_object" / "a_demo.hdf5", size=16)
    return {
        "demos": (tmp_path / "demos",),
        "checkpoint": save_tiny(tmp_path / "tiny"),
        "out": tmp_path / "run",
        "updates": 4,
        "batch_size": 2,
        "threads": 1,
        "eval_every": 2,
        "eval_episodes": 3,
        "eval_workers": 1,
    }


@pytest.fixture
def echoes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Evaluate in echo environments; what is put into it goes to their recipe."""
    given: dict[str, Any] = {}

    def recipe(*, suite: str, protocol: object, first_seed: int) -> EchoSpec:
        assert suite == "libero_object"
        return EchoSpec(folder=str(tmp_path), starts=STARTS, **given)

    monkeypatch.setattr(training_evaluation, "SampledStartSpec", recipe)
    monkeypatch.setattr(training_evaluation, "probe", Rendering)
    return given


class Listener:
    """Collects the messages and progress of an evaluator; can send a signal during one."""

    def __init__(self, kill_after: int | None = None) -> None:
        self.said: list[str] = []
        self.shown: list[tuple[int, int]] = []
        self._kill_after = kill_after

    def evaluator(self, settings: dict[str, Any]) -> SimulationEvaluator:
        return SimulationEvaluator(TrainingConfig(**settings), self.show, self.said.append)

    def show(self, update: int, status: EvaluationStatus) -> None:
        self.shown.append((update, status.done))
        if self._kill_after is not None and status.done >= self._kill_after:
            self._kill_after = None
            os.kill(os.getpid(), signal.SIGINT)


def trained(settings: dict[str, Any], listener: Listener) -> RunFolder:
    train(TrainingConfig(**settings), evaluator=listener.evaluator(settings))
    return RunFolder(settings["out"])


@pytest.mark.slow
def test_evaluations_of_a_training_are_ordinary_runs_under_their_own_protocol(
    settings: dict[str, Any], echoes: dict[str, Any]
) -> None:
    listener = Listener()
    folder = trained(settings, listener)
    assert folder.checkpoints.best == 4
    for update in (2, 4):
        info, records = load_run(folder.evaluation(update))
        assert info.status == "complete"
        assert info.name == f"run, update {update}"
        assert info.protocol["starts"] == STARTS
        assert info.protocol["hash"] != get_protocol(resolution=16).hash
        assert info.policy["exec_horizon"] == 8
        assert [record.init_state for record in records] == [0, 1, 2]
        noted = load_extra(folder.checkpoints.path(update))["success"]
        assert (noted["n"], noted["errors"]) == (3, 0)
        assert noted["per_task"].keys() == {"libero_object 0"}
        assert noted["k"] == sum(record.outcome == "success" for record in records)
    assert [words.split(":")[0] for words in listener.said] == [
        "Judged update 2",
        "Judged update 4",
    ]
    assert listener.shown[-1] == (4, 3)


@pytest.mark.slow
def test_ctrl_c_in_an_evaluation_ends_the_training_with_all_saved(
    settings: dict[str, Any], echoes: dict[str, Any], signals_arrive: None
) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(settings, Listener(kill_after=1))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    folder = RunFolder(settings["out"])
    assert folder.checkpoints.updates == [2]
    info, begun = load_run(folder.evaluation(2))
    assert (info.status, len(begun)) == ("interrupted", 1)
    listener = Listener()
    trained(settings, listener)
    assert (folder.evaluation(2) / "episodes.jsonl").read_text().count("\n") == 3
    assert load_run(folder.evaluation(2))[0].resumed
    assert {update for update, _ in listener.shown} == {2, 4}
    assert not any("anew" in words for words in listener.said)


@pytest.mark.slow
def test_an_evaluation_begun_otherwise_starts_anew(
    settings: dict[str, Any], echoes: dict[str, Any], signals_arrive: None
) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(settings, Listener(kill_after=1))
    listener = Listener()
    folder = trained(settings | {"eval_exec_horizon": 4, "eval_episodes": 2}, listener)
    assert "starts anew" in listener.said[0]
    info, records = load_run(folder.evaluation(2))
    assert (info.policy["exec_horizon"], len(records)) == (4, 2)


@pytest.mark.slow
def test_broken_episodes_are_told_and_a_broken_machine_costs_no_training(
    settings: dict[str, Any], echoes: dict[str, Any]
) -> None:
    echoes["troubles"] = {(0, 1): Trouble(times=9)}
    listener = Listener()
    folder = trained(settings, listener)
    assert load_extra(folder.checkpoints.folder / "best")["success"]["errors"] == 1
    assert "1 broke (RuntimeError: broke at step 0)" in listener.said[0]
    echoes["unbuildable"] = True
    failing = Listener()
    folder = trained(settings | {"out": settings["out"].with_name("failing")}, failing)
    assert folder.finished
    assert folder.checkpoints.best is None
    assert all(words.startswith("NOT JUDGED: update") for words in failing.said)
    assert "There is no EGL" in failing.said[0]


def record(state: int, outcome: Outcome, task: int = 0) -> EpisodeRecord:
    return EpisodeRecord(
        suite="libero_object",
        task=task,
        task_name="t",
        init_state=state,
        seed=7,
        outcome=outcome,
        steps=1,
        plans=1,
        wall_s=1.0,
        error="it fell" if outcome == "error" else None,
        first_success_step=1 if outcome == "success" else None,
    )


def test_errors_are_in_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record(0, "success"), record(1, "error"), record(2, "failure")]
    records += [record(0, "success", task=10), record(0, "success", task=2)]
    monkeypatch.setattr(training_evaluation, "load_run", lambda folder: (None, records))
    found = summarise([Path("x")], "c")
    assert (found.overall.k, found.overall.n, found.errors) == (3, 4, 1)
    assert list(found.per_task) == ["libero_object 0", "libero_object 2", "libero_object 10"]
    assert found.per_task["libero_object 0"].n == 2
    # Wilson's interval of 3 of 4, by its formula
    z, n, p = 1.959964, 4, 0.75
    centre, half = p + z**2 / 2 / n, z * (p * (1 - p) / n + z**2 / 4 / n**2) ** 0.5
    assert found.overall.low == pytest.approx((centre - half) / (1 + z**2 / n), abs=1e-5)
    assert found.overall.high == pytest.approx((centre + half) / (1 + z**2 / n), abs=1e-5)
    records[:] = [record(0, "error"), record(1, "error")]
    with pytest.raises(SimulatorError, match=r"All 2 episodes broke; most often: it fell"):
        summarise([Path("x")], "c")


def test_what_could_never_be_evaluated_is_refused_first(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = load_checkpoint(settings["checkpoint"])[1]
    assert demonstrated_tasks(TrainingConfig(**settings)) == {"libero_object": (0,)}
    with pytest.raises(ConfigError, match="a plan of this policy has 8 steps"):
        Listener().evaluator(settings | {"eval_exec_horizon": 9}).check(contract)
    monkeypatch.setattr(
        training_evaluation, "probe", lambda: Rendering(error=unavailable("no libEGL"))
    )
    listener = Listener()
    listener.evaluator(settings).check(contract)
    assert "no libEGL" in listener.said[0]


def test_starts_are_neither_demonstrations_nor_evaluations() -> None:
    first_demo = attempt_seed(CollectionConfig(suite="s", tasks=(0,), out=Path("x")), 0)
    seeds = range(FIRST_SEED, FIRST_SEED + MOST_STARTS)
    assert seeds.stop <= first_demo
    assert all(protocol.seed + 50 < seeds.start for protocol in PROTOCOLS.values())
    places = SampledStartSpec(suite="libero_object", protocol=get_protocol(), first_seed=FIRST_SEED)
    assert places.starts == STARTS
    others = dataclasses.replace(places, first_seed=1)
    assert places.fingerprints([0]) != others.fingerprints([0])
    assert places.init_states(0) == MOST_STARTS


def test_start_k_is_sampled_with_the_kth_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    class Asked(EchoEnvironment):
        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            asked.append({"seed": seed, **(options or {})})
            return {}, {}

    monkeypatch.setattr("tasks.environment.LiberoEnv", lambda *_, **__: Asked(max_steps=9))
    spec = SampledStartSpec(suite="libero_object", protocol=get_protocol(), first_seed=500)
    env = spec.build(0, images=False)
    env.reset(seed=7, options={"init_state": 3, "cameras": ()})
    assert asked == [{"seed": 7, "start": SampledStart(seed=503), "cameras": ()}]
    assert (env.max_steps, env.elapsed) == (9, 0)


def test_a_recipe_evaluates_the_checkpoint_that_success_chose(tmp_path: Path) -> None:
    text = (
        'title = "x"\ndemos = ["d"]\n[train]\nupdates = 4\n{}[evaluate]\n'
        'suite = "libero_object"\n[[entries]]\npolicy = "rdt"\n'
    )
    chosen = []
    for line in ("", "eval_every = 2\n"):
        (tmp_path / "r.toml").write_text(text.format(line))
        run = RecipeRun(load_recipe(str(tmp_path / "r.toml")), tmp_path / "run", workers=1)
        assert run.training is not None
        assert run.training.eval_workers == (1 if line else None)
        chosen.append(str(run.evaluations[0].policy.checkpoint))
    assert [Path(path).relative_to(tmp_path / "run" / "train") for path in chosen] == [
        Path("checkpoint"),
        Path("checkpoints/best"),
    ]


@pytest.mark.sim
@pytest.mark.slow
def test_a_training_is_evaluated_in_libero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(**given: Any) -> Protocol:
        whole = get_protocol(**given)
        return dataclasses.replace(whole, max_steps={"libero_goal": 16})

    monkeypatch.setattr(training_evaluation, "get_protocol", short)
    demos = write_official(tmp_path / "demos" / "a_demo.hdf5", size=32)
    with h5py.File(demos, "a") as file:  # the tiny policy takes eight words
        file["data"].attrs["bddl_file_name"] = "libero_goal/turn_on_the_stove.bddl"
    out = tmp_path / "run"
    words = ["train", "--demos", str(tmp_path / "demos"), "--out", str(out), "--updates", "2"]
    words += ["--checkpoint", str(save_tiny(tmp_path / "tiny", render_size=32))]
    words += ["--batch-size", "2", "--threads", "1", "--json", "--log-every", "1"]
    words += ["--eval-every", "2", "--eval-episodes", "2", "--eval-workers", "1"]
    assert main(words) == 0
    shown = capsys.readouterr()
    best = Path(json.loads(shown.out)["best"])
    assert best.resolve().name == "update-0000002"
    assert "Judged update 2: success" in shown.err
    info, records = load_run(out / "evaluations" / "update-0000002")
    assert info.protocol["starts"] == STARTS
    assert [record.outcome for record in records] == ["failure", "failure"]
    assert [record.steps for record in records] == [16, 16]
    assert len({record.scene_hash for record in records}) == 2
    assert load_extra(best)["success"]["n"] == 2
    assert main(["train-report", str(out)]) == 0
    assert main(["leaderboard", str(out / "evaluations")]) == 0
