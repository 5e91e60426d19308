"""Cells whose records are all that is left: they are finished, and travel between folders."""

import json
import shutil
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from harness.cli import main
from harness.evaluation.workload import resolve_workload
from harness.recipes.config import Recipe
from harness.recipes.resolved import RecipeRun
from harness.studies.cells import Cell, cells_of, record_of
from harness.studies.config import StudyOptions
from harness.studies.finished import is_finished, unfinished
from harness.studies.planning import plan_study
from harness.studies.saving import save_records
from harness.studies.stages import choose_cells, run_single, run_study
from results.folder import EPISODES_FILE, RUN_FILE
from results.studies.curves import TRAINING_LOG
from results.studies.records import write_study
from results.studies.rendering import StudyTables
from tasks.errors import ConfigError
from tests.harness.studies.test_config import TEXT, study_of
from tests.results.suite_runs import write_suite_run


def write_cell(cell: Cell, out: Path, successes: int = 4) -> None:
    """Write what a finished cell leaves, and a checkpoint and a video to be left behind."""
    folder = out / cell.folder
    run = RecipeRun(cell.recipe, folder)
    for evaluation in run.evaluations:
        episodes = len(resolve_workload(evaluation)[1].episodes)
        policy = {"name": "rdt", "exec_horizon": evaluation.exec_horizon, "fusion": "none"}
        outcomes = {0: "s" * successes + "f" * (episodes - successes)}
        write_suite_run(evaluation.out, outcomes, suite="libero_object", policy=policy, films=1)
    log = folder / TRAINING_LOG
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({"update": 100, "loss": 0.5}) + "\n")
    weights = log.parent / "checkpoint" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    recipe = TypeAdapter(Recipe).dump_json(cell.recipe)
    (folder / "recipe.json").write_bytes(recipe)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A study's folder in which all cells but the last are finished."""
    study, out = study_of(tmp_path), tmp_path / "out"
    cells = cells_of(study, out)
    for number, cell in enumerate(cells[:-1]):
        write_cell(cell, out, successes=number)
    write_study(out, record_of(study, cells))
    return out


def cells_in(tmp_path: Path, out: Path, text: str = TEXT) -> list[Cell]:
    return cells_of(study_of(tmp_path, text), out)


def test_cells_stay_finished_without_their_checkpoints(tmp_path: Path, out: Path) -> None:
    for weights in out.rglob("checkpoint"):
        shutil.rmtree(weights)
    assert [cell.name for cell in unfinished(cells_in(tmp_path, out), out)] == ["base/2"]


def test_a_cell_is_not_finished_without_an_episode(tmp_path: Path, out: Path) -> None:
    cell = cells_in(tmp_path, out)[0]
    episodes = next((out / cell.folder).rglob(EPISODES_FILE))
    lines = episodes.read_text().splitlines(keepends=True)
    episodes.write_text("".join(lines[:-1]))
    assert not is_finished(cell, out)
    broken = json.loads(lines[-1]) | {"outcome": "error", "error": "EGL"}
    episodes.write_text("".join(lines[:-1]) + json.dumps(broken) + "\n")
    assert not is_finished(cell, out)
    episodes.write_text("".join(lines))
    assert is_finished(cell, out)


@pytest.mark.parametrize(
    ("old", "new", "stays"),
    [
        ("updates = 100", "updates = 200", False),
        ("batch_size = 4", "batch_size = 5", False),
        ("demos = 2", "demos = 3", False),
        ("episodes = 10", "episodes = 9", False),
        ("exec_horizons = [64, 16]", "exec_horizons = [64, 16, 8]", False),
        ("updates = 100", "updates = 100\nsave_every = 7", True),
        ("episodes = 10", "episodes = 10\nworkers = 2", True),
        ('title = "Small"', 'title = "Smaller"', True),
    ],
)
def test_other_settings_are_another_cell(
    tmp_path: Path, out: Path, old: str, new: str, stays: bool
) -> None:
    text = TEXT.replace(old, new)
    assert text != TEXT
    assert is_finished(cells_in(tmp_path, out, text)[0], out) is stays


def test_existing_demonstrations_elsewhere_are_others(tmp_path: Path) -> None:
    begin, end = TEXT.index("[collect]"), TEXT.index("[train]")
    text = TEXT[:begin] + TEXT[end:].replace(
        '[[arms]]\nname = "few"\ncollect = { demos = 1 }\n', ""
    )
    there, elsewhere = (f'demos = ["{tmp_path}/{name}/demos"]\n{text}' for name in ("a", "b"))
    out = tmp_path / "out"
    write_cell(cells_in(tmp_path, out, there)[0], out)
    assert is_finished(cells_in(tmp_path, out, there)[0], out)
    assert not is_finished(cells_in(tmp_path, out, elsewhere)[0], out)


