import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from results.folder import load_run
from results.leaderboard.rendering import render
from results.leaderboard.rows import rows_by_task, rows_from_runs
from results.records import EpisodeRecord, RunInfo
from results.store import RunStore
from tasks.errors import ResultsError
from tests.results.suite_runs import write_suite_run

MakeRun = Callable[..., Path]


def policy(exec_horizon: int, fusion: str = "none") -> dict[str, object]:
    return {"name": "rdt-small", "exec_horizon": exec_horizon, "fusion": fusion}


@pytest.fixture
def runs(make_run: MakeRun) -> list[tuple[RunInfo, list[EpisodeRecord]]]:
    other = {"name": "lerobot", "hash": "cccc2222"}
    folders = [
        make_run("h1", "sssssfffff", policy=policy(1)),
        make_run("partial", "ssse", policy=policy(4)),
        make_run("h8", "sssssssssf", policy=policy(8), demos="50 official"),
        make_run("h16", "ssssssssff", policy=policy(16), protocol=other),
    ]
    return [load_run(folder) for folder in folders]


def test_best_first_and_incomplete_below_without_a_rank(
    runs: list[tuple[RunInfo, list[EpisodeRecord]]],
) -> None:
    rows = rows_from_runs(runs)
    assert [(row.rank, row.label) for row in rows] == [
        (1, "h8"),
        (2, "h16"),
        (3, "h1"),
        (None, "partial"),
    ]
    best, other, _, partial = rows
    assert (best.successes, best.episodes, best.rate) == (9, 10, 0.9)
    assert (best.low, best.high) == pytest.approx((0.596, 0.982), abs=1e-3)
    assert (best.steps_to_success, best.steps) == (120.0, 148.0)
    assert other.notes == ("other protocol: lerobot cccc2222",)
    assert partial.notes == ("incomplete 3/10",)


def test_errors_are_counted_apart(runs: list[tuple[RunInfo, list[EpisodeRecord]]]) -> None:
    partial = rows_from_runs(runs)[-1]
    assert (partial.rate, partial.episodes, partial.errors) == (1.0, 3, 1)
    assert partial.steps == 120.0


def test_another_mujoco_is_marked_and_its_episodes_are_not_the_same(make_run: MakeRun) -> None:
    pin, other = ({"packages": {"mujoco": version}} for version in ("3.2.3", "3.3.7"))
    folders = [
        make_run("a", "sssssfffff", provenance=pin),
        make_run("b", "ssssssssss", provenance=other),
        make_run("c", "ssssssssff", provenance=pin),
        make_run("old", "sfffffffff"),
    ]
    rows = {row.label: row for row in rows_from_runs(map(load_run, folders))}
    assert rows["b"].notes == ("other mujoco: 3.3.7, not 3.2.3",)
    assert {name: bool(row.letters) for name, row in rows.items()} == {
        "a": True,
        "b": False,
        "c": True,
        "old": False,
    }
    assert not any(row.notes for name, row in rows.items() if name != "b")
    values = json.loads(render(list(rows.values()), "json"))
    assert [each["mujoco"] for each in values] == ["3.3.7", "3.2.3", "3.2.3", None]


def test_what_broke_episodes_is_said(
    tmp_path: Path, make_info: Callable[..., RunInfo], make_episode: Callable[..., EpisodeRecord]
) -> None:
    reasons = ["GLError: 12289", "no room", "GLError: 12290"]
    with RunStore.open(tmp_path, make_info("noop")) as store:
        for state, reason in enumerate(reasons):
            store.append(make_episode(state, "error", error=reason))
    (row,) = rows_from_runs([load_run(tmp_path)])
    assert (row.errors, row.error, row.error_count) == (3, "GLError: 12289", 2)
    words = (
        "noop: 3 of 3 episodes broke, so there is no success rate: most often (2 times) "
        "GLError: 12289"
    )
    assert words in " ".join(render([row]).split())
    assert words in render([row], "markdown")
    (plain,) = json.loads(render([row], "json"))
    assert (plain["rate"], plain["error"], plain["error_count"]) == (None, "GLError: 12289", 2)
    with RunStore.open(tmp_path, make_info("noop")) as store:
        store.append(make_episode(0))
        store.append(make_episode(2))
    (row,) = rows_from_runs([load_run(tmp_path)])
    assert "noop: 1 of 3 episodes broke: no room" in render([row])


def test_equal_rates_share_a_rank(make_run: MakeRun) -> None:
    loaded = [
        load_run(make_run(name, "s" * 9 + last)) for name, last in zip("abc", "ssf", strict=True)
    ]
    assert [row.rank for row in rows_from_runs(loaded)] == [1, 1, 3]


