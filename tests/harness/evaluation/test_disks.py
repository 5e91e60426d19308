"""Disks that are full or read-only: one line says so, and nothing finished is lost."""

import dataclasses
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.cli import main
from harness.evaluation import plan as evaluation_plan
from harness.evaluation import workload
from results.folder import load_run
from results.records import EpisodeKey, EpisodeRecord
from tests.harness.doubles import EchoSpec, Trouble

pytestmark = pytest.mark.slow

Mount = Callable[[str], None]


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, small."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", "") or str(error)
        pytest.skip(f"mounting is not permitted: {why.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True, capture_output=True)


@pytest.fixture
def run_eval(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[str]]]:
    """Run ``libero-bench eval`` on doubles; return its code and the lines that begin as errors."""

    def run(out: Path, places: EchoSpec, **changes: str) -> tuple[int, list[str]]:
        monkeypatch.setattr(workload, "LiberoSpec", lambda **_: places)
        settings = {"policy": "random", "suite": "libero_object", "tasks": "0-2", "episodes": "10"}
        words = ["eval", "--out", str(out)]
        for name, value in ({**settings, "workers": "2"} | changes).items():
            words += [f"--{name.replace('_', '-')}", value]
        code = main(words)
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return code, [line for line in said.err.splitlines() if line.startswith("libero-bench: ")]

    return run


def outcomes(folder: Path) -> dict[EpisodeKey, EpisodeRecord]:
    return {r.key: dataclasses.replace(r, wall_s=0.0, video=None) for r in load_run(folder)[1]}


def lines(folder: Path) -> list[str]:
    return (folder / "episodes.jsonl").read_text().splitlines(keepends=True)


def test_a_disk_that_fills_up_during_a_run(tmp_path: Path, disk: Path, run_eval) -> None:
    filling = EchoSpec(folder=str(disk), troubles={(0, 2): Trouble(kind="fill")})
    code, said = run_eval(disk / "run", filling)
    assert code == 2
    assert len(said) == 1
    assert "No space left" in said[0]
    assert "run the same command again" in said[0]
    kept = lines(disk / "run")
    assert 2 <= len(kept) < 30
    assert [json.loads(line)["outcome"] for line in kept].count("error") == 0
    code, said = run_eval(disk / "run", filling)  # still full
    assert (code, len(said)) == (2, 1)
    assert "No space left" in said[0]
    assert str(disk / "run") in said[0]
    assert lines(disk / "run") == kept

    (disk / "ballast").unlink()
    assert run_eval(disk / "run", filling) == (0, [])
    assert lines(disk / "run")[: len(kept)] == kept
    assert len(lines(disk / "run")) == 30
    run_eval(tmp_path / "calm", EchoSpec())
    assert outcomes(disk / "run") == outcomes(tmp_path / "calm")
    assert load_run(disk / "run")[0].status == "complete"


def test_a_disk_without_room_for_a_video(disk: Path, run_eval) -> None:
    filling = EchoSpec(folder=str(disk), troubles={(0, 0): Trouble(kind="fill")})
    code, said = run_eval(disk / "run", filling, record="1", tasks="0", workers="1")
    assert code == 2
    assert len(said) == 1
    assert "A worker could not write" in said[0]
    assert "No space left" in said[0]
    assert lines(disk / "run") == []
    assert list((disk / "run" / "videos").iterdir()) == []
    (disk / "ballast").unlink()
    assert run_eval(disk / "run", filling, record="1", tasks="0", workers="1") == (0, [])
    found = outcomes(disk / "run").values()
    assert [record.outcome for record in found].count("error") == 0
    assert [path.name for path in (disk / "run" / "videos").iterdir()] == [
        "libero_object-t0-i0-s7.mp4"
    ]


def test_a_folder_that_became_read_only(disk: Path, run_eval) -> None:
    filling = EchoSpec(folder=str(disk), troubles={(0, 2): Trouble(kind="fill")})
    run_eval(disk / "run", filling)
    (disk / "ballast").unlink()
    kept = lines(disk / "run")
    remount(disk, "ro")
    for folder in (disk / "run", disk / "new"):
        code, said = run_eval(folder, EchoSpec())
        assert (code, len(said)) == (2, 1)
        assert "Read-only file system" in said[0]
        assert "another --out" in said[0]
    remount(disk, "rw")
    assert lines(disk / "run") == kept
    assert run_eval(disk / "run", EchoSpec()) == (0, [])
    assert len(lines(disk / "run")) == 30
