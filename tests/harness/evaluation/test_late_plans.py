"""Evaluations with a delay: identity, grids, refusals, measured delays."""

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli import main
from harness.evaluation import latency, workload
from harness.evaluation import plan as evaluation_plan
from harness.evaluation.config import EvaluationConfig, Grid
from harness.evaluation.latency import measure_latency
from harness.evaluation.plan import plan_evaluation, plan_sweep
from harness.evaluation.rollout import run_episode
from harness.evaluation.run import evaluate
from policies.baselines import RandomPolicy
from policies.chunking import parse_chunkings
from policies.delay import Delay
from policies.executor import PlanExecutor
from policies.fusion import parse_fusions
from policies.interface import PolicySpec
from policies.registry import PolicyConfig
from results.folder import load_run
from results.records import EpisodeKey, EpisodeRecord
from tasks.errors import ConfigError
from tests.harness.doubles import EchoEnvironment, EchoSpec, LocalPlanner, RecordingPolicy
from tests.harness.evaluation.test_rollout import Witness

KEY = EpisodeKey("libero_object", 0, 3, 7)


@pytest.fixture(autouse=True)
def _no_libero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})
    monkeypatch.setattr(workload, "LiberoSpec", lambda **_: EchoSpec())


def run(delay: Delay, exec_horizon: int = 8, **more: Any) -> tuple[EpisodeRecord, RecordingPolicy]:
    policy = RecordingPolicy()
    executor = PlanExecutor(64, exec_horizon, delay=delay)
    record = run_episode(
        EchoEnvironment(goal=1e9),
        LocalPlanner(policy),
        policy.spec,
        executor,
        key=KEY,
        task_name="zero",
        **more,
    )
    return record, policy


def make(out: Path, **changes: Any) -> EvaluationConfig:
    fields: dict[str, Any] = {
        "policy": PolicyConfig(name="random"),
        "suite": "libero_object",
        "out": out,
        "tasks": (0, 1),
        "episodes": 3,
        "exec_horizon": 8,
        "workers": 1,
    }
    return EvaluationConfig(**{**fields, **changes})


def outcomes(out: Path) -> list[tuple[Any, ...]]:
    return sorted(
        (record.key, record.outcome, record.steps, record.plans, record.starved_steps)
        for record in load_run(out)[1]
    )


def test_requests_come_every_exec_horizon_and_say_what_is_committed() -> None:
    record, policy = run(Delay(steps=3))
    assert [request.step for request in policy.requests] == [0, 8, 16, 24, 32]
    assert [request.committed for request in policy.requests] == [0, 3, 3, 3, 3]
    assert (record.steps, record.plans, record.starved_steps) == (40, 5, 0)
    plans = [policy.plan([request])[0] for request in policy.requests[:2]]
    np.testing.assert_array_equal(policy.requests[1].previous, plans[0][8:])


def test_pauses_take_steps_of_the_episode() -> None:
    record, policy = run(Delay(steps=3, mode="pause"))
    assert [request.step for request in policy.requests] == [0, 8, 19, 30]
    assert record.starved_steps == 0
    assert run(Delay(steps=3, mode="pause", first="hold"))[1].requests[1].step == 11


def test_starved_steps_are_counted_as_far_as_the_episode_went() -> None:
    record, _ = run(Delay(steps=5), exec_horizon=64)
    assert (record.plans, record.starved_steps) == (1, 0)
    executor = PlanExecutor(8, 8, delay=Delay(steps=5))

    class Short(RecordingPolicy):
        def plan(self, requests: Any) -> Any:
            return [plan[:8] for plan in super().plan(requests)]

    short = Short()
    record = run_episode(
        EchoEnvironment(goal=1e9, max_steps=35),
        LocalPlanner(short),
        short.spec,
        executor,
        key=KEY,
        task_name="zero",
    )
    assert record.starved_steps == 5 + 5 + 5 + 3


def test_watchers_see_when_a_plan_arrives_and_when_the_hand_is_held() -> None:
    witness = Witness()
    run(Delay(steps=3, first="hold"), subscribers=[witness])
    assert [event.step for event in witness.steps if event.starts_plan] == [4, 12, 20, 28, 36]
    assert [event.step for event in witness.steps if event.holding] == [1, 2, 3]
    assert {event.delay for event in witness.steps} == {3}


def test_a_run_without_delay_is_recorded_as_before(tmp_path: Path) -> None:
    evaluate(make(tmp_path / "run"))
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    mentioned = [key for key in (*info["policy"], *info["config"]) if "delay" in key]
    assert mentioned == []
    assert "first_plan" not in info["config"]
    assert "starved" not in (tmp_path / "run" / "episodes.jsonl").read_text()


