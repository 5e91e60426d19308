"""The numbers and pictures of the page's sections, against what is counted by hand."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from scipy.stats import binomtest

from results.leaderboard.rows import rows_from_runs
from results.records import EpisodeRecord, RunInfo
from results.report.episodes import matched_episodes, state_maps
from results.report.goals import goal_progress
from results.report.runs import ReportRun, entries_of, errors_of, load_runs, shared_conditions
from results.report.step_times import bin_width, steps_charts
from results.report.success import horizon_charts, instruction, success_by_task
from results.store import RunStore

WORDS = {"s": "success", "f": "failure", "e": "error"}
Goals = dict[str, int | None]


@pytest.fixture
def make_runs(
    tmp_path: Path,
    make_info: Callable[..., RunInfo],
    make_episode: Callable[..., EpisodeRecord],
) -> Callable[..., list[ReportRun]]:
    """Write runs of several tasks and load them: ``name="sf fe"`` has two tasks of two states."""

    def make(changes: dict[str, dict[str, Any]] | None = None, **runs: str) -> list[ReportRun]:
        folders = []
        for name, letters in runs.items():
            rows = letters.split()
            info = make_info(
                **{
                    "name": name,
                    "tasks": {"libero_90": tuple(range(len(rows)))},
                    "episodes_per_task": len(rows[0]),
                    "expected_episodes": sum(map(len, rows)),
                    **(changes or {}).get(name, {}),
                }
            )
            folders.append(tmp_path / name)
            with RunStore.open(folders[-1], info) as store:
                for task, row in enumerate(rows):
                    for state, letter in enumerate(row):
                        store.append(
                            make_episode(state, WORDS[letter], task=task, task_name=f"task_{task}")
                        )
                store.finish()
        return load_runs(folders)

    return make


MakeRuns = Callable[..., list[ReportRun]]


def policy(exec_horizon: int, fusion: str = "none") -> dict[str, Any]:
    return {"policy": {"name": "rdt", "exec_horizon": exec_horizon, "fusion": fusion}}


def titles(markup: str) -> list[str]:
    return re.findall(r"<title>(.*?)</title>", markup)


def label(markup: str) -> str:
    found = re.search(r'aria-label="(.*?)"', markup)
    assert found
    return found[1]


def percents(markup: str, element: str, attribute: str) -> list[float]:
    found = re.findall(rf"<{element}\b[^>]*\b{attribute}=\"([\d.-]+)%\"", markup)
    return [float(value) for value in found]


def test_runs_come_best_first_and_get_distinct_names(make_runs: MakeRuns) -> None:
    alike = {name: {"name": "rdt", **policy(*how)} for name, how in HOW.items()}
    runs = make_runs(alike, a="sf", b="ss", c="fe", d="ff", e="sf")
    assert [run.folder.name for run in runs] == ["b", "a", "e", "d", "c"]
    assert [run.index for run in runs] == [0, 1, 2, 3, 4]
    assert [run.name for run in runs] == [
        "rdt · h16",
        "rdt · h8 · none · a",
        "rdt · h8 · none · e",
        "rdt · h64",
        "rdt · h8 · act",
    ]
    assert [run.name for run in make_runs(f="sf", g="ss")] == ["g", "f"]


HOW = {"a": (8,), "b": (16,), "c": (8, "act"), "d": (64,), "e": (8,)}


def test_horizons_make_lines_of_what_differs_in_nothing_else(make_runs: MakeRuns) -> None:
    runs = make_runs(
        {"a": policy(8), "b": policy(32), "c": policy(8, "act"), "d": policy(128)},
        a="ssff",
        b="ssss",
        c="sfff",
        d="ffff",
    )
    (chart,) = horizon_charts(rows_from_runs([run.loaded for run in runs]))
    assert {line.label: [row.exec_horizon for row in line.rows] for line in chart.series} == {
        "fusion none": [8, 32, 128],
        "fusion act": [8],
    }
    told = label(chart.picture)
    low, high = binomtest(2, 4).proportion_ci(method="wilson")
    assert f"a, 8 steps: 50.0 % ({100 * low:.1f}–{100 * high:.1f}), 2/4" in told
    assert len(titles(chart.picture)) == 4
    # Equal factors are equally far apart; the lines go from mark to mark.
    x8, x32, x128 = percents(chart.picture, "text", "x")[5:8]
    assert x32 - x8 == pytest.approx(x128 - x32, abs=0.02)
    marks = [float(x) for x in re.findall(r'<svg x="([\d.]+)%" y=', chart.picture)]
    starts, ends = (percents(chart.picture, "line", end)[-2:] for end in ("x1", "x2"))
    assert [starts[0], *ends] == [starts[0], starts[1], ends[1]] == marks[:3]


def test_one_horizon_for_each_policy_is_no_comparison(make_runs: MakeRuns) -> None:
    runs = make_runs({"a": policy(8), "b": policy(16, "act")}, a="sf", b="ss")
    assert horizon_charts(rows_from_runs([run.loaded for run in runs])) == []


def test_tasks_have_each_run_s_rate_where_it_was_asked_for_them(make_runs: MakeRuns) -> None:
    runs = make_runs(a="ssff ssse", b="sfff")
    (suite,) = success_by_task(runs)
    assert [run.name for run in suite.runs] == ["b", "a"]
    assert [(task.index, task.name) for task in suite.tasks] == [(0, "task_0"), (1, "task_1")]
    counts = [
        [None if row is None else (row.successes, row.episodes) for row in task.rows]
        for task in suite.tasks
    ]
    assert counts == [[(1, 4), (2, 4)], [None, (3, 3)]]
    first = suite.tasks[0].picture
    (low, high) = binomtest(1, 4).proportion_ci(method="wilson")
    assert titles(first)[0] == f"b 25 % ({100 * low:.0f}–{100 * high:.0f}), 1/4"
    assert len(titles(suite.tasks[1].picture)) == 1
    # Marks stand where the numbers under the chart say.
    zero, *_, one = percents(suite.axis, "text", "x")
    assert percents(first, "svg", "x") == pytest.approx(
        [zero + (one - zero) * 0.25, zero + (one - zero) * 0.5], abs=0.02
    )


def test_instructions_are_read_from_names() -> None:
    assert instruction("LIVING_ROOM_SCENE2_put_both_in_the_basket") == "put both in the basket"
    assert instruction("pick_up_the_BBQ_sauce") == "pick up the BBQ sauce"
    assert instruction(None) == ""


def test_heat_maps_of_several_tasks(make_runs: MakeRuns) -> None:
    runs = make_runs(a="sse fff", b="ssf see", c="sfs sse")
    anchors = {(runs[0].index, 1): "v-here"}
    together, *each = state_maps(runs, anchors)
    assert [one.name for one in each] == [run.name for run in runs]
    assert [[cell.text for cell in line.cells] for line in together.lines] == [
        ["3", "2", "1"],
        ["2", "1", "0"],
    ]
    kinds = [[cell.kind for cell in line.cells] for line in together.lines]
    # All of three, two of three, one of two; two of three, one of two, none of one.
    assert kinds == [["l4", "l2", "l2"], ["l2", "l2", "l0"]]
    assert [line.tally for line in together.lines] == ["6/8", "3/6"]
    assert "1 of 2 episodes succeeded, 1 broke" in together.lines[0].cells[2].about
    for run, one in zip(runs, each, strict=True):
        marks = "".join(cell.text for line in one.lines for cell in line.cells)
        letters = "".join(record.outcome[0] for record in run.records)
        assert marks == letters.translate(str.maketrans("sfe", "✓✕!"))
    anchored = [cell.anchor for one in each for line in one.lines for cell in line.cells]
    assert [anchor for anchor in anchored if anchor] == ["v-here"]
    assert each[0].lines[0].cells[1].anchor == "v-here"


def test_a_heat_map_of_one_task_has_a_row_for_each_run(make_runs: MakeRuns) -> None:
    (only,) = state_maps(make_runs(a="sf", b="sss"), {})
    assert [line.head for line in only.lines] == ["b", "a"]
    assert [cell.kind for cell in only.lines[1].cells] == ["success", "failure", "none"]
    assert state_maps([], {}) == []


def with_records(run: ReportRun, records: Sequence[EpisodeRecord]) -> ReportRun:
    return ReportRun(
        index=run.index, folder=run.folder, info=run.info, records=tuple(records), name=run.name
    )


def test_steps_are_counted_into_round_bars(
    make_runs: MakeRuns, make_episode: Callable[..., EpisodeRecord]
) -> None:
    wins = [0, 9, 10, 11, 19, 95, 120]
    records = [make_episode(n, steps=steps) for n, steps in enumerate(wins)]
    records += [make_episode(50 + n, "failure", steps=199) for n in range(3)]
    records += [make_episode(90, "error", steps=44)]
    (chart,) = steps_charts([with_records(make_runs(a="sf")[0], records)])
    (line,) = chart.lines
    assert chart.width == 5
    assert (line.successes, line.failures, line.median) == (7, 3, median(wins))
    assert titles(line.picture) == [
        "0–4 steps: 1 × success",
        "5–9 steps: 1 × success",
        "10–14 steps: 2 × success",
        "15–19 steps: 1 × success",
        "95–99 steps: 1 × success",
        "120–124 steps: 1 × success",
        "195–199 steps: 3 × failure",
    ]
    assert steps_charts([with_records(make_runs(b="sf")[0], records[-1:])]) == []


@pytest.mark.parametrize("most", [0, 1, 39, 40, 79, 280, 520, 600, 10**6])
def test_there_are_never_more_than_forty_bars(most: int) -> None:
    assert most // bin_width(most) + 1 <= 40


def test_failures_tell_what_they_reached(
    make_runs: MakeRuns, make_episode: Callable[..., EpisodeRecord]
) -> None:
    def failure(state: int, task: int, goals: Goals | None) -> EpisodeRecord:
        return make_episode(state, "failure", task=task, task_name="t", goals_first_held=goals)

    records = [
        failure(0, 0, {"On(a, b)": 30, "Open(c)": None}),
        failure(1, 0, {"On(a, b)": 50, "Open(c)": 90}),
        failure(2, 0, {"On(a, b)": None, "Open(c)": 0}),
        failure(3, 0, {"On(a, b)": None, "Open(c)": None}),
        failure(0, 1, {"On(a, b)": None}),
        failure(1, 1, None),
        make_episode(2, "success", task=1, task_name="t", goals_first_held={"x": 3, "y": 9}),
    ]
    runs = make_runs(a="ff ff", b="ss ss")
    (part,) = goal_progress([with_records(runs[1], records), runs[0]])
    assert (part.most, part.single, part.unknown) == (2, 1, 1)
    (bar,) = part.bars
    assert bar.failures == 4
    assert titles(bar.picture) == ["0 reached: 2 of 4", "1 reached: 1 of 4", "2 reached: 1 of 4"]
    assert percents(bar.picture, "rect", "width") == [50, 25, 25]
    found = {
        line.predicate: (told.count, told.failures, told.step, told.from_start)
        for line in part.lines
        for told in line.runs
        if told is not None
    }
    assert found == {"On(a, b)": (2, 4, 40, 0), "Open(c)": (1, 4, 90, 1)}


def test_pairs_line_up_the_same_episodes(make_runs: MakeRuns) -> None:
    runs = make_runs(a="sfe ss", b="fs")
    pairs = matched_episodes(runs, {(runs[0].index, 4): "v-last"})
    assert len(pairs["episodes"]) == 5
    assert {run["name"]: run["outcomes"] for run in pairs["runs"]} == {"a": "sfess", "b": "fs---"}
    assert [run["clips"] for run in pairs["runs"] if run["name"] == runs[0].name] == [
        {len(runs[0].records) - 1: "v-last"} if runs[0].name == "a" else {}
    ]


def test_episodes_of_another_mujoco_are_no_pair(make_run: Callable[..., Path]) -> None:
    def conditions(*versions: str | None) -> list[str]:
        folders = [
            make_run(
                f"{number} of {versions}",
                "sf",
                provenance={"packages": {"mujoco": version} if version else {}},
            )
            for number, version in enumerate(versions)
        ]
        return [run["protocol"] for run in matched_episodes(load_runs(folders), {})["runs"]]

    assert len(set(conditions("3.2.3", "3.2.3"))) == 1
    assert len(set(conditions("3.2.3", None))) == 1
    mixed = conditions("3.2.3", "3.3.7")
    assert {text.rpartition(", ")[2] for text in mixed} == {"mujoco 3.2.3", "mujoco 3.3.7"}


def test_conditions_that_differ_are_named(make_runs: MakeRuns) -> None:
    def made_with(mujoco: str, horizon: int, **states: str) -> dict[str, Any]:
        provenance = {"packages": {"mujoco": mujoco}, "init_states": states}
        return {"provenance": provenance, **policy(horizon)}

    runs = make_runs(
        {"a": made_with("3.2.3", 8), "b": made_with("3.3.0", 16), "c": made_with("3.2.3", 16)},
        a="ss",
        b="sf",
        c="ff",
    )
    conditions = shared_conditions(runs)
    (warning,) = conditions.warnings
    assert 'mujoco a "3.2.3", b "3.3.0", c "3.2.3"' in warning
    differing = {item.name: item.values for item in conditions.settings}
    assert differing["policy.exec_horizon"] == (8, 16, 16)
    assert shared_conditions(runs[:1]).settings == ()
    # Initial states must be the same for the same tasks, and cannot be for others.
    states = {"d": made_with("3", 8, x="1"), "e": made_with("3", 8, x="2")}
    assert "init_states" in shared_conditions(make_runs(states, d="s s", e="f f")).warnings[0]
    states = {"f": made_with("3", 8, x="1"), "g": made_with("3", 8, y="2")}
    assert shared_conditions(make_runs(states, f="s s", g="f")).warnings == ()


def test_what_is_known_of_a_run_is_text(make_runs: MakeRuns) -> None:
    (run,) = make_runs({"a": {"config": {"n": 1, "tasks": [0, 1]}, "demos": None}}, a="es")
    entries = entries_of(run.info)
    assert entries["config.n"] == "1"
    assert entries["config.tasks"] == "[0, 1]"
    assert entries["demos"] == ""
    assert entries["provenance.gl"] == "llvmpipe"
    assert errors_of(run) == [
        "libero_90 task 0, init state 0, seed 7, attempt 1: SimulatorError: it broke"
    ]
