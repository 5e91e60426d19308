import json
from collections.abc import Callable
from operator import mul
from pathlib import Path
from statistics import fmean

import pytest

from results.folder import load_run
from results.leaderboard.published import (
    SUITES,
    load_published,
    load_published_plus,
    load_reproduced,
)
from results.leaderboard.rendering import render
from results.leaderboard.rows import rows_from_runs
from results.robustness.dimensions import DIMENSIONS, PLUS_TASKS
from tasks.errors import ResultsError

MakeRun = Callable[..., Path]


def test_published_means_are_those_of_the_suites() -> None:
    published = load_published()
    assert len(published) == 15
    for result in published:
        assert result.mean == pytest.approx(fmean(getattr(result, s) for s in SUITES), abs=0.051)
        assert result.source
    assert [result.mean for result in published] == sorted(result.mean for result in published)


def test_rdt_is_there_with_what_its_numbers_are_worth() -> None:
    (rdt,) = [result for result in load_published() if result.policy == "RDT-1B"]
    assert (rdt.libero_spatial, rdt.libero_10, rdt.episodes) == (76.0, 38.0, 50)
    # 38 of 50 and 19 of 50.
    assert "63–86, 81–97, 84–98, 26–52" in rdt.remark
    assert "best checkpoint chosen for each suite" in rdt.remark


def test_totals_of_plus_are_the_mean_over_tasks() -> None:
    """Recomputed from the dimensions and the number of tasks that each has."""
    counts = [sum(column) for column in zip(*PLUS_TASKS.values(), strict=True)]
    totals = [result.total for result in load_published_plus()]
    assert totals == sorted(totals) and len(totals) == 7
    for result in load_published_plus():
        rates = [getattr(result, name) for name in DIMENSIONS]
        mean = sum(map(mul, rates, counts)) / sum(counts)
        if result.policy == "UniVLA":  # published so; the note says it
            assert f"mean over tasks of {mean:.1f}" in result.note
        else:
            assert result.total == pytest.approx(mean, abs=0.06)


def test_reproductions_stand_apart(make_run: MakeRun) -> None:
    rows = rows_from_runs([load_run(make_run("mine", "sssssssssf"))])
    assert {result.of for result in load_reproduced()} == {
        "LIBERO, mean of four",
        "LIBERO-Plus, Total",
    }
    for format in ("table", "markdown"):
        text = render(rows, format, load_published())
        published, reproduced = text.split("Reproduced by others")
        assert "GR00T N1.6" in reproduced and "GR00T N1.6" not in published
        assert "not stated" in published
    data = json.loads(render(rows, "json", load_published()))
    assert data["published_plus"][-1]["policy"] == "OpenVLA-OFT+"
    assert data["reproduced"][-1]["reported"] is None


def test_published_numbers_stand_apart_without_a_rank(make_run: MakeRun) -> None:
    rows = rows_from_runs([load_run(make_run("mine", "sssssssssf"))])
    for format in ("table", "markdown"):
        own, theirs = render(rows, format, load_published()).split("Published by others")
        assert "mine" in own
        assert "mine" not in theirs
        assert "OpenVLA-OFT" in theirs
        assert "OpenVLA-OFT" not in own
        assert "arXiv 2502.19645" in theirs
    assert "](https://arxiv.org/abs/2502.19645)" in theirs
    data = json.loads(render(rows, "json", load_published()))
    assert [row["label"] for row in data["runs"]] == ["mine"]
    assert data["published"][-1]["rates"]["libero_10"] == 0.976
    assert all("rank" not in result for result in data["published"])
    with pytest.raises(ResultsError, match="--format json"):
        render(rows, "csv", load_published())
