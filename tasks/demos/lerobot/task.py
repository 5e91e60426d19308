"""One task of a LeRobot data set as a ``DemoSource``, with the names of LIBERO's HDF5 files."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tasks.demos.lerobot.dataset import LeRobotDataset, is_dataset, open_dataset
from tasks.demos.lerobot.images import EpisodeImages
from tasks.demos.lerobot.table import Stored
from tasks.demos.schema import CONVENTION_ATTRIBUTE, IMAGE_DATASETS, INTENDED
from tasks.demos.source import DemoSource, Rows, Shape, fits
from tasks.errors import ConfigError
from tasks.observation import FloatArray
from tasks.rotations import quat_to_axisangle
from tasks.suites import ORIGINAL_SUITES, Task, same_words, suite_tasks

_PATH = re.compile(r"task_(\d{1,9})")
_CAMERAS = {f"obs/{key}": camera for camera, key in IMAGE_DATASETS.items()}
_ATTRIBUTES = ("phases", "scene_seed", "start")


def is_lerobot_task(path: Path) -> bool:
    """Whether a path is one of ``task_paths``: a LeRobot task, ``FOLDER/task_0``."""
    return bool(_PATH.fullmatch(path.name)) and is_dataset(path.parent)


def task_paths(root: Path) -> list[Path]:
    """Return the paths of the tasks of a data set: ``FOLDER/task_0`` and so on.

    They lead to no file; ``tasks.demos.file.open_demos`` opens them.

    Raises:
        ConfigError: The data set cannot be used.
        PrerequisiteError: PyArrow is not installed.
    """
    return [root / f"task_{number}" for number in open_dataset(root).tasks]


class LeRobotTask(DemoSource):
    """The demonstrations of a task of a LeRobot data set; ``demo_0`` is its first episode."""

    needs_joints = False
    keeps_states = False

    def __init__(self, path: Path) -> None:
        """Open a task.

        Args:
            path: As ``task_paths`` returns it.

        Raises:
            ConfigError: The data set cannot be used, or has no such task.
        """
        self.path = path
        self.dataset: LeRobotDataset = open_dataset(path.parent)
        match = _PATH.fullmatch(path.name)
        self._number = int(match[1]) if match else -1
        if self._number not in self.dataset.tasks:
            raise self.refuse(
                f"'{path.parent}' has no usable episode of task {self._number}",
                f"Allowed: task_N, N in {', '.join(map(str, list(self.dataset.tasks)[:50]))}.",
            )
        self._episodes = self.dataset.tasks[self._number]
        self._names = {f"demo_{row}": each for row, each in enumerate(self._episodes)}

    def demos(self) -> list[str]:
        """Return the names of the demonstrations, ``demo_0`` first."""
        return list(self._names)

    def episode(self, name: str) -> int:
        """Return the ``episode_index`` of a demonstration."""
        return self._names[name].episode.number

    def has(self, name: str) -> bool:
        """Whether a group or dataset is there."""
        if name == "data":
            return True
        stored, key = self._find(name)
        if stored is None:
            return False
        if key in _CAMERAS:
            return _CAMERAS[key] in self.dataset.cameras
        if key in ("", "obs"):
            return True
        return key in _ARRAYS and _ARRAYS[key](self.dataset, stored) is not None

    def numbers(self, name: str, row: Shape, *, steps: int | None = None, rows: Any = ...) -> Any:
        """Read an array of finite numbers, (T, *row) float64, or some rows of it."""
        stored, key = self._find(name)
        array = None
        if stored is not None and key in _ARRAYS:
            array = _ARRAYS[key](self.dataset, stored)
        if array is None:
            raise self.refuse_missing(name)
        if not fits(array.shape, row):
            raise self.refuse(f"{name} has shape {array.shape}")
        if steps is not None and len(array) != steps:
            raise self.refuse(f"{name} has {len(array)} rows, actions has {steps}")
        return array[rows]

    def images(self, name: str, *, steps: int | None = None) -> EpisodeImages:
        """Return the images of a camera, (T, H, W, 3) uint8, unread, as LIBERO stores them."""
        stored, key = self._find(name)
        if stored is None or key not in _CAMERAS or _CAMERAS[key] not in self.dataset.cameras:
            raise self.refuse_missing(name)
        found = self.dataset.images(stored, _CAMERAS[key])
        if steps is not None and len(found) != steps:
            raise self.refuse(f"{name} has {len(found)} rows, actions has {steps}")
        return found

    def read(self, dataset: Rows, rows: Any = ...) -> Any:
        """Read rows of images."""
        return dataset[rows]

    def attribute(self, place: str, name: str) -> Any:
        """Return an attribute that a LIBERO HDF5 file would have; None where nothing says it."""
        if place == "data":
            made = self._attributes.get(name)
            return made() if callable(made) else made
        stored, _ = self._find(place)
        if stored is None:
            raise self.refuse(f"{place} is missing")
        if name == "num_samples":
            return stored.episode.length
        noted = self.dataset.notes.episodes.get(stored.episode.number, {})
        value = noted.get(name) if name in _ATTRIBUTES else None
        return json.dumps(value) if isinstance(value, dict | list) else value

    def size(self) -> int:
        """Return the bytes of the files that hold its episodes, and perhaps those of others."""
        return sum(path.stat().st_size for path in self._files())

    def digest(self) -> str:
        """Return 16 hexadecimal digits of a SHA-256 of its numbers and of its files' sizes."""
        digest = hashlib.sha256(self.words.encode())
        for stored in self._episodes:
            for name, column in sorted(stored.columns.items()):
                digest.update(f"{name} {column.dtype} {column.shape}".encode())
                digest.update(np.ascontiguousarray(column).tobytes())
        for path in self._files():
            digest.update(f"{path.relative_to(path.parents[2])} {path.stat().st_size}".encode())
        return digest.hexdigest()[:16]

    def conventions(self) -> Mapping[str, Any]:
        """Return what was found out about the data set, as plain data."""
        return self.dataset.settled()

    def refuse_missing(self, name: str) -> ConfigError:
        """Return the error that says what is missing."""
        key = name.partition("/")[2].partition("/")[2]
        if key == "states":
            return self.refuse(
                "a LeRobot data set has no states of the simulator",
                "Fix: give LIBERO's HDF5 files, which 'libero-bench demos download' fetches.",
            )
        if key == "obs/joint_states":
            return self.refuse(
                "it has no joint positions",
                "Fix: give a layout that needs none (--layout hand-goal, hand-velocity or "
                "hand-pose), or demos that have them.",
            )
        return self.refuse(f"{name} is missing", "Fix: give a set that has it.")

    @property
    def words(self) -> str:
        """The task as the data set words it."""
        return self.dataset.index.tasks[self._episodes[0].task]

    @cached_property
    def _attributes(self) -> dict[str, Any | Callable[[], Any]]:
        noted = self.dataset.notes.tasks.get(self._episodes[0].task, {})
        bddl = self.dataset.noted_bddl(self._episodes[0])
        provenance = noted.get("provenance")
        stated = self.dataset.notes.conventions.get("observations")
        return {
            "num_demos": len(self._episodes),
            "total": sum(each.episode.length for each in self._episodes),
            "problem_info": json.dumps({"language_instruction": self.words}),
            "provenance": json.dumps(provenance) if isinstance(provenance, dict) else None,
            "bddl_file_name": lambda: bddl or _bddl_name(self.words),
            CONVENTION_ATTRIBUTE: stated,
        }

    def _files(self) -> list[Path]:
        keys = self.dataset.cameras.values()
        paths = {stored.episode.data for stored in self._episodes}
        for stored in self._episodes:
            paths |= {
                stored.episode.videos[key].path for key in keys if key in stored.episode.videos
            }
        return sorted(paths)

    def _find(self, name: str) -> tuple[Stored | None, str]:
        """Return the episode and the rest of a name ``data/demo_0/…``."""
        parts = name.split("/", 2)
        stored = self._names.get(parts[1]) if len(parts) > 1 and parts[0] == "data" else None
        return stored, parts[2] if len(parts) > 2 else ""


