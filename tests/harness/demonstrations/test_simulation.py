"""Demo files on the real simulator: replayed, taken up in the middle, made anew."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from harness.cli import main
from harness.demonstrations.collection import Collected
from harness.demonstrations.config import RegenerationConfig
from harness.demonstrations.regeneration import regenerate
from harness.demonstrations.replay import replay_demo, replay_demos
from tasks.demos.motion import noops
from tasks.demos.reader import read_demos
from tasks.errors import ConfigError
from tests.training.demo_files import as_official, write_official
from training.demos.check import check_demo_file


@pytest.fixture(scope="module")
def official(collected: Collected, tmp_path_factory) -> Path:
    """The first demonstration, as if LIBERO's own scripts had made it."""
    path = tmp_path_factory.mktemp("official") / "libero_object" / collected.path.name
    as_official(collected.path, path)
    with h5py.File(path, "r+") as file:
        del file["data/demo_1"]
        file["data"].attrs["num_demos"] = 1
        file["data"].attrs["total"] = file["data/demo_0"].attrs["num_samples"]
    return path


@pytest.mark.sim
def test_our_demos_are_sound_and_say_when_things_changed(collected: Collected) -> None:
    lines = {line.name: line.status for line in check_demo_file(collected.path)}
    assert set(lines.values()) == {"ok"}
    for demo in read_demos(collected.path):
        kinds = [phase.kind for phase in demo.phases]
        assert demo.phases_noted
        assert kinds.count("close") == kinds.count("open") == 1
        by_kind = {phase.kind: phase for phase in reversed(demo.phases)}
        touch = next(phase for phase in demo.phases if phase.kind == "touch")
        assert touch.what == "alphabet_soup_1 + gripper"
        assert 0 <= touch.step - by_kind["close"].step < 10
        assert by_kind["goal"].what == "In(alphabet_soup_1, basket_1_contain_region)"
        assert by_kind["goal"].step > by_kind["close"].step


@pytest.mark.sim
def test_our_demos_repeat_their_states_bit_for_bit_in_other_processes(collected: Collected) -> None:
    chosen = [(collected.path, f"demo_{index}") for index in (0, 1)]
    for replay in replay_demos(chosen, workers=2):
        assert replay.problem == ""
        assert replay.success
        assert replay.exact
        assert (replay.deviation, replay.first) == (0.0, None)
        assert replay.reached is not None
        assert replay.reached <= replay.steps


@pytest.mark.sim
def test_official_demos_are_taken_up_where_they_begin(official: Path, tmp_path: Path) -> None:
    replay = replay_demo(official, "demo_0")
    assert replay.success
    assert replay.deviation < 1e-9  # what no state holds was guessed right
    damaged = tmp_path / official.name
    damaged.write_bytes(official.read_bytes())
    with h5py.File(damaged, "r+") as file:
        actions = file["data/demo_0/actions"]
        actions[: len(actions) // 2, 6] = -1.0  # the can is gripped too late
        actions[len(actions) // 2 :, 6] = -1.0
    replay = replay_demo(damaged, "demo_0")
    assert not replay.success
    assert replay.deviation > 0.01
    assert replay.first is not None


@pytest.mark.sim
def test_a_demo_of_another_scene_is_not_executed(tmp_path: Path) -> None:
    path = write_official(tmp_path / "libero_object" / "a_demo.hdf5")
    replay = replay_demo(path, "demo_0")
    assert "does not fit pick_up_the_alphabet_soup" in replay.problem
    with h5py.File(path, "r+") as file:
        file["data"].attrs["bddl_file_name"] = "bddl_files/libero_object/fly.bddl"
    assert "belongs to no task" in replay_demo(path, "demo_0").problem


def _with_pauses(official: Path, path: Path) -> Path:
    """Copy a demonstration; its waits become slight moves, and six pauses come in on the way."""
    path.parent.mkdir(parents=True)
    path.write_bytes(official.read_bytes())
    with h5py.File(path, "r+") as file:
        demo = file["data/demo_0"]
        actions = demo["actions"][...]
        actions[noops(actions), 0] = 2e-4
        demo["actions"][...] = actions
        middle = len(actions) // 2
        rows = np.insert(np.arange(len(actions)), middle, [middle] * 6)
        for key in ["actions", "states", "robot_states", "rewards", "dones"]:
            array = demo[key][...][rows]
            del demo[key]
            demo[key] = array
        demo["actions"][middle : middle + 6, :6] = 0
        for key in list(demo["obs"]):
            array = demo[f"obs/{key}"][...][rows]
            del demo[f"obs/{key}"]
            demo[f"obs/{key}"] = array
    return path


@pytest.mark.sim
@pytest.mark.slow
def test_regenerated_demos_have_no_pauses_and_repeat_themselves(
    official: Path, tmp_path: Path, capsys
) -> None:
    source = _with_pauses(official, tmp_path / "source" / official.name)
    arguments = ["demos", "regenerate", str(source), "--out", str(tmp_path), "--workers", "1"]
    assert main([*arguments, "--resolution", "48", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)[0]
    with h5py.File(source) as file:
        original = file["data/demo_0/actions"][...]
    assert made["demos"][0]["dropped"] == noops(original).sum() == 6
    path = Path(made["path"])
    assert [line for line in check_demo_file(path) if line.status == "failed"] == []
    demo = next(read_demos(path))
    assert demo.images["wrist"].shape[1:] == (48, 48, 3)
    np.testing.assert_array_equal(demo.actions, original[~noops(original)])
    assert {"goal", "touch"} <= {phase.kind for phase in demo.phases}
    again = replay_demo(path, "demo_0")
    assert again.success
    assert again.exact
    before = path.stat().st_mtime_ns
    config = RegenerationConfig(resolution=48)
    assert regenerate([source], tmp_path, config)[0].demos == ()
    assert path.stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="resolution: 48 there, 64 asked"):
        regenerate([source], tmp_path, RegenerationConfig(resolution=64))
    with pytest.raises(ConfigError, match="over an original"):
        regenerate([path], tmp_path, config)


@pytest.mark.sim
def test_what_fails_without_its_waits_is_dropped_and_said(official: Path, tmp_path: Path) -> None:
    """A hand that stands still for so long after its grip carries nothing to the goal."""
    source = tmp_path / "source" / official.name
    source.parent.mkdir()
    source.write_bytes(official.read_bytes())
    with h5py.File(source, "r+") as file:
        actions = file["data/demo_0/actions"][...]
        grip = int(np.argmax(actions[:, 6] > 0))
        actions[grip : grip + 40, :6] = 0
        file["data/demo_0/actions"][...] = actions
    out = tmp_path / "out"
    found = regenerate([source], out, RegenerationConfig(resolution=48, workers=1))[0]
    assert "none of 1 demonstrations succeeds any more" in found.problem
    assert found.demos[0].reason.startswith("the goal")
    assert not found.path.exists()
