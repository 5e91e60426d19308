"""Sequential comparisons, end to end on environments without LIBERO."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.decisions.config import DecisionConfig, PolicyArm, read_arm
from harness.decisions.run import BLOCK, Decision, decide
from harness.evaluation import plan as evaluation_plan
from harness.evaluation import workload
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.run import evaluate
from policies.registry import PolicyConfig
from results.comparison.comparison import compare_runs
from results.folder import load_run
from results.leaderboard.columns import shown_columns
from results.leaderboard.rows import rows_from_runs
from tasks.errors import ConfigError, ResultsError
from tests.harness.doubles import EchoSpec, Trouble

RANDOM, NOOP = "random --exec-horizon 8", "noop --label still"


@pytest.fixture(autouse=True)
def _no_libero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})
    monkeypatch.setattr(workload, "LiberoSpec", lambda **_: EchoSpec(states=30))


def make(out: Path, **changes: Any) -> DecisionConfig:
    fields: dict[str, Any] = {
        "out": out,
        "suite": "libero_object",
        "tasks": (0, 1, 2),
        "episodes": 30,
        "workers": 1,
    }
    return DecisionConfig(**{**fields, **changes})


def verdict(decision: Decision) -> dict[str, Any]:
    """What is said of the pairs, whoever ran them."""
    plain = decision.as_dict()
    return {name: plain[name] for name in ("contrasts", "pairs_looked_at", "reason")}


def test_it_stops_once_decided_and_a_second_time_reads(tmp_path: Path) -> None:
    steps: list[float] = []
    decision = decide(
        [NOOP, RANDOM], make(tmp_path / "d"), progress=lambda j, since: steps.append(since)
    )
    (contrast,) = decision.judgement.contrasts
    assert (contrast.verdict, decision.reason) == ("B is better", "decided")
    assert contrast.e_value >= 20
    assert contrast.counts.only_a == 0
    assert contrast.counts.only_b == 8  # 2^8/9 is the first to pass 20
    ran = len(load_run(tmp_path / "d" / "arms" / "A")[1])
    assert decision.judgement.looked_at <= ran < 90
    assert ran % BLOCK == 0
    assert len(steps) > 2
    before = {p: p.read_bytes() for p in (tmp_path / "d").rglob("*.json*")}
    again = decide([NOOP, RANDOM], make(tmp_path / "d"))
    assert verdict(again) == verdict(decision)
    assert {p: p.read_bytes() for p in (tmp_path / "d").rglob("*.json*")} == before
    on_disk = json.loads((tmp_path / "d" / "decision.json").read_text())
    assert on_disk["contrasts"] == verdict(decision)["contrasts"]


def test_sides_that_are_the_same_policy_are_told_apart(tmp_path: Path) -> None:
    arms, config = [RANDOM, f"{RANDOM} --delay 4", NOOP], make(tmp_path / "d", max_episodes=2)
    decision = decide(arms, config)
    assert [arm.name for arm in decision.arms] == ["random", "random · delay 4", "still"]
    assert verdict(decide(arms, config)) == verdict(decision)


@pytest.mark.slow
def test_workers_and_kills_do_not_change_the_verdict(tmp_path: Path) -> None:
    arms = [RANDOM, "random --exec-horizon 64"]
    config = {"max_episodes": 18, "order_seed": 4}
    alone = decide(arms, make(tmp_path / "one", **config))
    assert verdict(alone) == verdict(decide(arms, make(tmp_path / "two", workers=2, **config)))
    # Killed within the first block, then resumed.
    part = tmp_path / "two"
    file = part / "arms" / "B" / "episodes.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:7]))
    assert verdict(decide(arms, make(part, **config))) == verdict(alone)
    # More episodes go on from there, in the same order.
    more = decide(arms, make(part, **(config | {"max_episodes": 24})))
    assert more.judgement.looked_at == 24 or more.reason == "decided"


@pytest.mark.slow
def test_finished_runs_are_used_again_and_policies_run_what_they_have(tmp_path: Path) -> None:
    evaluate(
        EvaluationConfig(
            policy=PolicyConfig(name="random"),
            suite="libero_object",
            out=tmp_path / "run",
            tasks=(0, 1),
            episodes=20,
            workers=1,
        ),
    )
    own = DecisionConfig(out=tmp_path / "d", workers=1)
    decision = decide([str(tmp_path / "run"), NOOP], own)
    assert decision.judgement.contrasts[0].verdict == "A is better"
    assert {key.task for key in decision.order} == {0, 1}
    assert len(decision.order) == 40
    # The same as when both are evaluated.
    both = make(tmp_path / "both", tasks=(0, 1), episodes=20)
    assert verdict(decide(["random", NOOP], both)) == verdict(decision)
    episodes = tmp_path / "run" / "episodes.jsonl"
    lines = episodes.read_text().splitlines(keepends=True)
    episodes.write_text("".join(lines[:-3]))
    with pytest.raises(ConfigError, match=r"lacks 3 of 40 episodes.*Fix"):
        decide([str(tmp_path / "run"), NOOP], make(tmp_path / "e", tasks=(0, 1), episodes=20))
    assert not (tmp_path / "e").exists()


@pytest.mark.slow
def test_broken_episodes_are_left_out_and_not_tried_for_ever(tmp_path: Path) -> None:
    troubles = {(0, 3): Trouble(times=99)}
    broken = EchoSpec(states=30, folder=str(tmp_path), troubles=troubles)
    config = make(tmp_path / "d", tasks=(0,), margin=90)
    arms = ["noop --label same", NOOP]
    decision = decide(arms, config, environments=broken)
    (contrast,) = decision.judgement.contrasts
    position = next(i for i, key in enumerate(decision.order) if key.init_state == 3)
    assert contrast.errors == int(decision.judgement.looked_at > position)
    assert contrast.verdict == "no difference that matters"
    assert verdict(decide(arms, config, environments=broken)) == verdict(decision)
    whole = decide(arms, make(tmp_path / "e", tasks=(0,)), environments=broken)
    assert whole.judgement.contrasts[0].errors == 1
    assert whole.reason == "all episodes done"


@pytest.mark.slow
def test_a_stopped_run_has_no_interval_for_a_fixed_number(tmp_path: Path) -> None:
    decide([NOOP, RANDOM], make(tmp_path / "d"))
    runs = [tmp_path / "d" / "arms" / name for name in "AB"]
    rows = rows_from_runs([load_run(run) for run in runs])
    assert all(row.stopped and row.rank is None for row in rows)
    assert all("stopped by libero-bench decide" in "; ".join(row.notes) for row in rows)
    assert not any(column.key in ("interval", "method") for column in shown_columns(rows))
    with pytest.raises(ResultsError, match="stopped by libero-bench decide"):
        compare_runs(runs)
    with pytest.raises(ResultsError, match="another configuration"):
        evaluate(
            EvaluationConfig(
                policy=PolicyConfig(name="noop"),
                suite="libero_object",
                out=runs[0],
                episodes=30,
                workers=1,
                label="still",
            )
        )


@pytest.mark.slow
def test_several_policies_and_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["decide", NOOP, "noop --exec-horizon 2", RANDOM, "--suite", "libero_object"]
    words += ["--episodes", "30", "--out", str(tmp_path / "d"), "--workers", "1"]
    assert main([*words, "--tasks", "0", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    verdicts = {(c["a"], c["b"]): c["verdict"] for c in result["contrasts"]}
    assert verdicts == {(0, 1): "undecided", (0, 2): "B is better", (1, 2): "B is better"}
    assert result["reason"] == "all episodes done"
    assert main([*words, "--tasks", "0"]) == 0
    shown = capsys.readouterr().out
    assert "anytime-valid" in shown
    assert "Bonferroni" in shown
    assert "order seed 0" in shown
    for changes, said in [
        (["--tasks", "1"], "another configuration"),
        (["--tasks", "0", "--alpha", "0.1"], "holds a comparison with other alpha"),
        (["--tasks", "0", "--margin", "5"], "holds a comparison with other margin"),
    ]:
        assert main([*words, *changes]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["random"], "1 arm was given"),
        (["random", "nothing/here"], "neither a run nor a policy"),
        (["random", "random --delay 9 --exec-horizon 8"], "Allowed: 0 to 8"),
        (["random", "random --exec-horizon 8,16"], "is several"),
        (["random", "random --exec-horizom 8"], "exec-horizo"),
        (["random", "random --chunking rtc"], "cannot join chunks"),
        (["random", "random --label 'x"], "No closing quotation"),
        (["random", "noop", "--alpha", "1.5"], "alpha"),
        (["random", "noop", "--margin", "0"], "margin"),
        (["random", "noop", "--episodes", "99"], "at most 30 episodes"),
        (["expert", "expert --delay 2"], "never late"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    out = tmp_path / "d"
    episodes = [] if "--episodes" in words else ["--episodes", "3"]
    command = ["decide", *words, *episodes, "--suite", "libero_object", "--out", str(out)]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not out.exists()


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "mine").write_text("")
    with pytest.raises(ResultsError, match="holds something else"):
        decide([NOOP, RANDOM], make(tmp_path / "d"))
    with pytest.raises(ConfigError, match=r"no arm is a run.*--suite"):
        decide([NOOP, RANDOM], DecisionConfig(out=tmp_path / "e"))


def test_an_arm_is_read_as_eval_reads_it() -> None:
    arm = read_arm("expert --exec-horizon 8 --option.noise 0.2 --label 'my arm' --fusion act:m=0.1")
    assert isinstance(arm, PolicyArm)
    assert arm.config.policy.options == {"noise": 0.2}
    assert (arm.config.label, arm.axes.exec_horizon) == ("my arm", (8,))
    assert str(arm.axes.grid.fusions[0]) == "act:m=0.1"
    assert read_arm("--policy expert") == read_arm("expert")
