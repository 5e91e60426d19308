"""One command over several execution horizons and fusions, on environments without LIBERO."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.evaluation import plan as evaluation_plan
from harness.evaluation import workload
from harness.evaluation.config import EvaluationConfig, Grid
from harness.evaluation.plan import plan_sweep
from harness.evaluation.run import evaluate, execute
from policies.fusion import parse_fusions
from policies.registry import PolicyConfig
from results.folder import load_run
from tasks.errors import ConfigError, ResultsError
from tests.harness.doubles import EchoSpec, RecordingPolicy


@pytest.fixture(autouse=True)
def _no_libero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})
    monkeypatch.setattr(workload, "LiberoSpec", lambda **_: EchoSpec())


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[RecordingPolicy]:
    """Have policies recorded when they are built."""
    policies: list[RecordingPolicy] = []

    def build(self: PolicyConfig) -> RecordingPolicy:
        policies.append(RecordingPolicy())
        return policies[-1]

    monkeypatch.setattr(PolicyConfig, "build", build)
    return policies


def words(out: Path, **changes: str) -> list[str]:
    settings = {"policy": "random", "suite": "libero_object", "tasks": "0", "episodes": "2"}
    command = ["eval", "--out", str(out), "--workers", "1", "--json"]
    for name, value in (settings | changes).items():
        command += [f"--{name.replace('_', '-')}", value]
    return command


def make(out: Path, **changes: Any) -> EvaluationConfig:
    fields: dict[str, Any] = {
        "policy": PolicyConfig(name="random"),
        "suite": "libero_object",
        "out": out,
        "tasks": (0,),
        "episodes": 2,
    }
    return EvaluationConfig(**{**fields, **changes})


def lines(out: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in out.rglob("episodes.jsonl")}


@pytest.mark.slow
def test_a_sweep_is_a_run_for_each_combination_and_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], built: list[RecordingPolicy]
) -> None:
    out = tmp_path / "sweep"
    command = words(out, exec_horizon="32,4", fusion="none,adaptive:plans=4,alpha=0.2")
    assert main(command) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {(row["exec_horizon"], row["fusion"]) for row in rows} == {
        (32, "none"),
        (32, "adaptive:alpha=0.2,plans=4"),
        (4, "none"),
        (4, "adaptive:alpha=0.2,plans=4"),
    }
    assert {row["episodes"] for row in rows} == {2}
    assert {path.name for path in out.iterdir()} == {
        "h32-none",
        "h32-adaptive-alpha=0.2-plans=4",
        "h4-none",
        "h4-adaptive-alpha=0.2-plans=4",
    }
    assert len(built) == 1  # one policy served all four
    info, records = load_run(out / "h4-adaptive-alpha=0.2-plans=4")
    assert (info.config["exec_horizon"], info.config["fusion"]) == (
        4,
        "adaptive:alpha=0.2,plans=4",
    )
    assert max(record.plans for record in records) > 1
    before = lines(out)
    assert main(command) == 0
    assert lines(out) == before


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_was_cut(tmp_path: Path, capsys) -> None:
    out = tmp_path / "sweep"
    command = words(out, exec_horizon="16,8", fusion="none,mean")
    assert main(command) == 0
    whole = lines(out)
    cut = out / "h16-mean" / "episodes.jsonl"
    cut.write_text(cut.read_text().splitlines(keepends=True)[0])
    shutil.rmtree(out / "h8-none")
    capsys.readouterr()
    assert main(command) == 0
    assert len(json.loads(capsys.readouterr().out)) == 4
    again = lines(out)
    assert again["h16-none"] == whole["h16-none"]
    assert {name: text.count("\n") for name, text in again.items()} == dict.fromkeys(whole, 2)


@pytest.mark.slow
def test_one_combination_keeps_the_folder_itself(tmp_path: Path, built) -> None:
    assert main(words(tmp_path / "run", exec_horizon="4", fusion="act")) == 0
    info, _ = load_run(tmp_path / "run")
    assert (info.policy["exec_horizon"], info.policy["fusion"]) == (4, "act:m=0.01")
    assert main(words(tmp_path / "own", fusion="none,act")) == 0
    assert {path.name for path in (tmp_path / "own").iterdir()} == {"h8-none", "h8-act"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exec_horizon": "16,65"}, "exec_horizon is 65. Allowed: 1 to 64"),
        ({"exec_horizon": "16,0"}, "exec_horizon is 0"),
        ({"exec_horizon": "16,16"}, "names a number twice"),
        ({"exec_horizon": "16,-8"}, "cannot be read"),
        ({"fusion": "none,akt"}, "Unknown fusion 'akt'"),
        ({"fusion": "none,ema:alpha=2"}, "Fusion 'ema': alpha"),
        ({"fusion": "none,act,none"}, "names a rule twice"),
        ({"exec_horizon": "16,8", "episodes": "11"}, "at most 10 episodes"),
    ],
)
def test_every_combination_is_checked_before_the_first_starts(
    tmp_path: Path, capsys, changes: dict[str, str], said: str
) -> None:
    assert main(words(tmp_path / "sweep", **changes)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


@pytest.mark.slow
def test_folders_of_other_runs_are_refused_before_the_first_starts(tmp_path: Path) -> None:
    fusions = parse_fusions("none,mean")
    evaluate(make(tmp_path / "single"))
    with pytest.raises(ConfigError, match=r"holds a run of its own.*Fix"):
        plan_sweep(make(tmp_path / "single"), Grid(exec_horizons=(8, 4), fusions=fusions))
    sweep = tmp_path / "sweep"
    for plan in plan_sweep(make(sweep), Grid(exec_horizons=(4,), fusions=fusions)):
        execute(plan)
    with pytest.raises(ResultsError, match=r"h4-none.*another configuration.*seed"):
        plan_sweep(make(sweep, seed=3), Grid(exec_horizons=(8, 4), fusions=fusions))
    assert not (sweep / "h8-none").exists()
    with pytest.raises(ResultsError, match="is no run but holds"):
        plan_sweep(make(sweep), Grid(exec_horizons=(4,), fusions=fusions[:1]))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        plan_sweep(make(tmp_path / "file"), Grid(exec_horizons=(8, 4), fusions=fusions))
