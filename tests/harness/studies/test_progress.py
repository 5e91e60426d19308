"""How far a study is said to be, and how long it is said to take."""

import json
from pathlib import Path

import pytest

from harness.studies import progress
from harness.studies.cells import Cell, cells_of
from harness.studies.progress import StudyProgress
from results.studies.curves import TRAINING_LOG
from tests.harness.studies.test_config import study_of


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def cells(tmp_path: Path, out: Path) -> list[Cell]:
    return cells_of(study_of(tmp_path), out)[:4]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds."""
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def log(cell: Cell, out: Path, share: float) -> None:
    """Write what a training leaves that has done a share of its updates."""
    path = out / cell.folder / TRAINING_LOG
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cell.recipe.train is not None
    update = share * cell.recipe.train.settings["updates"]
    path.write_text(json.dumps({"update": update}) + "\n")


def test_time_left_counts_what_was_done_since_the_start(
    out: Path, cells: list[Cell], clock: list[float]
) -> None:
    first, second, *others = cells
    log(second, out, 0.5)
    study = StudyProgress(cells, out)
    assert study.look([first, second], others) == ({first.name: 0, second.name: 0.35}, None)
    clock[0] = 70.0
    log(first, out, 0.5)
    log(second, out, 1.0)
    shares, left_s = study.look([first, second], others)
    assert shares == pytest.approx({first.name: 0.35, second.name: 0.7})
    assert left_s == pytest.approx(70 * (0.65 + 0.3 + 2) / 0.7)
    clock[0] = 200.0
    shares, left_s = study.look([others[1]], [])
    assert shares == {others[1].name: 0}
    assert left_s == pytest.approx(200 * 1 / (3 - 0.35))


def test_time_left_is_not_told_from_updates_that_a_training_forgot(
    out: Path, cells: list[Cell], clock: list[float]
) -> None:
    first, *others = cells
    log(first, out, 0.9)
    study = StudyProgress(cells, out)
    clock[0] = 10.0
    log(first, out, 0.5)
    assert study.look([first], others)[1] is None
    clock[0] = 20.0
    log(first, out, 0.6)
    assert study.look([first], others)[1] == pytest.approx(10 * (3 + 1 - 0.42) / 0.07)


def test_a_cell_that_waits_keeps_what_it_did_earlier(
    out: Path, cells: list[Cell], clock: list[float]
) -> None:
    first, *others = cells
    log(others[-1], out, 1.0)
    study = StudyProgress(cells, out)
    clock[0] = 35.0
    log(first, out, 0.5)
    assert study.look([first], others)[1] == pytest.approx(35 * (0.65 + 2 + 0.3) / 0.35)
