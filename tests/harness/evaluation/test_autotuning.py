"""Workers and batches that are settled by measuring."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.evaluation import plan as evaluation_plan
from harness.evaluation.autotuning import BATCHES_S, LOAD, settle, time_batches
from harness.evaluation.plan import plan_evaluation
from harness.evaluation.run import evaluate, execute
from policies.interface import PlanRequest
from results.folder import load_run
from tasks.errors import ConfigError
from tests.harness.doubles import EchoSpec, RecordingPolicy, RememberingConfig
from tests.harness.evaluation.runs import make, outcome

FLAT = {1: 0.2, 2: 0.2, 4: 0.2, 8: 0.2}
"""A batch takes as long as a single plan, as on a GPU that is hardly used."""
LINEAR = {1: 0.01, 2: 0.02, 4: 0.04}
"""A batch takes as long as its plans one by one, as on one core."""


@pytest.mark.parametrize(
    ("simulation_s", "batch_s", "fitting", "replicas", "workers", "max_batch"),
    [
        (0.5, FLAT, 64, 1, 16, 8),  # 40 plans/s, of which 32 may be asked for, 2 by each
        (0.5, FLAT, 6, 1, 6, 8),
        (0.5, FLAT, 64, 3, 48, 8),
        (0.5, LINEAR, 64, 1, 40, 1),  # 100 plans/s; larger batches give no more
        (0.001, LINEAR, 64, 1, 1, 1),  # more than the policy can give: one all the same
    ],
)
def test_demand_stays_below_a_share_of_supply(
    simulation_s: float,
    batch_s: dict[int, float],
    fitting: int,
    replicas: int,
    workers: int,
    max_batch: int,
) -> None:
    tuning = settle(simulation_s, batch_s, fitting=fitting, replicas=replicas)
    assert (tuning.workers, tuning.max_batch) == (workers, max_batch)
    if tuning.workers > 1:
        assert tuning.demand <= LOAD * tuning.supply


def test_workers_that_the_user_chose_stay() -> None:
    assert settle(0.5, FLAT, fitting=64, replicas=1, workers=99).workers == 99


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def time_on(clock: Clock, seconds: dict[int, float], largest: int) -> dict[int, float]:
    def time_batch(requests: Sequence[PlanRequest]) -> float:
        clock.now += seconds[len(requests)]
        return seconds[len(requests)]

    def make_request(number: int) -> PlanRequest:
        return PlanRequest(window=(), instruction="", seed=number)

    return time_batches(time_batch, make_request, largest=largest, clock=clock)


def test_batches_are_timed_while_larger_ones_give_more() -> None:
    flat = {size: 0.1 for size in range(1, 65)}
    assert list(time_on(Clock(), flat, 6)) == [1, 2, 4, 6]
    linear = {size: 0.1 * size for size in range(1, 65)}
    assert list(time_on(Clock(), linear, 64)) == [1, 2, 4]


def test_timing_batches_ends_in_time() -> None:
    clock = Clock()
    slow = {size: 9.0 for size in range(1, 65)}
    assert next(iter(time_on(clock, slow, 64))) == 1
    assert clock.now <= BATCHES_S + 3 * 9.0


@pytest.fixture
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})


@pytest.mark.slow
@pytest.mark.usefixtures("_no_probe")
@pytest.mark.parametrize("replicas", [None, 2])
def test_a_run_records_what_was_settled_and_its_outcomes_stay(
    tmp_path: Path, replicas: int | None
) -> None:
    policy = RememberingConfig(name="remembering", folder=str(tmp_path), seconds=0.01)
    settings: dict[str, Any] = {"policy": policy, "tasks": (0,)}
    said: list[str] = []
    config = make(
        tmp_path / "auto", workers="auto", max_batch="auto", replicas=replicas, **settings
    )
    plan = plan_evaluation(
        config, policy=None if replicas else RecordingPolicy(), environments=EchoSpec()
    )
    execute(plan, say=said.append)
    tuned = load_run(tmp_path / "auto")[0]
    tuning = tuned.provenance["autotuning"]
    assert tuning["workers"] >= 1
    assert tuning["replicas"] == (replicas or 1)
    assert tuning["demand_plans_per_s"] > 0
    assert "1" in tuning["batch_ms"]
    (line,) = said
    assert f"--workers {tuning['workers']} of" in line
    assert tuned.config["workers"] == "auto"
    plain = make(tmp_path / "plain", workers=1, **settings)
    expected = evaluate(plain, policy=RecordingPolicy(), environments=EchoSpec())
    assert outcome(tmp_path / "auto") == outcome(expected)
    execute(plan, say=said.append)  # nothing is left, so nothing is measured
    assert len(said) == 1


def test_other_words_than_auto_are_refused() -> None:
    for changes in ({"workers": "many"}, {"max_batch": "2.5"}):
        with pytest.raises(ConfigError, match="Allowed: a whole number, or auto"):
            make(Path("run"), **changes)
    assert make(Path("run"), workers="3", max_batch="auto").workers == 3


def test_what_was_settled_is_said_in_one_line() -> None:
    tuning = settle(0.5, FLAT, fitting=64, replicas=1)
    assert str(tuning) == (
        "Measured: a simulation takes 500 ms between plans, the policy 200 ms for 8. Settled: "
        "--workers 16 of 64 that fit, --max-batch 8; 32.0 of 40.0 plans/s are asked for."
    )
    assert tuning.as_dict()["batch_ms"] == {"1": 200.0, "2": 200.0, "4": 200.0, "8": 200.0}
