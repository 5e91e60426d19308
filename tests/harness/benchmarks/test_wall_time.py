"""Predicted wall times against closed forms, and rates measured on doubles."""

import json
from typing import Any

import numpy as np
import pytest

from harness.benchmarks import evaluation_rates
from harness.benchmarks.evaluation_rates import check_settings, measure_rates
from harness.benchmarks.tables import duration, rates_in_words, wall_time_table
from harness.benchmarks.throughput_config import WallTimeConfig
from harness.benchmarks.wall_time import EpisodeRate, Prediction, Rates, predict
from harness.cli import main
from harness.evaluation import plan as evaluation_plan
from harness.evaluation import workload
from policies.registry import PolicyConfig
from tasks.errors import ConfigError
from tests.harness.doubles import EchoSpec


def rates(plans: int = 10, simulation_s: float = 5.0, **batch_s: float) -> Rates:
    batches = {int(size[1:]): seconds for size, seconds in batch_s.items()} or {1: 0.1, 8: 0.1}
    episode = EpisodeRate(plans=plans, simulation_s=simulation_s)
    return Rates(start_s=3.0, episodes=(episode,), batch_s=batches)


def walls(measured: Rates, workers: int, replicas: int = 1, **more: Any) -> Prediction:
    settings = {"episodes": 160, "max_batch": 8, **more}
    return predict(measured, workers=workers, replicas=replicas, **settings)


def test_one_worker_waits_for_every_plan_alone() -> None:
    alone = walls(rates(), 1)
    assert alone.wall_s == pytest.approx(3 + 160 * (5 + 10 * 0.1))
    assert (alone.batch, alone.busy) == (1.0, pytest.approx(1 / 6))


