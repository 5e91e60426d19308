"""What we write is what LIBERO's and robomimic's own readers expect."""

import errno
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from tasks.observation import Observation
from tasks.protocols import get_protocol
from tasks.rotations import quat_to_axisangle
from tasks.suites import find_task
from training.demos.writer import merge_demos, write_demo

STEPS, SIZE, STATE = 15, 24, 77
TASK = find_task("libero_object", 3)


def observations(rng: np.random.Generator) -> list[Observation]:
    quaternions = rng.normal(size=(STEPS, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    return [
        Observation(
            agentview=rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8),
            wrist=rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8),
            joint_pos=rng.normal(size=7),
            ee_pos=rng.normal(size=3),
            ee_quat=quaternion,
            gripper_qpos=rng.normal(size=2),
        )
        for quaternion in quaternions
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, list[list[Observation]]]:
    folder = tmp_path_factory.mktemp("written")
    seen, parts = [], []
    for index in range(2):
        rng = np.random.default_rng(index)
        seen.append(observations(rng))
        parts.append(folder / f"part_{index}.hdf5")
        write_demo(
            parts[-1],
            observations=seen[-1],
            actions=rng.uniform(-1, 1, (STEPS, 7)),
            intended=None,
            states=rng.normal(size=(STEPS, STATE)),
            model_xml="<mujoco/>",
            orientation="rotate180",
            attributes={},
        )
    path = folder / TASK.demo_file
    protocol = get_protocol(resolution=SIZE)
    merge_demos(path, parts, TASK, protocol, {"made": "here"})
    return path, seen


def test_each_field_is_as_the_official_files_have_it(written) -> None:
    path, seen = written
    doubles = {
        "actions": (7,),
        "states": (STATE,),
        "robot_states": (9,),
        "obs/gripper_states": (2,),
        "obs/joint_states": (7,),
        "obs/ee_states": (6,),
        "obs/ee_pos": (3,),
        "obs/ee_ori": (3,),
    }
    with h5py.File(path) as file:
        data = file["data"]
        assert sorted(data) == ["demo_0", "demo_1"]
        assert set(data.attrs) >= {
            "env_name",
            "problem_info",
            "macros_image_convention",
            "bddl_file_name",
            "bddl_file_content",
            "env_args",
            "num_demos",
            "total",
            "tag",
        }
        assert (data.attrs["num_demos"], data.attrs["total"]) == (2, 2 * STEPS)
        assert data.attrs["env_name"] == "Libero_Floor_Manipulation"
        problem = json.loads(data.attrs["problem_info"])
        assert problem["problem_name"] == "libero_floor_manipulation"
        assert problem["language_instruction"] == TASK.name_instruction != TASK.bddl_instruction
        arguments = json.loads(data.attrs["env_args"])
        assert arguments["type"] == 1
        assert arguments["env_kwargs"]["camera_heights"] == SIZE
        for index in range(2):
            demo = data[f"demo_{index}"]
            for key, row in doubles.items():
                assert demo[key].dtype == np.float64
                assert demo[key].shape == (STEPS, *row)
            for key in ("rewards", "dones"):
                assert demo[key].dtype == np.uint8
                assert demo[key][...].tolist() == [0] * (STEPS - 1) + [1]
            for key, camera in (("agentview_rgb", "agentview"), ("eye_in_hand_rgb", "wrist")):
                stored = demo[f"obs/{key}"]
                assert stored.dtype == np.uint8
                as_seen = np.stack([o[camera] for o in seen[index]])
                np.testing.assert_array_equal(stored[...], np.rot90(as_seen, 2, axes=(1, 2)))
            robot = demo["robot_states"][...]
            np.testing.assert_array_equal(robot[4, :2], seen[index][4]["gripper_qpos"])
            np.testing.assert_array_equal(robot[4, 2:5], seen[index][4]["ee_pos"])
            np.testing.assert_array_equal(robot[4, 5:], seen[index][4]["ee_quat"])
            turned = quat_to_axisangle(robot[:, 5:])
            np.testing.assert_allclose(demo["obs/ee_states"][:, 3:], turned)
            assert demo.attrs["num_samples"] == STEPS
            np.testing.assert_array_equal(demo.attrs["init_state"], demo["states"][0])


def test_robomimic_reads_it_as_liberos_own_data_sets_do(written) -> None:
    """With the arguments of ``get_dataset`` in ``libero/lifelong/datasets.py``."""
    pytest.importorskip("robomimic")
    from robomimic.utils import file_utils, obs_utils
    from robomimic.utils.dataset import SequenceDataset

    path, seen = written
    keys = {
        "rgb": ["agentview_rgb", "eye_in_hand_rgb"],
        "low_dim": ["gripper_states", "joint_states"],
    }
    obs_utils.initialize_obs_utils_with_obs_specs({"obs": keys})
    shapes = file_utils.get_shape_metadata_from_dataset(
        dataset_path=str(path), all_obs_keys=[*keys["rgb"], *keys["low_dim"]], verbose=False
    )
    assert shapes["ac_dim"] == 7
    assert file_utils.get_env_metadata_from_dataset(str(path))["type"] == 1
    dataset = SequenceDataset(
        hdf5_path=str(path),
        obs_keys=shapes["all_obs_keys"],
        dataset_keys=["actions"],
        load_next_obs=False,
        frame_stack=1,
        seq_length=10,
        pad_frame_stack=True,
        pad_seq_length=True,
        get_pad_mask=False,
        goal_mode=None,
        hdf5_cache_mode="low_dim",
        hdf5_use_swmr=False,
        hdf5_normalize_obs=None,
        filter_by_attribute=None,
    )
    assert (dataset.n_demos, len(dataset)) == (2, 2 * STEPS)
    sample = dataset[STEPS + 2]
    assert sample["actions"].shape == (10, 7)
    np.testing.assert_allclose(sample["obs"]["joint_states"][0], seen[1][2]["joint_pos"])
    assert sample["obs"]["agentview_rgb"].shape == (10, 3, SIZE, SIZE)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, written) -> None:
    path, _ = written
    target = tmp_path / "a.hdf5"
    target.write_bytes(b"before")
    (tmp_path / ".a.hdf5.writing").write_bytes(b"torn")
    broken = tmp_path / "broken.hdf5"
    broken.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(OSError, match=r"truncated|open"):
        merge_demos(target, [broken], TASK, get_protocol(), {})
    assert target.read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.hdf5", "broken.hdf5"]


def test_a_full_disk_is_said_in_one_line(tmp_path: Path, monkeypatch) -> None:
    """HDF5 says it in four, when the file is closed at the latest."""
    close = h5py.File.close

    def full(file: h5py.File) -> None:
        writing = file.mode == "r+"
        close(file)
        if writing:
            raise OSError(errno.ENOSPC, "Can't close file (file write failed:\n time = noon\n)")

    monkeypatch.setattr(h5py.File, "close", full)
    with pytest.raises(OSError, match="No space left on device: '") as said:
        merge_demos(tmp_path / "a.hdf5", [], TASK, get_protocol(), {})
    assert said.value.errno == errno.ENOSPC
    assert "\n" not in str(said.value)
    assert list(tmp_path.iterdir()) == []
