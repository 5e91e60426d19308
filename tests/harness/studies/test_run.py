"""Cells side by side in processes of their own: order, failures, interruption."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.studies import run
from harness.studies.cells import Cell, cells_of
from harness.studies.run import log_of, run_cells
from tests.harness.conftest import ROOT
from tests.harness.studies.test_config import study_of

pytestmark = pytest.mark.slow


@pytest.fixture
def cells(tmp_path: Path) -> list[Cell]:
    return cells_of(study_of(tmp_path), tmp_path / "out")[:4]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_so_many_cells_run_side_by_side(tmp_path: Path, cells: list[Cell]) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()

    def command(cell: Cell) -> list[str]:
        mine = marks / cell.name.replace("/", "-")
        return python(
            "import pathlib, time\n"
            f"mine, marks = pathlib.Path({str(mine)!r}), pathlib.Path({str(marks)!r})\n"
            "mine.write_text('')\n"
            "time.sleep(1.5)\n"
            "beside = len([each for each in marks.iterdir() if not each.read_text()])\n"
            "mine.write_text(str(beside))\n"
        )

    assert run_cells(cells, tmp_path / "out", jobs=2, command=command) == {}
    beside = [int(mark.read_text()) for mark in marks.iterdir()]
    assert len(beside) == len(cells)
    assert max(beside) == 2


def test_others_go_on_where_a_cell_fails(
    tmp_path: Path, cells: list[Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    def command(cell: Cell) -> list[str]:
        code = 3 if cell.name == "batch/0" else 0
        return python(f"import sys; print('it went wrong\\n'); sys.exit({code})")

    failed = run_cells(cells, tmp_path / "out", jobs=1, command=command)
    assert failed == {"batch/0": 3}
    said = " ".join(capsys.readouterr().err.split())
    assert "Cell batch/0 failed: it went wrong" in said
    assert log_of(cells[0], tmp_path / "out").read_text().strip() == "it went wrong"


def test_an_interruption_ends_the_cells(
    tmp_path: Path, cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()

    def command(cell: Cell) -> list[str]:
        return python(
            "import os, pathlib, time\n"
            f"(pathlib.Path({str(pids)!r}) / str(os.getpid())).write_text('')\n"
            "time.sleep(600)\n"
        )

    def interrupt(seconds: float) -> None:
        while len(list(pids.iterdir())) < 2:
            time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "pause", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_cells(cells, tmp_path / "out", jobs=2, command=command)
    for pid in pids.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.name), 0)


PARENT = """
import signal
import sys
from pathlib import Path
from harness.studies.cells import cells_of
from harness.studies.run import run_cells
from tests.harness.studies.test_config import study_of

CHILD = '''
import pathlib, signal, sys, time

def save(*_):
    time.sleep(0.5)
    path.write_text("saved")
    sys.exit(143)

path = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, save)
path.write_text("begun")
time.sleep(600)
'''

# A shell that starts the tests in the background has its children ignore them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
marks = Path(sys.argv[1])
out = marks.parent / "out"
run_cells(
    cells_of(study_of(marks.parent), out),
    out,
    jobs=2,
    command=lambda cell: [sys.executable, "-c", CHILD, str(marks / cell.name.replace("/", "-"))],
)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_polite_kill_lets_cells_save_what_they_have(
    tmp_path: Path, number: signal.Signals
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    parent = subprocess.Popen([sys.executable, "-c", PARENT, marks], cwd=ROOT)
    deadline = time.monotonic() + 60
    while [mark.read_text() for mark in marks.iterdir()] != ["begun"] * 2:
        assert parent.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    parent.send_signal(number)
    assert parent.wait(60) in (128 + number, -number)
    assert [mark.read_text() for mark in marks.iterdir()] == ["saved"] * 2
