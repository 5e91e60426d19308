"""Writing demonstrations in LIBERO's HDF5 format."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.bddl import bddl_problem
from tasks.demos.file import DemoFile
from tasks.demos.schema import CONVENTION_ATTRIBUTE, IMAGE_DATASETS, INTENDED, TAG
from tasks.files import atomic_file
from tasks.observation import ACTION_DIM, FloatArray, Observation
from tasks.protocols import Protocol
from tasks.rotations import quat_to_axisangle
from tasks.suites import Task

if TYPE_CHECKING:
    import h5py


def write_demo(
    path: Path,
    *,
    observations: Sequence[Observation],
    actions: FloatArray,
    intended: FloatArray | None,
    states: FloatArray,
    model_xml: str,
    orientation: str,
    attributes: Mapping[str, Any],
) -> None:
    """Write one demonstration as group ``demo`` of a file of its own, atomically.

    Args:
        path: The file.
        observations: T observations, each seen before the action of the same index.
        actions: (T, 7) in [−1, 1], as executed.
        intended: (T, 7), the same without the demonstrator's noise; None where it is not known.
        states: (T, D) flattened simulator states before each action.
        model_xml: MJCF of the scene.
        orientation: Of the observations' images, which are stored as rendered.
        attributes: More attributes of the demonstration, such as its seed.
    """
    steps = len(actions)
    ee_pos = np.stack([o["ee_pos"] for o in observations])
    ee_quat = np.stack([o["ee_quat"] for o in observations])
    fingers = np.stack([o["gripper_qpos"] for o in observations])
    last = np.zeros(steps, dtype=np.uint8)
    last[-1] = 1
    ee_ori = quat_to_axisangle(ee_quat)
    datasets = {
        "actions": np.asarray(actions, dtype=np.float64),
        "states": np.asarray(states, dtype=np.float64),
        "robot_states": np.concatenate([fingers, ee_pos, ee_quat], axis=1),
        "rewards": last,
        "dones": last,
        "obs/gripper_states": fingers,
        "obs/joint_states": np.stack([o["joint_pos"] for o in observations]),
        "obs/ee_states": np.concatenate([ee_pos, ee_ori], axis=1),
        "obs/ee_pos": ee_pos,
        "obs/ee_ori": ee_ori,
    }
    if intended is not None:
        datasets[INTENDED] = np.asarray(intended, dtype=np.float64)
    for camera, name in IMAGE_DATASETS.items():
        pictures = np.stack([o[camera] for o in observations])  # type: ignore[literal-required]
        if orientation == "rotate180":
            pictures = pictures[:, ::-1, ::-1]
        datasets[f"obs/{name}"] = pictures
    with hdf5_file(path) as file:
        group = file.create_group("demo")
        group.attrs["num_samples"] = steps
        group.attrs["model_file"] = model_xml
        group.attrs["init_state"] = states[0]
        for key, value in attributes.items():
            group.attrs[key] = value
        for name, array in datasets.items():
            group.create_dataset(name, data=array)


def merge_demos(
    path: Path, parts: Sequence[Path], task: Task, protocol: Protocol, provenance: Mapping[str, Any]
) -> None:
    """Join files of ``write_demo`` into one LIBERO file, atomically.

    Args:
        path: The file to write, usually ``<folder>/<task.demo_file>``.
        parts: One file per demonstration, in order.
        task: What they demonstrate.
        protocol: Under which rules they were made.
        provenance: How they were made; stored as the JSON attribute ``provenance``.
    """
    import h5py  # when a file is written: no --help needs it

    with hdf5_file(path) as file:
        data = file.create_group("data")
        total = 0
        for index, part in enumerate(parts):
            with h5py.File(part, "r") as source:
                source.copy("demo", data, name=f"demo_{index}")
                total += int(source["demo"].attrs["num_samples"])
        data.attrs["num_demos"] = len(parts)
        data.attrs["total"] = total
        data.attrs[CONVENTION_ATTRIBUTE] = "before_action"
        data.attrs["provenance"] = json.dumps(dict(provenance), sort_keys=True)
        for key, value in _task_attributes(task, protocol).items():
            data.attrs[key] = value


def split_demo(file: DemoFile, name: str, path: Path) -> int:
    """Write one demonstration of a file of ``merge_demos`` as ``write_demo`` does, atomically.

    Args:
        file: The open file.
        name: The demonstration, ``demo_0``.
        path: The file to write.

    Returns:
        Its length in control steps.

    Raises:
        ConfigError: The demonstration is damaged.
    """
    steps = len(file.dataset(f"data/{name}/actions", (ACTION_DIM,)))
    group = file.group(f"data/{name}")
    with hdf5_file(path) as part:
        file.data.copy(group, part, name="demo")
    return steps


def _task_attributes(task: Task, protocol: Protocol) -> dict[str, Any]:
    problem = bddl_problem(task.bddl_file)
    env_kwargs = {
        "bddl_file_name": task.bddl_file.name,
        "robots": ["Panda"],
        "controller": "OSC_POSE",
        "camera_names": ["agentview", "robot0_eye_in_hand"],
        "camera_heights": protocol.resolution,
        "camera_widths": protocol.resolution,
        "control_freq": 20,
    }
    name = env_name(problem)
    bddl_name = f"{task.suite}/{task.bddl_file.name}"
    return {
        "env_name": name,
        "tag": TAG,
        "macros_image_convention": "opengl",
        "bddl_file_name": bddl_name,
        "bddl_file_content": task.bddl_file.read_text(encoding="utf-8"),
        "problem_info": json.dumps(
            {
                "problem_name": problem,
                "domain_name": "robosuite",
                "language_instruction": protocol.instruction_of(task),
            }
        ),
        "env_args": json.dumps(
            {
                "type": 1,
                "env_name": name,
                "problem_name": problem,
                "bddl_file": bddl_name,
                "env_kwargs": env_kwargs,
            }
        ),
    }


def env_name(problem_name: str) -> str:
    """Return LIBERO's class of a problem: the problem's words, each with a capital."""
    return "_".join(word.capitalize() for word in problem_name.split("_"))


@contextlib.contextmanager
def hdf5_file(path: Path) -> "Iterator[h5py.File]":
    """Open an HDF5 file that appears under its name only when whole."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as draft:
        file = h5py.File(draft, "w")
        try:
            yield file
        except BaseException as error:
            with contextlib.suppress(OSError):
                file.close()
            if isinstance(error, OSError):
                raise _without_hdf5_trace(error, path) from error
            raise
        try:
            file.close()
        except OSError as error:
            raise _without_hdf5_trace(error, path) from error


def _without_hdf5_trace(error: OSError, path: Path) -> OSError:
    """Return the system's error without HDF5's many lines of its call stack."""
    return OSError(error.errno, os.strerror(error.errno), str(path)) if error.errno else error
