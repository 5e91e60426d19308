"""Collected demonstrations in other formats, in the simulator: replayed, compared, regenerated."""

from pathlib import Path

import pytest

from harness.demonstrations.config import RegenerationConfig
from harness.demonstrations.export import ExportConfig, export_hdf5, export_lerobot
from harness.demonstrations.regeneration import remake_demo
from harness.demonstrations.replay import replay_demo
from harness.parity.checks import check_demo
from harness.parity.config import ParityConfig
from training.demos.check import check_demo_file

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def collected_file(collected) -> Path:
    path: Path = collected.path
    return path


def test_an_exported_set_repeats_what_was_collected(collected_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    export_lerobot([collected_file], out, ExportConfig(codec="png", workers=1), lambda *_: None)
    replay = replay_demo(out / "task_0", "demo_0")
    ours = replay_demo(collected_file, "demo_0")
    assert replay.problem == "" and ours.exact
    assert (replay.success, replay.reached) == (ours.success, ours.reached)
    assert replay.deviation < 0.01  # joints 2 ms after the states
    rows = check_demo(out / "task_0", ParityConfig())
    assert [row for row in rows if row.status == "failed"] == []


def test_a_file_in_the_official_format_works_everywhere(
    collected_file: Path, tmp_path: Path
) -> None:
    (official,) = export_hdf5(
        [collected_file], tmp_path, "hdf5-libero", ExportConfig(), lambda *_: None
    )
    assert "failed" not in {each.status for each in check_demo_file(official)}
    replay = replay_demo(official, "demo_0")
    assert replay.problem == "" and replay.success
    config = RegenerationConfig(noops="keep", resolution=64, settle_steps=0)
    (tmp_path / "parts").mkdir()
    remade = remake_demo(official, "demo_0", tmp_path / "parts", config)
    assert remade.kept, remade.reason
