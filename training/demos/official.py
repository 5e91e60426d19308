"""HDF5 files as others write them: LIBERO's own release, and OpenVLA's regeneration of it.

Sources: LIBERO's ``create_dataset.py`` and listings of released files; OpenVLA's
``regenerate_libero_dataset.py``.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.bddl import bddl_problem
from tasks.demos.file import DemoFile
from tasks.demos.schema import IMAGE_DATASETS, TAG, Convention
from tasks.demos.source import DemoSource
from tasks.rotations import quat_to_axisangle
from tasks.suites import Task
from training.demos.writer import env_name, hdf5_file

if TYPE_CHECKING:
    import h5py

CUT_STEPS = 5
"""First steps of a recording that LIBERO's script drops, in which its force sensor settles."""

_OLD_FOLDER = "chiliocosm/bddl_files"
"""Where BDDL files were when the released files were made; ``env_args`` still says so."""

_OLD_NAMES = {
    "open_the_middle_drawer_of_the_cabinet": "open_the_middle_layer_of_the_drawer",
    "open_the_top_drawer_and_put_the_bowl_inside": (
        "open_the_top_layer_of_the_drawer_and_put_the_bowl_inside"
    ),
}
"""Names of tasks that were changed after the release."""

Arrays = dict[str, npt.NDArray[Any]]


def write_official(path: Path, file: DemoFile, task: Task) -> None:
    """Write demonstrations as LIBERO's release has them, atomically.

    The attributes, the old names, contiguous datasets without compression, rewards and dones as
    bytes, observations seen *after* the action of their row; the first ``CUT_STEPS`` steps of each
    demonstration are dropped, and nothing says what settled before.

    Args:
        path: The file to write.
        file: Demonstrations whose rows were seen before their action, with states.
        task: What they demonstrate.

    Raises:
        ConfigError: A demonstration is damaged, or too short.
    """
    with hdf5_file(path) as made:
        data = made.create_group("data")
        total = 0
        for number, name in enumerate(file.demos()):
            arrays = _after_action(_arrays(file, name))
            steps = len(arrays["actions"])
            if steps < 2:
                raise file.refuse(f"{name} is too short to drop {CUT_STEPS} steps")
            group = data.create_group(f"demo_{number}")
            _fill(group, arrays)
            group.attrs["num_samples"] = steps
            group.attrs["init_state"] = arrays["states"][0]
            group.attrs["model_file"] = file.attribute(f"data/{name}", "model_file") or ""
            total += steps
        data.attrs["num_demos"] = len(file.demos())
        data.attrs["total"] = total
        for key, value in _official_attributes(task).items():
            data.attrs[key] = value


def _after_action(arrays: Arrays) -> Arrays:
    """Pair each action with what was seen after it, and drop the first steps."""
    seen = [key for key in arrays if key.startswith("obs/") or key == "robot_states"]
    shifted = {
        key: value[1:][CUT_STEPS:] if key in seen else value[:-1][CUT_STEPS:]
        for key, value in arrays.items()
    }
    return shifted | _endings(len(shifted["actions"]))


def write_openvla(path: Path, file: DemoSource, convention: Convention) -> None:
    """Write demonstrations as OpenVLA's regeneration leaves them, atomically.

    The arrays of LIBERO's files without any attribute; observations seen *before* the action of
    their row. ``states`` are there where the source has them.

    Args:
        path: The file to write.
        file: The demonstrations.
        convention: When their rows were seen.

    Raises:
        ConfigError: A demonstration is damaged, or has no joints or cameras.
    """
    with hdf5_file(path) as made:
        data = made.create_group("data")
        for name in file.demos():
            arrays = _arrays(file, name)
            if convention == "after_action":
                seen = [key for key in arrays if key.startswith("obs/") or key == "robot_states"]
                arrays = {k: v[:-1] if k in seen else v[1:] for k, v in arrays.items()}
            _fill(data.create_group(name), arrays | _endings(len(arrays["actions"])))


def _arrays(file: DemoSource, name: str) -> Arrays:
    """Read a demonstration by LIBERO's names; what only this project adds is left behind."""
    place = f"data/{name}"
    actions = file.numbers(f"{place}/actions", (7,))
    steps = len(actions)
    robot = file.robot_states(name, steps=steps).astype(np.float64)
    turned = quat_to_axisangle(robot[:, 5:9], keep_sign=True)
    arrays = {
        "actions": np.asarray(actions, dtype=np.float64),
        "robot_states": robot,
        "obs/ee_pos": robot[:, 2:5],
        "obs/ee_ori": turned,
        "obs/ee_states": np.concatenate([robot[:, 2:5], turned], axis=1),
        "obs/gripper_states": robot[:, :2],
        "obs/joint_states": file.numbers(f"{place}/obs/joint_states", (7,), steps=steps),
    }
    if file.has(f"{place}/states"):
        arrays["states"] = file.numbers(f"{place}/states", (None,), steps=steps)
    for key in IMAGE_DATASETS.values():
        arrays[f"obs/{key}"] = file.read(file.images(f"{place}/obs/{key}", steps=steps))
    return arrays


def _endings(steps: int) -> Arrays:
    last = np.zeros(steps, dtype=np.uint8)
    last[-1] = 1
    return {"rewards": last, "dones": last}


def _fill(group: "h5py.Group", arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    for key in sorted(arrays):
        group.create_dataset(key, data=np.ascontiguousarray(arrays[key]))


def _official_attributes(task: Task) -> dict[str, Any]:
    problem = bddl_problem(task.bddl_file)
    name = env_name(problem)
    old = _OLD_NAMES.get(task.name, task.name)
    kwargs = {
        "robots": ["Panda"],
        "controller_configs": {"type": "OSC_POSE", "control_delta": True},
        "bddl_file_name": f"{_OLD_FOLDER}/{task.suite}/{old}.bddl",
        "has_renderer": False,
        "has_offscreen_renderer": True,
        "camera_names": ["robot0_eye_in_hand", "agentview"],
        "camera_heights": 128,
        "camera_widths": 128,
        "control_freq": 20,
    }
    return {
        "tag": TAG,
        "env_name": name,
        "macros_image_convention": "opengl",
        "bddl_file_name": f"libero/libero/bddl_files/{task.suite}/{task.bddl_file.name}",
        "bddl_file_content": task.bddl_file.read_text(encoding="utf-8"),
        "problem_info": json.dumps(
            {
                "problem_name": problem,
                "domain_name": "robosuite",
                "language_instruction": task.bddl_instruction,
            }
        ),
        "env_args": json.dumps(
            {
                "type": 1,
                "env_name": name,
                "problem_name": problem,
                "bddl_file": kwargs["bddl_file_name"],
                "env_kwargs": kwargs,
            }
        ),
    }
