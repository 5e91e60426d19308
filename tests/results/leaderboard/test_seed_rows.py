"""Rows over training seeds: which runs belong together, and what the row says."""

from pathlib import Path

import pytest

from results.folder import load_run
from results.leaderboard.rendering import render
from results.leaderboard.rows import LeaderboardRow
from results.leaderboard.seed_rows import METHOD, rows_over_seeds
from results.statistics.seeds import SeedRates, seeds_interval
from tests.results.suite_runs import write_suite_run

RATES = (12, 15, 9)


def runs_of(folder: Path, outcomes: list[str], **changes: object) -> list[Path]:
    """Write a run for each training seed."""
    fields: dict[str, object] = {"exec_horizon": 16, "fusion": "none", "device": "cpu"} | changes
    return [
        write_suite_run(
            folder / f"seed-{seed}",
            {1: letters},
            name="rdt",
            policy={"name": "rdt", "checkpoint": f"c{seed}", "checkpoint_sha256": f"{seed}"}
            | fields,
        )
        for seed, letters in enumerate(outcomes)
    ]


def rows_of(runs: list[Path]) -> list[LeaderboardRow]:
    return rows_over_seeds([load_run(run) for run in runs])


def letters(successes: int) -> str:
    return "s" * successes + "f" * (20 - successes)


def test_trainings_of_a_policy_are_one_row(tmp_path: Path) -> None:
    (row,) = rows_of(runs_of(tmp_path, [letters(count) for count in RATES]))
    interval = seeds_interval(SeedRates(RATES, 20))
    assert (row.seeds, row.successes, row.episodes, row.expected) == (3, 36, 60, 60)
    assert row.rate == pytest.approx(0.6)
    assert (row.low, row.high) == interval
    assert row.method == METHOD
    assert row.rank == 1
    assert row.checkpoint is None


def test_what_differs_in_more_is_another_row(tmp_path: Path) -> None:
    runs = runs_of(tmp_path / "a", [letters(12), letters(15)])
    runs += runs_of(tmp_path / "b", [letters(3), letters(4)], exec_horizon=64)
    runs += runs_of(tmp_path / "c", [letters(20)], fusion="act")
    rows = rows_of(runs)
    assert [(row.exec_horizon, row.fusion, row.seeds) for row in rows] == [
        *((16, "act", None), (16, "none", 2), (64, "none", 2))
    ]
    text = render(rows, "markdown")
    assert "seeds" in text.splitlines()[0]


def test_the_same_weights_count_once(tmp_path: Path) -> None:
    runs = runs_of(tmp_path / "a", [letters(12), letters(15)])
    runs += runs_of(tmp_path / "again", [letters(12)])
    (row,) = rows_of(runs)
    assert (row.seeds, row.successes) == (2, 27)


def test_incomplete_seeds_are_noted(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, [letters(12), letters(15), letters(9)[:-1] + "."])
    (row,) = rows_of(runs)
    assert (row.seeds, row.successes) == (2, 27)
    assert row.rank is None
    assert "1 of 3 seeds are not complete" in row.notes
