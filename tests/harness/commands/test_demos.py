"""``libero-bench demos`` on files that need no simulator."""

import json
from pathlib import Path

import h5py
import pytest

from harness.cli import main
from tests.training.demo_files import write_official


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_official(tmp_path / "libero_object" / "lift_demo.hdf5")


def test_check_ends_with_1_if_a_file_is_broken(file: Path, capsys) -> None:
    assert main(["demos", "check", str(file)]) == 0
    assert "failed" not in capsys.readouterr().out
    with h5py.File(file, "r+") as opened:
        opened["data/demo_1/actions"][3, 2] = float("nan")
    assert main(["demos", "check", str(file.parent), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["sound"]
    failed = [line for line in found["files"][0]["checks"] if line["status"] == "failed"]
    assert "NaN" in failed[0]["detail"]
    file.write_bytes(file.read_bytes()[:5000])
    assert main(["demos", "check", str(file)]) == 1
    assert "truncated" in capsys.readouterr().out


def test_info_prints_what_its_json_says(file: Path, capsys) -> None:
    assert main(["demos", "info", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)[0]
    assert (found["demos"], found["steps"]) == (2, [40, 40])
    assert main(["demos", "info", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "2; 80 steps" in shown
    assert "after_action (not stated" in shown


@pytest.mark.slow
def test_preview_names_its_sheets(file: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "sheets"
    assert main(["demos", "preview", str(file), "--out", str(out), "--demos", "1", "--json"]) == 0
    drawn = [Path(path) for path in json.loads(capsys.readouterr().out)]
    assert drawn == [out / "lift" / "demo_1.png", out / "lift.png"]
    assert all(path.stat().st_size > 10_000 for path in drawn)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["info"], "No demo file was named"),
        (["info", "nowhere"], "does not exist"),
        (["replay", "FILE", "--demos", "7"], "No file holds one of the demos 7"),
        (["replay", "FILE", "--workers", "0"], "--workers 0 given"),
        (["regenerate", "FILE", "--out", "x", "--resolution", "1"], "--resolution: 1 given"),
        (["regenerate", "TEXT", "--out", "x"], "no HDF5 file"),
        (["preview", "FILE", "--demos", "one"], "--demos 'one'"),
        (["download", "--suite", "libero_lan"], "Unknown suite"),
    ],
)
def test_mistakes_are_one_line_with_the_fix(
    file: Path, tmp_path: Path, capsys, words: list[str], said: str
) -> None:
    text = tmp_path / "notes.hdf5"
    text.write_text("no demos")
    names = {"FILE": str(file), "TEXT": str(text)}
    assert main(["demos", *(names.get(word, word) for word in words)]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("libero-bench: ")
    assert said in message
    assert "Allowed:" in message or "Fix:" in message or "greater than" in message