def _bddl_name(words: str) -> str | None:
    """Return the BDDL file of the only task with this instruction, as ``SUITE/NAME.bddl``.

    Public sets have the four suites of 10 tasks; libero_90 has many of their sentences in other
    scenes, so it counts only where no other suite has the sentence.
    """
    found: list[Task] = []
    for suite in ORIGINAL_SUITES:
        if suite == ORIGINAL_SUITES[-1] and found:
            break
        found += [
            task
            for task in suite_tasks(suite)
            if any(
                same_words(words, each) for each in (task.name_instruction, task.bddl_instruction)
            )
        ]
    return f"{found[0].suite}/{found[0].name}.bddl" if len(found) == 1 else None


def _hand(dataset: LeRobotDataset, stored: Stored) -> FloatArray:
    robot = dataset.robot(stored)
    rotations = quat_to_axisangle(robot[:, 5:9])
    joined: FloatArray = np.concatenate([robot[:, 2:5], rotations], axis=1)
    return joined


_ARRAYS: dict[str, Callable[[LeRobotDataset, Stored], FloatArray | None]] = {
    "actions": LeRobotDataset.actions,
    INTENDED: LeRobotDataset.intended,
    "robot_states": LeRobotDataset.robot,
    "obs/joint_states": LeRobotDataset.joints,
    "obs/gripper_states": lambda dataset, stored: dataset.robot(stored)[:, :2],
    "obs/ee_states": _hand,
    "obs/ee_pos": lambda dataset, stored: dataset.robot(stored)[:, 2:5],
    "obs/ee_ori": lambda dataset, stored: _hand(dataset, stored)[:, 3:],
}
"""LIBERO's arrays, and where a data set has them."""