def test_other_tasks_are_ranked_apart(
    make_run: MakeRun, make_info: Callable[..., RunInfo], make_episode: Callable[..., EpisodeRecord]
) -> None:
    two = make_info("two", tasks={"libero_90": (1, 2)}, expected_episodes=4, episodes_per_task=2)
    records = [
        make_episode(n, "success" if t == 1 else "failure", task=t) for t in (1, 2) for n in (0, 1)
    ]
    loaded = [load_run(make_run("one", "s" * 10)), (two, records)]
    assert [(row.label, row.rank, row.rate) for row in rows_from_runs(loaded)] == [
        ("one", 1, 1.0),
        ("two", 1, 0.5),
    ]
    assert [(row.label, row.tasks, row.rate, row.expected) for row in rows_by_task(loaded)] == [
        ("one", (1,), 1.0, 10),
        ("two", (1,), 1.0, 2),
        ("two", (2,), 0.0, 2),
    ]


def test_a_suite_gets_the_bootstrap_and_a_task_wilson(tmp_path: Path) -> None:
    outcomes = {0: "s" * 20, 1: "s" * 12 + "f" * 8}
    loaded = [load_run(write_suite_run(tmp_path / "a", outcomes))]
    (row,) = rows_from_runs(loaded)
    assert (row.rate, row.method) == (0.8, "bootstrap by task")
    assert (row.low, row.high) == (0.7, 0.9)
    by_task = rows_by_task(loaded)
    assert {each.method for each in by_task} == {"Wilson"}
    assert by_task[1].low == pytest.approx(0.387, abs=1e-3)
    assert "95 % bootstrap by task" in render([row])
    assert "95 % Wilson" in render(by_task)
    mixed = rows_from_runs([*loaded, load_run(write_suite_run(tmp_path / "b", {0: "s", 1: "f"}))])
    header = render(mixed, "markdown").splitlines()[0]
    assert "| 95 % interval | interval by |" in header


def test_letters_say_which_runs_are_told_apart(tmp_path: Path) -> None:
    outcomes = {
        "best": {0: "s" * 20, 1: "s" * 18 + "ff"},
        "close": {0: "s" * 20, 1: "s" * 14 + "f" * 6},
        "worst": {0: "s" * 10 + "f" * 10, 1: "s" * 14 + "f" * 6},
        "other": {0: "s" * 10, 1: "f" * 10},
        "partial": {0: "s" * 20, 1: "s" * 12 + "e" * 8},
    }
    folders = [
        write_suite_run(tmp_path / name, tasks, name=name) for name, tasks in outcomes.items()
    ]
    foreign = {"name": "lerobot", "hash": "cccc2222"}
    folders.append(
        write_suite_run(tmp_path / "foreign", outcomes["worst"], name="foreign", protocol=foreign)
    )
    rows = rows_from_runs(map(load_run, folders))
    # 4 flips, all one way, are not enough; 10 and 14 are.
    assert {row.label: row.letters for row in rows} == {
        "best": "a",
        "close": "a",
        "worst": "b",
        "other": "",
        "partial": "",
        "foreign": "",
    }
    assert "share a letter" in render(rows)
    assert "share a letter" in render(rows, "markdown")
    assert "share a letter" not in render(rows[-1:])
    assert {row.letters for row in rows_by_task(map(load_run, folders))} == {""}


def test_the_difference_that_a_run_can_show(make_run: MakeRun) -> None:
    (row,) = rows_from_runs([load_run(make_run("ten", "sssssssssf"))])
    assert row.detectable == pytest.approx(0.575, abs=1e-3)
    assert "a difference below 58 points" in render([row], "markdown")
    assert json.loads(render([row], "json"))[0]["detectable"] == row.detectable


def test_every_format_shows_every_run(runs: list[tuple[RunInfo, list[EpisodeRecord]]]) -> None:
    rows = rows_from_runs(runs)
    for text in (render(rows, "table"), render(rows, "markdown")):
        for part in ("h8", "90.0 %", "59.6–98.2", "9/10", "over successes", "incomplete 3/10"):
            assert part in text
    table = list(csv.DictReader(io.StringIO(render(rows, "csv"))))
    assert [row["label"] for row in table] == ["h8", "h16", "h1", "partial"]
    assert (table[0]["rate"], table[3]["rank"]) == ("0.9", "")
    data = json.loads(render(rows, "json"))
    assert (data[0]["rate"], data[0]["successes"], data[3]["rank"]) == (0.9, 9, None)
    assert list(data[0]) == list(table[0])


def test_markdown_survives_a_name_with_bars(make_run: MakeRun) -> None:
    rows = rows_from_runs([load_run(make_run("x", "s", name="a|b <i>"))])
    lines = render(rows, "markdown").splitlines()
    assert "a\\|b &lt;i>" in lines[2]
    assert lines[2].replace("\\|", "").count("|") == lines[0].count("|")


def test_square_brackets_are_not_markup(make_run: MakeRun) -> None:
    assert "[bold]x" in render(rows_from_runs([load_run(make_run("x", "s", name="[bold]x"))]))


def test_no_rows_and_no_episodes(make_run: MakeRun) -> None:
    empty = rows_from_runs([load_run(make_run("empty", ""))])
    for format in ("table", "markdown", "csv", "json"):
        assert "empty" in render(empty, format)
        render([], format)
    with pytest.raises(ResultsError, match="Allowed: table, markdown, csv, json"):
        render(empty, "xml")  # type: ignore[arg-type]