@pytest.mark.slow
def test_a_delay_is_of_the_runs_identity_and_outcomes_do_not_depend_on_workers(
    tmp_path: Path,
) -> None:
    evaluate(make(tmp_path / "one", delay=4))
    info, _ = load_run(tmp_path / "one")
    assert info.policy["delay"] == 4
    assert (info.policy["delay_mode"], info.policy["first_plan"]) == ("async", "free")
    plain = plan_evaluation(make(tmp_path / "none")).info.protocol["hash"]
    assert info.protocol["hash"] == plain
    evaluate(make(tmp_path / "two", delay=4, workers=2))
    assert outcomes(tmp_path / "one") == outcomes(tmp_path / "two")
    # Killed after two episodes, then resumed.
    episodes = tmp_path / "two" / "episodes.jsonl"
    episodes.write_text("".join(episodes.read_text().splitlines(keepends=True)[:2]))
    evaluate(make(tmp_path / "two", delay=4, workers=1))
    assert outcomes(tmp_path / "one") == outcomes(tmp_path / "two")
    for other in ({"delay": 3}, {"delay": 4, "delay_mode": "pause"}, {"delay": 0}):
        with pytest.raises(Exception, match="another configuration"):
            plan_evaluation(make(tmp_path / "one", **other))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--delay", "-1"], "--delay '-1' cannot be read"),
        (["--delay", "9", "--exec-horizon", "8"], "Allowed: 0 to 8"),
        (["--delay", "64", "--exec-horizon", "64"], "outlasts"),
        (["--delay", "0,64", "--exec-horizon", "64,8"], "outlasts"),
        (["--delay", "1.5"], "cannot be read"),
        (["--delay", "1,1"], "names a number twice"),
        (["--delay", "fast"], "cannot be read"),
        (["--delay", "20000"], "--delay"),
        (["--delay-ms", "-5"], "cannot be read"),
        (["--delay-ms", "3300", "--exec-horizon", "64"], "outlasts"),
        (["--delay", "1", "--delay-ms", "50"], "Both --delay and --delay-ms"),
        (["--delay", "2", "--delay-mode", "wait"], "delay-mode"),
        (["--chunking", "rtc"], "cannot join chunks"),
        (["--chunking", "glue"], "Unknown chunking 'glue'"),
        (["--chunking", "rtc,rtc"], "names a method twice"),
        (["--chunking", "beta=3"], "begins with an option"),
        (["--chunking", "rtc:gamma=3"], "Unknown option of chunking 'rtc' 'gamma'"),
        (["--chunking", "none:beta=3"], "has no options"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    command = ["eval", "--policy", "random", "--suite", "libero_object", "--tasks", "0"]
    out = tmp_path / "run"
    assert main([*command, "--episodes", "1", "--out", str(out), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not out.exists()


class SeeingPolicy(RandomPolicy):
    """Reads the simulator, as the expert and replay do."""

    @property
    def spec(self) -> PolicySpec:
        return replace(super().spec, privileged=True)


@pytest.mark.parametrize("delay", ["2", "0,2", "measured"])
@pytest.mark.parametrize("policy", ["expert", "seeing"])
def test_policies_that_read_the_simulator_are_never_late(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
    delay: str,
) -> None:
    if policy == "seeing":
        monkeypatch.setattr(PolicyConfig, "build", lambda self: SeeingPolicy())
        policy = "random"
    out = tmp_path / "run"
    words = ["eval", "--policy", policy, "--suite", "libero_object", "--tasks", "0"]
    assert main([*words, "--episodes", "1", "--out", str(out), "--delay", delay]) == 2
    error = capsys.readouterr().err
    assert "reads the simulator and is never late" in error
    assert len(error.strip().splitlines()) == 1
    assert not out.exists()


def test_a_grid_leaves_out_what_cannot_be_and_says_so(tmp_path: Path) -> None:
    grid = Grid(exec_horizons=(64, 32, 8), delays=(0, 4, 20))
    plans = plan_sweep(make(tmp_path / "grid"), grid)
    names = {plan.config.out.name for plan in plans}
    assert names == {
        *("h64-none", "h64-none-d4", "h64-none-d20"),
        *("h32-none", "h32-none-d4", "h32-none-d20"),
        *("h8-none", "h8-none-d4"),
    }
    assert "1 of 9 combinations" in plans[0].note
    starved = {p.config.out.name: p.note for p in plans if "held still" in p.note}
    assert set(starved) == {"h64-none-d4", "h64-none-d20"}
    assert "20 of 64 steps are held still" in starved["h64-none-d20"]
    assert "at most 44 steps" in starved["h64-none-d20"]


class JoiningPolicy(RecordingPolicy):
    """Has an option ``guidance``, and shares its weights with what it becomes."""

    def __init__(self, guidance: str = "none") -> None:
        super().__init__()
        self.guidance = guidance

    def with_options(self, options: dict[str, Any]) -> "JoiningPolicy":
        return JoiningPolicy(options["guidance"])


def test_one_command_sweeps_fusion_and_chunking_as_alternatives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[JoiningPolicy] = []

    def build(self: PolicyConfig) -> JoiningPolicy:
        built.append(JoiningPolicy())
        return built[-1]

    monkeypatch.setattr(PolicyConfig, "build", build)
    grid = Grid(
        exec_horizons=(64, 16),
        fusions=parse_fusions("none,act"),
        delays=(0, 4),
        chunkings=parse_chunkings("none,rtc:beta=2,inpaint"),
    )
    plans = plan_sweep(make(tmp_path / "grid", policy=PolicyConfig(name="rdt")), grid)
    names = [plan.config.out.name for plan in plans]
    # Plans of 64 steps executed whole do not overlap, so there is nothing to fuse or join.
    assert [name for name in names if "h64" in name] == ["h64-none", "h64-none-d4"]
    assert [name for name in names if "h16" in name and "d4" in name] == [
        *("h16-none-d4", "h16-none-d4-rtc-beta=2", "h16-none-d4-inpaint", "h16-act-d4")
    ]
    assert len(built) == 1
    joined = {plan.config.out.name: plan for plan in plans}["h16-none-d4-rtc-beta=2"]
    assert joined.info.policy["options"] == {"guidance": "rtc", "rtc_beta": 2}
    assert joined.policy.guidance == "rtc"  # type: ignore[union-attr]


def test_methods_without_an_overlap_are_run_where_they_are_all_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PolicyConfig, "build", lambda self: JoiningPolicy())
    config = make(tmp_path / "grid", policy=PolicyConfig(name="rdt"), exec_horizon=64)
    (fused,) = plan_sweep(config, Grid(exec_horizons=(64,), fusions=parse_fusions("act")))
    assert fused.config.fusion == parse_fusions("act")[0]
    with pytest.raises(ConfigError, match=r"leaves fusion act\S* none to fuse.*Fix"):
        plan_sweep(config, Grid(exec_horizons=(64,), fusions=parse_fusions("none,act")))
    with pytest.raises(ConfigError, match=r"leaves chunking rtc none to join.*Fix"):
        plan_sweep(config, Grid(exec_horizons=(64,), chunkings=parse_chunkings("none,rtc")))


def test_joined_chunks_must_overlap_for_the_delay(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(PolicyConfig, "build", lambda self: JoiningPolicy())
    policy = PolicyConfig(name="rdt", options={"guidance": "inpaint"})
    plan_evaluation(make(tmp_path, policy=policy, exec_horizon=60, delay=4))
    with pytest.raises(ConfigError, match=r"there are 3, and the delay is 4.*Fix"):
        plan_evaluation(make(tmp_path, policy=policy, exec_horizon=61, delay=4))
    with pytest.raises(ConfigError, match=r"Both --chunking rtc and --option\.guidance"):
        plan_sweep(make(tmp_path, policy=policy), Grid(chunkings=parse_chunkings("rtc")))


class Ticking:
    """A clock that a policy moves on when it plans."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowPolicy(RecordingPolicy):
    def __init__(self, clock: Ticking, seconds: list[float]) -> None:
        super().__init__()
        self._clock, self._seconds = clock, seconds

    def plan(self, requests: Any) -> Any:
        self._clock.now += self._seconds[min(len(self.batches), len(self._seconds) - 1)]
        return super().plan(requests)


def test_latency_is_the_median_after_warming_up() -> None:
    clock = Ticking()
    policy = SlowPolicy(clock, [9.0, 9.0, 0.13, 0.11, 0.12, 0.11, 0.13, 0.12, 5.0, 0.01, 0.12])
    seen = measure_latency(policy, resolution=16, instruction="go", exec_horizon=8, clock=clock)
    assert seen.median_ms == pytest.approx(120.0)
    assert seen.steps == 3
    assert policy.batches == [1] * 11
    shapes = [None if r.previous is None else r.previous.shape for r in policy.requests]
    assert shapes == [None, *[(56, 7)] * 10]
    image = policy.requests[0].window[-1]["agentview"]
    assert image.shape == (16, 16, 3)


def test_a_measured_delay_is_fixed_when_the_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([latency.Latency(112.5, 3), latency.Latency(212.5, 5)])
    monkeypatch.setattr(evaluation_plan, "measure_latency", lambda *_, **__: next(figures))
    evaluate(make(tmp_path / "run", delay="measured", tasks=(0,), episodes=1))
    info, _ = load_run(tmp_path / "run")
    assert (info.policy["delay"], info.policy["delay_measured_ms"]) == (3, 112.5)
    again = plan_evaluation(make(tmp_path / "run", delay="measured", tasks=(0,), episodes=1))
    assert again.config.delay == 3
    assert plan_evaluation(make(tmp_path / "new", delay="measured")).config.delay == 5
