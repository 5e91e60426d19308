"""Perturbations on the page."""

import dataclasses
import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path

from results.leaderboard.rows import rows_from_runs
from results.leaderboard.seed_rows import rows_over_seeds
from results.records import RunRecords
from results.report.page import MOST_TASKS, write_page
from results.report.robustness import robustness_of
from results.report.runs import link_videos, load_runs
from results.store import RunStore
from tests.results.robustness.perturbed_runs import perturbed, plain_run, plus_run, run_of

HOSTILE = '<script>alert("x")</script>'


def folders(tmp_path: Path, runs: Sequence[RunRecords]) -> list[Path]:
    """Write runs as folders, with a file for each video."""
    for number, (info, records) in enumerate(runs):
        with RunStore.open(tmp_path / f"run-{number}", info) as store:
            for record in records:
                if record.video:
                    store.videos.mkdir(exist_ok=True)
                    (store.folder / record.video).write_bytes(b"film")
                store.append(record)
            store.finish()
    return [tmp_path / f"run-{number}" for number in range(len(runs))]


def swept(text: str, wins: int, **changes: object) -> RunRecords:
    records = [
        perturbed(
            task,
            text.partition(":")[0],
            text,
            task < wins,
            suite="libero_goal",
            task_name=f"base_{task}",
        )
        for task in range(10)
    ]
    return run_of(records, perturbation=text, **changes)


def test_bars_stand_beside_the_unperturbed_tasks(tmp_path: Path) -> None:
    runs = load_runs(folders(tmp_path, [swept("camera:h=30", 4), plain_run(0.9)]))
    (chart,) = robustness_of(runs, []).charts
    assert [bar.name for bar in chart.bars] == ["unperturbed", "camera"]
    assert chart.bars[0].counts == "90.0 %, 90/100"
    assert chart.bars[1].counts == "40.0 %, 4/10"
    assert 'class="median"' in chart.bars[1].picture
    assert "95 %" in chart.bars[1].picture


def test_a_sweep_is_drawn_as_a_curve(tmp_path: Path) -> None:
    given = [swept("noise:fog=1", 9), swept("noise:fog=5", 5), swept("noise:fog=9", 1), plain_run()]
    (chart,) = robustness_of(load_runs(folders(tmp_path, given)), []).doses
    assert chart.title == "noise:fog, libero_goal"
    assert chart.picture.count('class="whisker"') == 4
    assert "level, 1 to 10" in chart.picture
    assert [name for _, name in chart.legend] == ["rdt"]


def test_distances_are_drawn_in_bins(tmp_path: Path) -> None:
    records = [
        perturbed(n, "act", "paraphrase:act", n < 6, suite="libero_goal+words", distance=n / 20)
        for n in range(10)
    ]
    section = robustness_of(load_runs(folders(tmp_path, [run_of(records)])), [])
    (chart,) = section.distances
    assert chart.picture.count('class="whisker"') == 5
    assert section.charts[0].row.pride is not None


def test_each_failing_dimension_has_a_film_or_the_way_to_one(tmp_path: Path) -> None:
    records = [
        perturbed(0, "camera", "camera:h=30", False),
        perturbed(1, "camera", "camera:h=45", False, video="videos/one.mp4"),
        perturbed(2, "noise", "noise:fog=3", False),
        perturbed(3, "robot", "robot:start=3", True, video="videos/two.mp4"),
    ]
    config = {"suite": "libero_goal_plus"}
    runs = load_runs(folders(tmp_path, [run_of(records, config=config)]))
    failures = robustness_of(runs, link_videos(tmp_path / "page", runs)).failures
    assert [(f.dimension, f.record.task) for f in failures] == [("camera", 1), ("noise", 2)]
    assert failures[0].clip is not None and failures[0].clip.source.endswith("one.mp4")
    assert failures[1].clip is None
    assert failures[1].command == ("--suite libero_goal_plus --tasks 2 --init-states 0 --record 1")


def test_thousands_of_tasks_are_shown_by_dimension(tmp_path: Path) -> None:
    runs = folders(tmp_path, [plus_run(rule=lambda task: task % 3 > 0), plain_run()])
    html = write_page(tmp_path / "page", runs, title="Plus").read_text()
    assert "mean of seven" in html and "1727/2591" in html
    assert 'id="tasks"' in html  # of the suite as it is
    assert len(html) < 900_000
    assert html.count("<tr") < 40 + MOST_TASKS


def test_a_few_tasks_of_one_episode_each_are_shown_by_dimension_too(tmp_path: Path) -> None:
    records = [perturbed(n, "camera", f"camera:h={n}", n > 3) for n in range(9)]
    few = run_of(records, dimensions={records[0].suite: {"camera": 9}})
    swept_suite = swept("camera:h=30", 4)
    for name, given, shown in (("few", few, False), ("swept", swept_suite, True)):
        html = write_page(
            tmp_path / name / "page", folders(tmp_path / name, [given]), title="x"
        ).read_text()
        assert ('id="tasks"' in html) is shown


def test_hostile_words_are_text(tmp_path: Path) -> None:
    records = [
        perturbed(n, HOSTILE, f"{HOSTILE}:h={n // 5}", n % 2 > 0, instruction=HOSTILE, distance=0.2)
        for n in range(10)
    ]
    run = run_of(records, name=HOSTILE, config={"suite": HOSTILE, "instructions": f"{HOSTILE}.csv"})
    html = write_page(tmp_path / "page", folders(tmp_path, [run]), title="x").read_text()
    assert HOSTILE not in html
    assert HOSTILE in unescape(html)
    assert not re.findall(r"<script>alert", html)


def test_pages_without_perturbations_have_no_such_section(tmp_path: Path) -> None:
    html = write_page(tmp_path / "page", folders(tmp_path, [plain_run()]), title="x").read_text()
    assert 'id="robustness"' not in html


def test_perturbed_runs_are_ranked_among_themselves() -> None:
    runs = [swept("noise:fog=1", 9), swept("noise:fog=5", 5), swept("noise:fog=5", 7, name="b")]
    same = [(dataclasses.replace(info), records) for info, records in runs]
    rows = rows_from_runs(same)
    assert [(row.perturbation, row.label, row.rank) for row in rows] == [
        ("noise:fog=1", "rdt", 1),
        ("noise:fog=5", "b", 1),
        ("noise:fog=5", "rdt", 2),
    ]
    assert len(rows_over_seeds(runs)) == 3
