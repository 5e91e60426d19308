"""Files in the format of LIBERO's release, and of OpenVLA's regeneration of it."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from harness.demonstrations.export import ExportConfig, export_hdf5
from tasks.demos.file import open_demo_file
from tasks.demos.folders import demo_instruction, demo_task
from tasks.demos.timing import observation_timing
from tasks.errors import ConfigError
from tasks.suites import find_task
from tests.training.demo_files import write_collected
from tests.training.demos.lerobot.test_round_trip import hashes
from training.demos.check import check_demo_file
from training.demos.official import CUT_STEPS, write_official

TASK = find_task("libero_goal", "open_the_middle_drawer_of_the_cabinet")
STEPS = 40
ARRAYS = {  # of a row, as listings of released files have them
    "actions": ((7,), "float64"),
    "dones": ((), "uint8"),
    "rewards": ((), "uint8"),
    "robot_states": ((9,), "float64"),
    "states": ((19,), "float64"),
    "obs/agentview_rgb": ((16, 16, 3), "uint8"),
    "obs/ee_ori": ((3,), "float64"),
    "obs/ee_pos": ((3,), "float64"),
    "obs/ee_states": ((6,), "float64"),
    "obs/eye_in_hand_rgb": ((16, 16, 3), "uint8"),
    "obs/gripper_states": ((2,), "float64"),
    "obs/joint_states": ((7,), "float64"),
}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_collected(tmp_path_factory.mktemp("ours") / TASK.demo_file, steps=STEPS)
    with h5py.File(path, "r+") as file:
        file["data"].attrs["bddl_file_name"] = f"libero_goal/{TASK.name}.bddl"
        for demo in file["data"].values():
            demo["intended_actions"] = demo["actions"][...] * 0.9
            demo.attrs["scene_seed"] = 5
    return path


@pytest.fixture(scope="module")
def official(ours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("official") / TASK.demo_file
    with open_demo_file(ours) as file:
        write_official(path, file, TASK)
    return path


def test_the_schema_is_that_of_the_release(official: Path) -> None:
    with h5py.File(official) as file:
        data = file["data"]
        assert set(data.attrs) == {
            *("bddl_file_content", "bddl_file_name", "env_args", "env_name"),
            *("macros_image_convention", "num_demos", "problem_info", "tag", "total"),
        }
        old = "chiliocosm/bddl_files/libero_goal/open_the_middle_layer_of_the_drawer.bddl"
        assert json.loads(data.attrs["env_args"])["bddl_file"] == old
        assert data.attrs["bddl_file_name"].endswith(f"/libero_goal/{TASK.name}.bddl")
        problem = json.loads(data.attrs["problem_info"])
        assert problem["language_instruction"] == TASK.bddl_instruction
        assert (data.attrs["num_demos"], data.attrs["total"]) == (2, 2 * (STEPS - 1 - CUT_STEPS))
        for demo in data.values():
            assert set(demo.attrs) == {"init_state", "model_file", "num_samples"}
            np.testing.assert_array_equal(demo.attrs["init_state"], demo["states"][0])
            found = {}
            demo.visititems(
                lambda name, node, found=found: (
                    found.update({name: (node.shape[1:], str(node.dtype))})
                    if isinstance(node, h5py.Dataset)
                    else None
                )
            )
            assert found == ARRAYS


def test_datasets_are_contiguous_and_uncompressed(official: Path) -> None:
    with h5py.File(official) as file:
        for key in ARRAYS:
            dataset = file[f"data/demo_0/{key}"]
            assert dataset.chunks is None and dataset.compression is None
            assert dataset.id.get_storage_size() == dataset.nbytes
            raw = official.read_bytes()[dataset.id.get_offset() :][: dataset.nbytes]
            assert raw == dataset[...].tobytes()


def test_rows_are_seen_after_their_action_and_the_first_are_cut(ours: Path, official: Path) -> None:
    with h5py.File(ours) as source, h5py.File(official) as file:
        before, after = source["data/demo_1"], file["data/demo_1"]
        np.testing.assert_array_equal(after["actions"], before["actions"][CUT_STEPS:-1])
        np.testing.assert_array_equal(after["states"], before["states"][CUT_STEPS:-1])
        seen = before["obs/agentview_rgb"][CUT_STEPS + 1 :]
        np.testing.assert_array_equal(after["obs/agentview_rgb"], seen)


def test_it_is_understood_without_a_word(ours: Path, official: Path) -> None:
    with open_demo_file(official) as file:
        assert observation_timing(file).convention == "after_action"
        assert observation_timing(file).source == "found"
        assert demo_task(file).name == TASK.name
        assert demo_instruction(file) == TASK.instruction
    findings = {each.name: each.status for each in check_demo_file(official)}
    assert {findings[name] for name in ("file", "numbers", "attributes", "observations")} == {"ok"}
    overlap = hashes(ours, "eef-goal", targets="executed")
    kept = len(hashes(official, "eef-goal")) // 2
    theirs = hashes(official, "eef-goal")
    # The first window has no image of before, and the last are padded otherwise at the end.
    first = slice(1, kept - 10)
    assert theirs[:kept][first] == overlap[:STEPS][CUT_STEPS + 1 :][first]


@pytest.mark.parametrize("source", ["ours", "official"])
def test_openvlas_form_gives_the_same_windows(
    source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    given: Path = request.getfixturevalue(source)
    (written,) = export_hdf5([given], tmp_path, "hdf5-openvla", ExportConfig(), lambda *_: None)
    with h5py.File(written) as file:
        assert not file["data"].attrs and not file["data/demo_0"].attrs
    targets = {"targets": "executed"}
    assert hashes(written, "eef-goal", **targets) == hashes(given, "eef-goal", **targets)


def test_what_is_official_already_is_not_written_again(official: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rows seen before their action"):
        export_hdf5([official], tmp_path, "hdf5-libero", ExportConfig(), lambda *_: None)
