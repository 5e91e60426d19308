"""Success by dimension of perturbation, Total and mean of seven."""

import csv
import dataclasses
import io
import json

import pytest

from results.leaderboard.rendering import render
from results.leaderboard.rows import rows_from_runs
from results.robustness.dimensions import DIMENSIONS, PLUS_TASKS, perturbed_rows
from results.robustness.tables import perturbed_lines
from tests.results.conftest import episode
from tests.results.robustness.perturbed_runs import perturbed, plain_run, plus_run, run_of


def test_there_are_10030_tasks() -> None:
    totals = [sum(counts) for counts in zip(*PLUS_TASKS.values(), strict=True)]
    assert totals == [1599, 1550, 1537, 1142, 1076, 1601, 1525]
    assert sum(totals) == 10_030


def test_total_weights_tasks_and_the_mean_dimensions() -> None:
    """Camera alone fails: 408 of 2,591 tasks, and one of seven dimensions."""
    (row,) = perturbed_rows([plus_run(rule=lambda task: task >= 408)])
    assert tuple(row.dimensions) == DIMENSIONS
    assert (row.dimensions["camera"].successes, row.dimensions["camera"].episodes) == (0, 408)
    assert row.total is not None and row.mean is not None
    assert row.total.rate == pytest.approx(1 - 408 / 2591)
    assert row.mean.rate == pytest.approx(6 / 7)
    assert row.mean.low < 6 / 7 < row.mean.high
    assert row.unperturbed is None and row.notes == ()


def test_offline_only_gives_no_total_and_says_so() -> None:
    (row,) = perturbed_rows([plus_run(config={"offline_only": True})])
    assert row.total is None and row.mean is None
    assert row.notes == ("offline only: no Total",)


def test_parts_give_no_total() -> None:
    whole, records = plus_run()
    (incomplete,) = perturbed_rows([(whole, records[:-1])])
    assert incomplete.total is None and incomplete.mean is None
    assert incomplete.notes == ("incomplete",)
    part = [r for r in records if r.task % 9 == 0]
    chosen = {"per_base": 1, "base_tasks": [0, 1]}
    (some,) = perturbed_rows([run_of(part, config=chosen)])
    assert some.total is None and some.mean is not None
    assert some.notes == ("base tasks 0, 1 alone", "1 of each base task and dimension")
    camera = [r for r in records if r.dimension == "camera"]
    (view,) = perturbed_rows([run_of(camera)])
    assert view.total is view.mean is None
    broken = dataclasses.replace(records[0], outcome="error", error="it broke")
    (with_error,) = perturbed_rows([(whole, [broken, *records[1:]])])
    assert with_error.total is None and with_error.dimensions["camera"].episodes == 407


def test_four_suites_have_a_row_together() -> None:
    runs = [plus_run(suite, rule=lambda task: task % 2 == 0) for suite in PLUS_TASKS]
    rows = perturbed_rows([*runs, plain_run()])
    assert [row.suite for row in rows] == [*(f"{s}_plus" for s in PLUS_TASKS), "4 suites"]
    together = rows[-1]
    assert together.total is not None
    assert together.total.episodes == 10_030
    assert together.total.successes == sum(
        rate.successes for row in rows[:-1] for rate in row.dimensions.values()
    )
    assert together.total.clusters == 40
    assert together.unperturbed is None  # three suites were not run as they are


def test_the_same_tasks_are_not_counted_twice() -> None:
    info, records = plus_run()
    camera = [
        dataclasses.replace(r, suite="libero_goal_plus_camera")
        for r in records
        if r.dimension == "camera"
    ]
    rows = perturbed_rows([(info, records), run_of(camera)])
    assert [row.suite for row in rows] == ["libero_goal_plus", "libero_goal_plus_camera"]


def test_views_of_all_dimensions_make_a_total() -> None:
    _, records = plus_run()
    views = [
        run_of(
            dataclasses.replace(r, suite=f"libero_goal_plus_{dimension}")
            for r in records
            if r.dimension == dimension
        )
        for dimension in DIMENSIONS
    ]
    together = perturbed_rows(views)[-1]
    assert together.total is not None and together.total.episodes == 2591


def test_the_unperturbed_row_is_the_same_policys() -> None:
    camera = [perturbed(task, "camera", "camera:h=30", False) for task in range(10)]
    other = plain_run(0.2, name="another")
    (row,) = perturbed_rows([run_of(camera), plain_run(0.9), other])
    assert row.unperturbed is not None
    assert (row.unperturbed.successes, row.unperturbed.episodes) == (90, 100)
    assert row.perturbation == "camera:h=30"
    other_horizon = plain_run(policy={"name": "rdt-small", "exec_horizon": 4, "fusion": "none"})
    (row,) = perturbed_rows([run_of(camera), other_horizon])
    assert row.unperturbed is None


def test_intervals_are_clustered_by_base_task() -> None:
    """Five base tasks succeed in all of their perturbations and five in none."""
    (row,) = perturbed_rows([plus_run(rule=lambda task: task % 10 < 5)])
    camera = row.dimensions["camera"]
    assert camera.clusters == 10
    assert camera.high - camera.low > 0.5


def test_every_format_has_them() -> None:
    runs = [
        plus_run("libero_goal", rule=lambda task: task >= 408),
        plain_run(),
        plus_run("libero_10"),
    ]
    rows, dimensions = rows_from_runs(runs), perturbed_rows(runs)
    header, *lines = perturbed_lines(dimensions)
    assert header == ["run", "unperturbed", *DIMENSIONS, "Total", "mean of seven"]
    assert lines[0][2].splitlines()[0] == "0.0" and lines[0][2].endswith("0/408")
    text = render(rows, "table", perturbed=dimensions)
    assert "By dimension" in text and "0/408" in text and "1599" not in text
    markdown = render(rows, "markdown", perturbed=dimensions)
    assert "| mean of seven |" in markdown
    data = json.loads(render(rows, "json", perturbed=dimensions))
    assert [row["suite"] for row in data["runs"]] == [
        "libero_goal_plus",
        "libero_goal",
        "libero_10_plus",
    ]
    assert data["runs"][0]["perturbed"]["dimensions"]["camera"]["episodes"] == 408
    assert "perturbed" not in data["runs"][1]
    assert data["together"][0]["total"]["episodes"] == 2591 + 2519
    lines_csv = list(csv.DictReader(io.StringIO(render(rows, "csv", perturbed=dimensions))))
    assert lines_csv[0]["camera_episodes"] == "408" and lines_csv[1]["camera_episodes"] == ""


def test_runs_without_perturbations_look_as_before() -> None:
    run = run_of([episode(state) for state in range(10)])
    rows = rows_from_runs([run])
    assert perturbed_rows([run]) == []
    for format in ("table", "markdown", "csv", "json"):
        text = render(rows, format, perturbed=())  # type: ignore[arg-type]
        assert "camera" not in text and "perturbed" not in text