def test_records_travel_without_weights_and_videos(tmp_path: Path, out: Path) -> None:
    copy = tmp_path / "records"
    assert save_records(out, copy) == (8, 8)
    names = {path.name for path in copy.rglob("*") if path.is_file()}
    assert names <= {"study.json", "recipe.json", "train.jsonl", RUN_FILE, EPISODES_FILE, ".lock"}
    assert StudyTables(copy).render("json") == StudyTables(out).render("json")
    assert [cell.name for cell in unfinished(cells_in(tmp_path, copy), copy)] == ["base/2"]


def test_records_gather_and_those_there_stay(tmp_path: Path, out: Path) -> None:
    copy = tmp_path / "records"
    save_records(out, copy)
    before = {path: path.stat().st_mtime_ns for path in (copy / "cells").rglob("*.jsonl")}
    cells = cells_in(tmp_path, out)
    write_cell(cells[-1], out)
    assert save_records(out, copy) == (1, 9)
    assert (
        before.items()
        <= {path: path.stat().st_mtime_ns for path in (copy / "cells").rglob("*.jsonl")}.items()
    )
    assert unfinished(cells_in(tmp_path, copy), copy) == []


def test_records_gather_though_the_log_is_shorter_and_workers_are_more(
    tmp_path: Path, out: Path
) -> None:
    copy = tmp_path / "records"
    save_records(out, copy)
    text = TEXT.replace("updates = 100", "updates = 100\nlog_every = 50")
    text = text.replace("episodes = 10", "episodes = 10\nworkers = 2")
    cells = cells_in(tmp_path, out, text)
    write_cell(cells[-1], out)
    write_study(out, record_of(study_of(tmp_path, text), cells))
    assert save_records(out, copy) == (1, 9)
    assert unfinished(cells_in(tmp_path, copy, text), copy) == []


def test_a_cell_that_is_not_finished_is_not_copied(tmp_path: Path, out: Path) -> None:
    cell = cells_in(tmp_path, out)[0]
    next((out / cell.folder).rglob(RUN_FILE)).unlink()
    copy = tmp_path / "records"
    assert save_records(out, copy) == (7, 7)
    assert not (copy / cell.folder).exists()


@pytest.mark.parametrize("what", ["other settings", "no study"])
def test_records_go_to_no_other_folder(tmp_path: Path, out: Path, what: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    if what == "no study":
        (target / "notes.txt").write_text("mine")
    else:
        other = study_of(tmp_path, TEXT.replace("batch_size = 8", "batch_size = 16"))
        write_study(target, record_of(other, cells_of(other, target)))
    with pytest.raises(ConfigError, match=what):
        save_records(out, target)
    assert not (target / "cells").exists()


def test_a_study_goes_on_from_records(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is collected, trained or evaluated again: there are no demonstrations and weights."""
    copy = tmp_path / "records"
    save_records(out, copy)
    chosen = choose_cells(tmp_path / "study.toml", copy, seeds=2)
    assert run_study(chosen, jobs=2, engine=StudyOptions()) == {}
    run_single(chosen, "few/1", StudyOptions())
    said = capsys.readouterr().err
    assert "8 of 8 cells are finished." in said
    assert "Cell few/1 is finished." in said
    assert not (copy / "demos").exists()
    assert not (copy / "logs").exists()


def test_a_plan_counts_the_hours_that_are_left(tmp_path: Path, out: Path) -> None:
    study, cells = study_of(tmp_path), cells_in(tmp_path, out)
    plan = plan_study(study, cells, out, left=unfinished(cells, out))
    assert plan.finished == 8
    assert plan.hours == pytest.approx((100 * 0.5 + 20 * 6) / 3600)


def test_only_with_a_table_the_page_is_written(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(out.iterdir())
    for format in ("markdown", "csv", "json"):
        assert main(["study", str(out), "--report", "--format", format]) == 0
        assert capsys.readouterr().out == StudyTables(out).render(format)
    assert sorted(out.iterdir()) == before
    assert main(["study", str(out), "--report"]) == 0
    assert (out / "study.md").read_text("utf-8") == StudyTables(out).render("markdown")
    assert (out / "index.html").is_file()


@pytest.mark.parametrize("asked", [["--report"], ["--save-records", "records"]])
def test_a_study_that_was_not_begun_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["study", "nine-claims", *asked]) == 2
    assert (
        "Unknown study 'nine-claims'. Allowed: eight-claims, a TOML file" in capsys.readouterr().err
    )
    assert main(["study", "eight-claims", *asked]) == 2
    assert "'runs/eight-claims' is no study's folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