def test_workers_that_hardly_plan_divide_the_episodes() -> None:
    quick = rates(b1=1e-6, b8=1e-6)
    for workers in (4, 7, 200):
        most = -(-160 // workers)  # some worker plays so many
        assert walls(quick, workers).wall_s == pytest.approx(3 + 5 * most, rel=1e-3)


def test_a_policy_that_is_never_idle_gives_full_batches_and_replicas_multiply_it() -> None:
    for replicas in (1, 2, 4):
        full = walls(rates(simulation_s=0.0), 64, replicas, episodes=1280)
        assert full.wall_s == pytest.approx(3 + 1280 * 10 * 0.1 / 8 / replicas, rel=0.02)
        assert full.busy == pytest.approx(1.0, abs=0.02) and full.batch > 7.5
    narrow = walls(rates(simulation_s=0.0), 64, max_batch=2, episodes=1280)
    assert narrow.wall_s == pytest.approx(3 + 1280 * 10 * 0.1 / 2, rel=0.02)


def test_sizes_between_the_measured_ones_are_interpolated() -> None:
    line = rates(b1=0.1, b8=0.8)
    np.testing.assert_allclose([line.of_batch(n) for n in (1, 4, 8, 20)], [0.1, 0.4, 0.8, 0.8])


def test_work_is_done_no_sooner_than_the_cores_can() -> None:
    shared = walls(rates(), 16, 4, cores=2)
    busy = shared.busy * 4 * (shared.wall_s - 3)
    assert shared.wall_s == pytest.approx(3 + (160 * 5 + busy) / 2)
    assert walls(rates(), 16, 4).wall_s < shared.wall_s


def test_every_episode_is_played_once_whatever_divides_it() -> None:
    mixed = Rates(
        start_s=0.0,
        episodes=(
            EpisodeRate(plans=3, simulation_s=1.0),
            EpisodeRate(plans=9, simulation_s=6.0),
            EpisodeRate(plans=0, simulation_s=0.5),  # success at once still asks
        ),
        batch_s={1: 0.05, 8: 0.2},
    )
    for workers, replicas in ((1, 1), (5, 2), (9, 8), (200, 3)):
        found = predict(mixed, episodes=30, workers=workers, replicas=replicas, max_batch=4)
        planned = found.busy * replicas * found.wall_s
        assert planned >= 0.05 * (30 * 13 / 3) / 4  # never less than the fullest batches take
        assert found.wall_s >= 30 * 2.5 / workers
    assert predict(mixed, episodes=30, workers=5, replicas=2, max_batch=4) == predict(
        mixed, episodes=30, workers=5, replicas=2, max_batch=4
    )


def test_the_table_and_its_words() -> None:
    measured = rates()
    rows = [walls(measured, workers, replicas) for workers in (1, 8) for replicas in (1, 2)]
    table = wall_time_table(rows, 160)
    assert (table.row_count, len(table.columns)) == (2, 3)
    assert rates_in_words(measured) == (
        "Rates: an episode has 10.0 plans and 5.00 s beside planning, 3 s to start; batches of "
        "plans, ms: 1: 100, 8: 100."
    )
    assert [duration(s) for s in (0.4, 59.6, 3599, 7620)] == [
        "0 s", "1 min 0 s", "59 min 59 s", "2 h 7 min",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_ms": "8"}, "--batch-ms '8' cannot be read"),
        ({"batch_ms": "0:5"}, "'0:5' cannot be read"),
        ({"batch_ms": "1:61,8:nan"}, "'8:nan' cannot be read"),
        ({"batch_ms": "a:5"}, "'a:5' cannot be read"),
        ({"plans": 9}, "give all three"),
        ({"plans": 9, "simulation_s": 2.0}, "give all three"),
        ({"checkpoint": None}, "give --checkpoint and --suite"),
        ({"workers": "0"}, "--workers 0 is not allowed"),
        ({"replicas": ""}, "--replicas '' cannot be read"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        WallTimeConfig(**{"checkpoint": "x", "suite": "libero_object", **options})


def test_batches_measured_elsewhere_and_sizes_to_time() -> None:
    config = WallTimeConfig(
        checkpoint="x", suite="libero_object", batch_ms="1:61.1,8:282", max_batch=12
    )
    assert config.batches == {1: 0.0611, 8: 0.282}
    assert config.sizes == (1, 2, 4, 8, 12)


def test_nothing_is_played_for_rates_that_were_measured_elsewhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = "bench wall-time --plans 10 --simulation-s 5 --batch-ms 1:100,8:100 --episodes 160"
    assert main([*command.split(), "--workers", "1", "--replicas", "1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["predicted"]
    assert row["wall_s"] == pytest.approx(160 * 6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"check": 51}, "Initial state 50 of libero_object task 0 does not exist"),
        ({"measured": 101, "tasks": "0,1"}, "Initial state 50 of libero_object task"),
        ({"tasks": "10"}, "one or more of 0 to 9"),
        ({"suite": "libero_objct"}, "libero_object"),
    ],
)
def test_episodes_that_do_not_exist_are_refused_before_any_is_played(
    options: dict[str, Any], words: str
) -> None:
    config = WallTimeConfig(**{"checkpoint": "x", "suite": "libero_object", **options})
    with pytest.raises(ConfigError, match=words):
        check_settings(config)


@pytest.fixture
def _doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})
    monkeypatch.setattr(workload, "LiberoSpec", lambda **_: EchoSpec())
    policy = PolicyConfig(name="random").build()
    monkeypatch.setattr(evaluation_rates, "build", lambda config: policy)


@pytest.mark.slow
@pytest.mark.usefixtures("_doubles")
def test_rates_are_measured_and_a_prediction_is_checked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = WallTimeConfig(checkpoint="x", suite="libero_object", measured=3, max_batch=2)
    measured = measure_rates(config)
    assert len(measured.episodes) == 3 and set(measured.batch_s) == {1, 2}
    assert all(each.plans > 0 for each in measured.episodes)
    command = ["bench", "wall-time", "--checkpoint", "x", "--suite", "libero_object", "--json"]
    command += ["--measured", "2", "--check", "4", "--workers", "2", "--replicas", "1,3"]
    assert main([*command, "--batch-ms", "1:0.5,8:1", "--episodes", "50"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert [row["replicas"] for row in figures["predicted"]] == [1, 3]
    assert figures["rates"]["batch_s"] == {"1": 0.0005, "8": 0.001}
    assert figures["checked"]["episodes"] == 4 and figures["checked"]["measured_s"] > 0
