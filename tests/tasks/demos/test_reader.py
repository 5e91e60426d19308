"""Reading demo files: conventions, orientation, and the refusal of everything else."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from tasks.demos.folders import find_all_demo_files, find_demo_files
from tasks.demos.reader import read_demos
from tasks.errors import ConfigError
from tests.training.demo_files import write_file


def test_official_files_pair_an_action_with_what_was_seen_before_it(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", steps=12)
    with h5py.File(path) as file:
        actions = file["data/demo_0/actions"][...]
        robot = file["data/demo_0/robot_states"][...]
    after = next(read_demos(path, convention="after_action"))
    assert after.steps == 11
    np.testing.assert_array_equal(after.actions, actions[1:])
    np.testing.assert_array_equal(after.ee_pos, robot[:-1, 2:5])
    before = next(read_demos(path, convention="before_action"))
    np.testing.assert_array_equal(before.actions, actions)
    np.testing.assert_array_equal(before.ee_quat, robot[:, 5:9])


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", convention="before_action")
    with h5py.File(path) as file:
        stored = file["data/demo_1/obs/agentview_rgb"][...]
    demo = list(read_demos(path))[1]
    np.testing.assert_array_equal(demo.images["agentview"], np.rot90(stored, 2, axes=(1, 2)))


def test_intended_actions_are_read_where_a_file_has_them(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", convention="before_action")
    demo = next(read_demos(path))
    np.testing.assert_array_equal(demo.intended, demo.actions)
    intended = np.full((12, 7), 0.25)
    with h5py.File(path, "r+") as file:
        file["data/demo_0/intended_actions"] = intended
    demo = next(read_demos(path))
    np.testing.assert_array_equal(demo.intended, intended)
    assert not np.array_equal(demo.actions, intended)
    with h5py.File(path, "r+") as file:
        del file["data/demo_0/intended_actions"]
        file["data/demo_0/intended_actions"] = np.zeros((3, 7))
    with pytest.raises(ConfigError, match="3 rows"):
        list(read_demos(path))


def _nan(file: h5py.File) -> None:
    file["data/demo_0/robot_states"][3, 2] = np.nan


def _too_large(file: h5py.File) -> None:
    file["data/demo_1/actions"][0, 0] = 1.5


def _shape(file: h5py.File) -> None:
    del file["data/demo_0/actions"]
    file["data/demo_0/actions"] = np.zeros((12, 6))


def _rows(file: h5py.File) -> None:
    del file["data/demo_0/obs/joint_states"]
    file["data/demo_0/obs/joint_states"] = np.zeros((9, 7))


def _missing(file: h5py.File) -> None:
    del file["data/demo_0/obs/agentview_rgb"]


def _float_pictures(file: h5py.File) -> None:
    del file["data/demo_0/obs/agentview_rgb"]
    file["data/demo_0/obs/agentview_rgb"] = np.zeros((12, 16, 16, 3))


def _huge(file: h5py.File) -> None:
    del file["data/demo_0/obs/agentview_rgb"]
    file.create_dataset("data/demo_0/obs/agentview_rgb", (12, 60000, 60000, 3), np.uint8)


def _instruction(file: h5py.File) -> None:
    del file["data"].attrs["problem_info"]


def _empty(file: h5py.File) -> None:
    del file["data/demo_0"], file["data/demo_1"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_nan, "NaN"),
        (_too_large, "leaves"),
        (_shape, "shape"),
        (_rows, "9 rows"),
        (_missing, "missing"),
        (_float_pictures, "uint8"),
        (_huge, "declares 129,600,000,000 bytes"),
        (_instruction, "language_instruction"),
        (_empty, "no demonstration"),
    ],
)
def test_impossible_contents_are_refused(tmp_path: Path, damage, words: str) -> None:
    path = write_file(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(ConfigError, match=words) as caught:
        list(read_demos(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    whole = write_file(tmp_path / "a.hdf5").read_bytes()
    truncated = tmp_path / "truncated.hdf5"
    truncated.write_bytes(whole[: len(whole) // 2])
    foreign = tmp_path / "foreign.hdf5"
    foreign.write_text("not HDF5")
    for path in (truncated, foreign):
        with pytest.raises(ConfigError, match="truncated"):
            list(read_demos(path))
    other = tmp_path / "other.hdf5"
    with h5py.File(other, "w") as file:
        file["x"] = 1
    with pytest.raises(ConfigError, match="no group 'data'"):
        list(read_demos(other))


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    first = write_file(tmp_path / "suite" / "a_demo.hdf5")
    write_file(tmp_path / ".parts" / "x" / "attempt.hdf5")
    assert find_demo_files(tmp_path) == [first]
    with pytest.raises(ConfigError, match="does not exist"):
        find_demo_files(tmp_path / "nothing")
    second = write_file(tmp_path / "b_demo.hdf5")
    assert find_all_demo_files([second, tmp_path, first]) == [second, first]


def test_files_without_attributes_are_known_by_their_name(tmp_path: Path) -> None:
    """OpenVLA's script writes none."""
    name = "pick_up_the_milk_and_place_it_in_the_basket_demo.hdf5"
    path = write_file(tmp_path / "libero_object" / name)
    with h5py.File(path, "r+") as file:
        del file["data"].attrs["problem_info"]
    assert next(read_demos(path)).instruction == "pick up the milk and place it in the basket"


def test_noted_phases_count_in_the_rows_of_the_demo(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", steps=12)
    found = next(read_demos(path))
    assert not found.phases_noted
    assert [(p.step, p.kind) for p in found.phases if p.kind != "slow"] == [(5, "close")]
    note = [{"step": 6, "kind": "close"}, {"step": 9, "kind": "goal", "what": "On(a, b)"}]
    with h5py.File(path, "r+") as file:
        file["data/demo_0"].attrs["phases"] = json.dumps(note)
    before = next(read_demos(path, convention="before_action"))
    after = next(read_demos(path, convention="after_action"))
    assert before.phases_noted
    assert [phase.step for phase in before.phases] == [6, 9]
    assert [phase.step for phase in after.phases] == [5, 8]  # the first action has no observation
    assert after.phases[1].what == "On(a, b)"


def test_pictures_are_left_alone_where_nobody_wants_them(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5")
    assert next(read_demos(path, images=False)).images == {}
