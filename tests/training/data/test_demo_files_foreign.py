"""Files as others write them give the windows of the file that they were made from."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from harness.cli import main
from policies.rdt.actions.layout_file import get_layout
from tasks.demos.reader import read_demos
from tasks.suites import find_task
from tests.training.demo_files import as_official, as_openvla, write_collected
from tests.training.tiny import save_tiny
from tests.training.windows import windows_of

STEPS, HORIZON, DROPPED = 40, 8, 5
NAME = find_task("libero_goal", "turn_on_the_stove").demo_file


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_collected(tmp_path_factory.mktemp("ours") / NAME, steps=STEPS)
    with h5py.File(path, "r+") as file:
        for demo in file["data"].values():  # what only the collector knows
            demo["intended_actions"] = np.clip(demo["actions"][...] * 0.9, -1, 1)
    return path


def hashes(path: Path, layout: str = "eef-goal") -> list[list[str]]:
    """Hash state, actions, pictures and sentence of each window, by demonstration."""
    data = windows_of(path, layout=get_layout(layout), horizon=HORIZON, targets="executed")
    found: list[list[str]] = [[] for _ in data.entries]
    for index, (demo, _) in enumerate(data.index.tolist()):
        window = data[index]
        digest = hashlib.sha256("|".join(data.instructions).encode())
        for key in ("state", "actions", "images", "token_ids", "token_mask"):
            digest.update(window[key].numpy().tobytes())
        found[demo].append(digest.hexdigest())
    return found


@pytest.mark.parametrize("layout", ["eef-goal", "joints"])
def test_a_file_as_openvla_writes_them_gives_the_same_windows(
    ours: Path, tmp_path: Path, layout: str
) -> None:
    theirs = as_openvla(ours, tmp_path / NAME)
    assert hashes(theirs, layout) == hashes(ours, layout)


def test_an_official_file_gives_the_same_windows_where_they_overlap(
    ours: Path, tmp_path: Path
) -> None:
    theirs = as_official(ours, tmp_path / NAME, dropped=DROPPED)
    with h5py.File(theirs, "r+") as file:
        old = "chiliocosm/bddl_files/libero_goal/light_the_stove.bddl"
        file["data"].attrs["env_args"] = json.dumps({"bddl_file": old, "env_kwargs": {}})
        for demo in file["data"].values():
            demo.attrs["num_samples"] = str(demo.attrs["num_samples"])
    for mine, found in zip(hashes(ours), hashes(theirs), strict=True):
        # The first window repeats a picture, the last ones look beyond the end.
        common = range(1, STEPS - DROPPED - 2 - HORIZON + 1)
        assert [found[i] for i in common] == [mine[i + DROPPED + 1] for i in common]
        assert len(set(found)) == len(found) == STEPS - DROPPED - 2


def test_robot_states_are_put_together_where_they_are_missing(ours: Path, tmp_path: Path) -> None:
    theirs = as_openvla(ours, tmp_path / NAME)
    with h5py.File(theirs, "r+") as file:
        for demo in file["data"].values():
            del demo["robot_states"]
    for mine, found in zip(read_demos(ours), read_demos(theirs), strict=True):
        np.testing.assert_array_equal(found.ee_pos, mine.ee_pos)
        np.testing.assert_array_equal(found.gripper_qpos, mine.gripper_qpos)
        np.testing.assert_allclose(found.ee_quat, mine.ee_quat, atol=1e-12)


def _none(file: h5py.File) -> None:
    pass


def _convention(file: h5py.File) -> None:
    file["data"].attrs["obs_convention"] = "after_action"


def _still(file: h5py.File) -> None:
    for demo in file["data"].values():
        for key in ("robot_states", "obs/joint_states"):
            demo[key][...] = demo[key][0]
        demo["states"][...] = demo["states"][0]


def _raw(file: h5py.File) -> None:
    for demo in file["data"].values():
        for key in [key for key in demo if key not in ("states", "actions")]:
            del demo[key]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "options", "code", "words"),
    [
        (_none, [], 0, "rows are seen before their action: the hand moves on from a row"),
        (_none, [], 0, "have no intended actions: the actions learnt come from the executed"),
        (_convention, [], 2, "says after_action, but the hand moves"),
        (_convention, ["--convention", "after_action"], 0, "as --convention says, but the hand"),
        (_still, [], 2, "within 1 cm, and the fingers do not start from rest. Fix: give --conv"),
        (_still, ["--convention", "before_action"], 0, "its numbers do not tell"),
        (_raw, [], 2, "without observations, as teleoperation records them. Fix: 'libero-bench"),
    ],
)
def test_train_says_what_it_makes_of_a_file(
    ours: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[h5py.File], None],
    options: list[str],
    code: int,
    words: str,
) -> None:
    theirs = as_openvla(ours, tmp_path / NAME)
    with h5py.File(theirs, "r+") as file:
        change(file)
    command = ["train", "--demos", str(theirs), "--out", str(tmp_path / "run"), "--updates", "1"]
    command += ["--targets", "intended", "--batch-size", "2", "--threads", "1"]
    command += ["--checkpoint", str(save_tiny(tmp_path / "tiny"))]
    assert main([*command, *options]) == code
    assert words in " ".join(capsys.readouterr().err.split())
    if code == 0:
        contract = json.loads((tmp_path / "run" / "checkpoint" / "contract.json").read_text())
        wanted = options[-1] if options else "before_action"
        assert contract["demos"]["conventions"] == [wanted]
