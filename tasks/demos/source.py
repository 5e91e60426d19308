"""The demonstrations of one task, whether in an HDF5 file or in a LeRobot data set.

Names are those of LIBERO's HDF5 files: ``data/demo_0/actions``, ``data/demo_0/obs/agentview_rgb``.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tasks.errors import ConfigError
from tasks.observation import is_blank
from tasks.rotations import axisangle_to_quat

MOST_STEPS = 20_000
"""Of a demonstration."""

_FIX = "Fix: make demos with 'libero-bench collect', or give LIBERO's own HDF5 files."
_SAMPLED_IMAGES = 5  # of a demonstration

RLDS = (
    "an RLDS data set (TFRecord files), not read here. Fix: convert it to LeRobot, as openpi's "
    "examples/libero/convert_libero_data_to_lerobot.py does, and give that; or give a set that was "
    "converted so, such as physical-intelligence/libero on the hub, or LIBERO's HDF5 files "
    "('libero-bench demos download')"
)
"""What is said of that format."""

Shape = Sequence[int | None]


class Rows(Protocol):
    """Rows of numbers or images that are read when they are asked for."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, …)."""

    @property
    def dtype(self) -> Any:
        """Of the rows."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Any: ...


class DemoSource(ABC):
    """The demonstrations of one task. Methods raise ``ConfigError`` for contents that are damaged.

    Attributes:
        path: Where it is: a file, or for a LeRobot task ``FOLDER/task_0``.
    """

    path: Path
    needs_joints = True
    """Whether it cannot be used without joint positions."""
    keeps_states = True
    """Whether it keeps the simulator's states, so that a demonstration starts from its own."""

    @abstractmethod
    def demos(self) -> list[str]:
        """Return the names of the demonstrations, ``demo_0`` first.

        Raises:
            ConfigError: There is none.
        """

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether a group or dataset is there."""

    @abstractmethod
    def numbers(self, name: str, row: Shape, *, steps: int | None = None, rows: Any = ...) -> Any:
        """Read a dataset of finite floating-point numbers, (T, *row), or some rows of it."""

    @abstractmethod
    def images(self, name: str, *, steps: int | None = None) -> Rows:
        """Return a dataset of images as LIBERO stores them, (T, H, W, 3) uint8, unread."""

    @abstractmethod
    def read(self, dataset: Rows, rows: Any = ...) -> Any:
        """Read rows of a dataset that ``images`` returned."""

    @abstractmethod
    def attribute(self, place: str, name: str) -> Any:
        """Return an attribute as text, number or array; None where it is missing.

        Args:
            place: ``data``, or a demonstration as ``data/demo_0``.
            name: The attribute.
        """

    @abstractmethod
    def size(self) -> int:
        """Return the bytes that it takes on the disk."""

    @abstractmethod
    def digest(self) -> str:
        """Return the first 16 hexadecimal digits of a SHA-256 of its contents."""

    def conventions(self) -> Mapping[str, Any]:
        """Return what was found out about foreign data, as plain data; empty for HDF5 files."""
        return {}

    def refuse(self, why: str, fix: str = _FIX) -> ConfigError:
        """Return the error that says why this cannot be used, and what to do."""
        return refusal(self.path, why, fix)

    def refuse_missing(self, name: str) -> ConfigError:
        """Return the error that says what of a demonstration is missing, and how to get it."""
        demo = "/".join(name.split("/")[:2])
        source = (f"{demo}/actions", f"{demo}/states")
        if name in source or not all(self.has(each) for each in source):
            return self.refuse(f"{name} is missing")
        why = f"{name} is missing"
        if not self.has(f"{demo}/obs"):
            why = "it holds states and actions without observations, as teleoperation records them"
        return self.refuse(
            why,
            f"Fix: 'libero-bench demos regenerate {self.path} --out FOLDER' executes its actions "
            "again and writes a file that has everything.",
        )

    def robot_states(self, demo: str, *, steps: int | None = None) -> Any:
        """Read fingers (2), the hand's position (3) and its quaternion xyzw (4), (T, 9).

        Where a file lacks them, they are put together from ``obs/ee_states`` and
        ``obs/gripper_states``, which hold the same numbers, the rotation as axis times angle.

        Args:
            demo: The demonstration, ``demo_0``.
            steps: How many rows there must be, if known.
        """
        name = f"data/{demo}/robot_states"
        parts = [f"data/{demo}/obs/{key}" for key in ("gripper_states", "ee_states")]
        if self.has(name) or not all(self.has(part) for part in parts):
            return self.numbers(name, (9,), steps=steps)
        fingers = self.numbers(parts[0], (2,), steps=steps)
        hand = self.numbers(parts[1], (6,), steps=len(fingers)).astype(np.float64)
        return np.concatenate([fingers, hand[:, :3], axisangle_to_quat(hand[:, 3:])], axis=1)

    def refuse_blank(self, dataset: Rows) -> None:
        """Refuse images that show nothing, as a broken renderer leaves them; a few are read.

        Raises:
            ConfigError: All those looked at have one colour.
        """
        rows = np.unique(np.linspace(0, len(dataset) - 1, _SAMPLED_IMAGES).astype(int))
        if all(is_blank(self.read(dataset, row)) for row in rows):
            colour = self.read(dataset, 0)[0, 0].tolist()
            raise self.refuse(
                f"{dataset.name} shows nothing, every pixel is "
                f"{'black' if not any(colour) else colour}",
                "Fix: render it anew on a machine where rendering works: libero-bench demos "
                "regenerate.",
            )

    def json(self, place: str, name: str) -> Any:
        """Return the content of an attribute of JSON text; None where it is missing."""
        text = self.attribute(place, name)
        if text is None:
            return None
        try:
            return json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise self.refuse(f"the attribute {name} of {place} is not JSON") from error

    def provenance(self) -> dict[str, Any]:
        """Return how the file was made, as this project notes it; empty where it did not make it.

        Others may note something else under that name, which is no reason to refuse their file.
        """
        noted = self.attribute("data", "provenance")
        try:
            provenance = json.loads(noted) if isinstance(noted, str) else None
        except (ValueError, RecursionError):
            provenance = None
        return provenance if isinstance(provenance, dict) else {}

    def noted_instruction(self) -> str | None:
        """Return the task in words as the file has it; None where it has none."""
        problem = self.json("data", "problem_info")
        words = problem.get("language_instruction") if isinstance(problem, dict) else None
        if isinstance(words, list):  # LIBERO's parser gives words
            words = " ".join(str(word) for word in words)
        if not isinstance(words, str) or not words.strip():
            return None
        return words.strip().strip('"')


def fits(shape: tuple[int, ...], row: Shape) -> bool:
    """Whether a shape is (T, *row); None in a row stands for any size."""
    return len(shape) == 1 + len(row) and all(
        want is None or have == want for have, want in zip(shape[1:], row, strict=True)
    )


def refusal(path: Path, why: str, fix: str = _FIX) -> ConfigError:
    """Return the error that says why demos cannot be used, and what to do."""
    return ConfigError(f"The demo file '{path}' cannot be used: {why}. {fix}")
