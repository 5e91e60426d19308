"""The check finds each fault, and nothing in files that are as LIBERO's own."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tasks.demos.reader import read_demos
from tasks.errors import ConfigError, none_failed
from tests.training.demo_files import write_official
from training.demos.check import check_demo_file
from training.demos.statistics import demo_statistics


def statuses(path: Path) -> dict[str, str]:
    return {line.name: line.status for line in check_demo_file(path)}


def _set(file: h5py.File, key: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for name in file["data"]:
        place = f"data/{name}/{key}"
        array = change(file[place][...])
        del file[place]
        file[place] = array


def _flip_rows(array: np.ndarray) -> np.ndarray:
    return array[:, ::-1]


def _turn(array: np.ndarray) -> np.ndarray:
    return array[:, ::-1, ::-1]


def _mirror(array: np.ndarray) -> np.ndarray:
    return array[:, :, ::-1]


def _black(array: np.ndarray) -> np.ndarray:
    return array * 0


def _grey(array: np.ndarray) -> np.ndarray:
    """One colour, but for the noise of compression; storage as of other pictures."""
    noise = np.random.default_rng(0).integers(0, 3, array.shape, dtype=np.uint8)
    noise[:, 0, 0] = 0, 0, 2
    return noise + np.uint8(90)


def _negate_gripper(array: np.ndarray) -> np.ndarray:
    array[:, 6] *= -1
    return array


def _zero_and_one(array: np.ndarray) -> np.ndarray:
    array[:, 6] = (array[:, 6] + 1) / 2
    return array


def _pause(array: np.ndarray) -> np.ndarray:
    array[5:9, :6] = 0
    return array


def _too_large(array: np.ndarray) -> np.ndarray:
    return array * 1.5


def _unrewarded(array: np.ndarray) -> np.ndarray:
    return array * 0


def _nan(array: np.ndarray) -> np.ndarray:
    array[3, 2] = np.nan
    return array


def _cut(array: np.ndarray) -> np.ndarray:
    array[10:, 0] += 0.5
    return array


def test_a_file_as_libero_makes_them_is_none_failed(tmp_path: Path) -> None:
    path = write_official(tmp_path / "a.hdf5")
    lines = check_demo_file(path)
    assert [line for line in lines if line.status != "ok"] == []
    assert {line.name for line in lines} == {
        "file",
        "numbers",
        "attributes",
        "actions",
        "gripper",
        "observations",
        "pictures",
        "rewards",
        "states",
        "no-ops",
        "phases",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "change", "line", "status", "words"),
    [
        ("obs/agentview_rgb", _flip_rows, "pictures", "failed", "upright"),
        ("obs/agentview_rgb", _turn, "pictures", "failed", "rotated"),
        ("obs/agentview_rgb", _mirror, "pictures", "failed", "mirrored"),
        ("obs/agentview_rgb", _black, "pictures", "failed", "every pixel is black"),
        ("obs/eye_in_hand_rgb", _grey, "pictures", "failed", "every pixel is [90, 90, 92]"),
        ("actions", _negate_gripper, "gripper", "failed", "part when told to close"),
        ("actions", _zero_and_one, "gripper", "failed", "0 and 1"),
        ("actions", _pause, "no-ops", "warning", "do nothing"),
        ("actions", _too_large, "actions", "failed", "reach 1."),
        ("actions", _nan, "numbers", "failed", "NaN"),
        ("rewards", _unrewarded, "rewards", "warning", "not 0 with a 1"),
        ("states", _cut, "states", "warning", "do not last"),
    ],
)
def test_a_fault_is_named_in_its_line(
    tmp_path: Path,
    key: str,
    change: Callable[[np.ndarray], np.ndarray],
    line: str,
    status: str,
    words: str,
) -> None:
    path = write_official(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        _set(file, key, change)
    lines = {found.name: found for found in check_demo_file(path)}
    assert lines[line].status == status
    assert words in lines[line].detail
    assert none_failed(lines.values()) == (status != "failed")
    if status == "failed":
        assert lines[line].fix


def test_the_instant_of_observations_is_read_off_the_states(tmp_path: Path) -> None:
    path = write_official(tmp_path / "a.hdf5")
    assert statuses(path)["observations"] == "ok"
    with h5py.File(path, "r+") as file:
        file["data"].attrs["obs_convention"] = "before_action"
    lines = {line.name: line for line in check_demo_file(path)}
    assert lines["observations"].status == "failed"
    assert "so it is after_action" in lines["observations"].detail
    with h5py.File(path, "r+") as file:
        for name in file["data"]:
            states = file[f"data/{name}/states"]
            file[f"data/{name}/obs/joint_states"][...] = states[:, 1:8] + 1e-4
    assert statuses(path)["observations"] == "ok"


def test_attributes_that_count_wrongly_or_are_missing(tmp_path: Path) -> None:
    path = write_official(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        file["data"].attrs["num_demos"] = 5
        file["data"].attrs["total"] = 1
        del file["data/demo_1"].attrs["num_samples"]
    line = next(line for line in check_demo_file(path) if line.name == "attributes")
    assert line.status == "warning"
    assert "num_demos is 5" in line.detail
    assert "num_samples of demo_1 is None, not 40" in line.detail
    assert none_failed(check_demo_file(path))
    with h5py.File(path, "r+") as file:
        del file["data"].attrs["problem_info"]
    assert statuses(path)["attributes"] == "warning"  # the BDDL file's name says the task
    with h5py.File(path, "r+") as file:
        del file["data"].attrs["bddl_file_name"]
    assert statuses(path)["attributes"] == "failed"


def test_statistics_are_those_of_the_arrays(tmp_path: Path) -> None:
    path = write_official(tmp_path / "a.hdf5", demos=3)
    with h5py.File(path, "r+") as file:
        file["data/demo_0/actions"][4:8, :6] = 0
        actions = np.concatenate([file[f"data/demo_{i}/actions"][...] for i in range(3)])
    found = demo_statistics(path)
    assert (found.demos, found.steps) == (3, (40, 40, 40))
    assert found.action_mean == pytest.approx(actions.mean(0), abs=1e-4)
    assert found.action_min == pytest.approx(actions.min(0), abs=1e-4)
    assert found.noops == pytest.approx(4 / 120)
    assert found.gripper_switches == 2
    assert found.pictures == {"agentview": (48, 48), "wrist": (48, 48)}
    assert (found.convention, found.convention_stated) == ("after_action", False)
    assert found.instruction == "pick up the alphabet soup and place it in the basket"
    assert found.instruction_noted == "lift it"
    assert not found.intended
    assert found.phases["close"] == found.phases["open"] == 3


@pytest.mark.parametrize(
    ("missing", "there"), [("agentview_rgb", "wrist"), ("eye_in_hand_rgb", "agentview")]
)
def test_a_missing_camera_is_named_with_the_way_to_train(
    tmp_path: Path, missing: str, there: str
) -> None:
    path = write_official(tmp_path / "a.hdf5")
    with h5py.File(path, "a") as file:
        for name in file["data"]:
            del file[f"data/{name}/obs/{missing}"]
    (line,) = (line for line in check_demo_file(path) if line.name == "pictures")
    assert line.status == "warning"
    assert f"--cameras {there}" in line.fix
    assert list(demo_statistics(path).pictures) == [there]
    with h5py.File(path, "a") as file:
        for name in file["data"]:
            del file[f"data/{name}/obs"][
                "agentview_rgb" if there == "agentview" else "eye_in_hand_rgb"
            ]
    assert statuses(path)["pictures"] == "failed"


def test_a_raw_recording_is_told_how_it_becomes_usable(tmp_path: Path) -> None:
    """States and actions alone, groups from ``demo_1``, as LIBERO's teleoperation writes them."""
    path = write_official(tmp_path / "libero_object" / "demo.hdf5")
    with h5py.File(path, "r+") as file:
        data = file["data"]
        data.move("demo_0", "demo_2")
        for name in data:
            for key in [key for key in data[name] if key not in ("states", "actions")]:
                del data[name][key]
        for key in ("env_args", "tag", "total", "num_demos"):
            del data.attrs[key]
    lines = {line.name: line for line in check_demo_file(path)}
    for name in ("numbers", "observations", "pictures"):
        assert lines[name].status == "failed"
        assert "without observations, as teleoperation records them" in lines[name].detail
        assert f"libero-bench demos regenerate {path}" in lines[name].fix
    assert "0.0% of the actions do nothing" in lines["no-ops"].detail
    with pytest.raises(ConfigError, match="demos regenerate"):
        next(read_demos(path))


def test_numbers_as_text_and_old_names_are_no_fault(tmp_path: Path) -> None:
    """Official files have some counts as text; their ``env_args`` keep a name of before."""
    path = write_official(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        file["data"].attrs["num_demos"] = "2"
        file["data"].attrs["env_args"] = '{"env_kwargs": {}, "bddl_file": "chiliocosm/old.bddl"}'
        for demo in file["data"].values():
            demo.attrs["num_samples"] = str(demo.attrs["num_samples"])
    assert statuses(path)["attributes"] == "ok"
    with h5py.File(path, "r+") as file:
        file["data"].attrs["env_args"] = "none"
    line = next(line for line in check_demo_file(path) if line.name == "attributes")
    assert line.status == "warning"
    assert "env_args is not JSON" in line.detail


def test_a_start_that_cannot_be_read_fails_the_states(tmp_path: Path) -> None:
    path = write_official(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        file["data/demo_1"].attrs["scene_seed"] = -1
    assert statuses(path)["states"] == "failed"
