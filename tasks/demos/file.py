"""Opening demo files that may be damaged, foreign or hostile.

HDF5 lets a file point into other files, and declare more rows than any memory holds while storing
none. Every dataset returned here lies in the file itself, and its declared size was compared with
the stored size before memory was allocated.
"""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import ConfigError
from tasks.observation import is_blank
from tasks.rotations import axisangle_to_quat

if TYPE_CHECKING:
    import h5py

_FIX = "Fix: make demos with 'libero-bench collect', or give LIBERO's own HDF5 files."
_MAX_STEPS = 20_000
_MAX_BYTES = 2 << 30
_MAX_CHUNK = 1 << 30
_SMALL = 1 << 20
_SAMPLED_IMAGES = 5  # of a demonstration
_MAX_RATIO = 1100  # deflate's limit is 1032 to 1
_DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError)  # what h5py raises

Shape = Sequence[int | None]


@contextmanager
def open_demo_file(path: Path) -> Iterator["DemoFile"]:
    """Open a demo file for reading.

    Raises:
        ConfigError: It is no HDF5 file, a truncated one, or has no group ``data``.
    """
    import h5py  # when a file is opened: no --help needs it

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _refusal(path, "it is no HDF5 file, or a truncated one") from error
    with file:
        yield DemoFile(path, file)


class DemoFile:
    """An open demo file. All its methods raise ``ConfigError`` for contents that are damaged.

    Attributes:
        path: Where it is.
        data: Its group ``data``.
    """

    def __init__(self, path: Path, file: "h5py.File") -> None:
        self.path = path
        self._file = file
        self._bytes = path.stat().st_size
        data = self._node("data")
        if not _is_group(data):
            raise self.refuse("it has no group 'data'")
        self.data = data

    def refuse(self, why: str, fix: str = _FIX) -> ConfigError:
        """Return the error that says why this file cannot be used, and what to do."""
        return _refusal(self.path, why, fix)

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

    def demos(self) -> list[str]:
        """Return the names of the demonstrations, ``demo_0`` first.

        Raises:
            ConfigError: There is none.
        """
        with self._reading("data"):
            names = sorted((n for n in self.data if n.startswith("demo_")), key=_number)
        if not names:
            raise self.refuse("it holds no demonstration (data/demo_0)")
        return names

    def group(self, name: str) -> "h5py.Group":
        """Return a group.

        Args:
            name: Its path in the file, such as ``data/demo_0``.
        """
        node = self._node(name)
        if not _is_group(node):
            raise self.refuse(f"{name} is {'missing' if node is None else 'no group'}")
        return node

    def has(self, name: str) -> bool:
        """Whether a group or dataset is in the file."""
        return self._node(name) is not None

    def dataset(self, name: str, row: Shape, *, steps: int | None = None) -> "h5py.Dataset":
        """Return a dataset of one row per control step, its declared size checked.

        Args:
            name: Its path in the file.
            row: Shape of one row; None stands for any size.
            steps: How many rows it must have, if known.
        """
        import h5py

        dataset = self._node(name)
        if not isinstance(dataset, h5py.Dataset):
            raise (
                self.refuse_missing(name)
                if dataset is None
                else self.refuse(f"{name} is no dataset")
            )
        with self._reading(name):
            shape: tuple[int, ...] = tuple(dataset.shape or ())
            if not _fits(shape, row) or not 2 <= shape[0] <= _MAX_STEPS:
                wanted = ", ".join("any" if size is None else str(size) for size in row)
                rows = f"T from 2 to {_MAX_STEPS}"
                named = f"(T, {wanted}), {rows}" if wanted else f"(T,), {rows}"
                raise self.refuse(f"{name} has shape {shape}, not {named}")
            if steps is not None and shape[0] != steps:
                raise self.refuse(f"{name} has {shape[0]} rows, actions has {steps}")
            self._check_storage(name, dataset)
        return dataset

    def numbers(self, name: str, row: Shape, *, steps: int | None = None, rows: Any = ...) -> Any:
        """Read a dataset of finite floating-point numbers, (T, *row), or some rows of it."""
        dataset = self.dataset(name, row, steps=steps)
        if dataset.dtype.kind != "f":
            raise self.refuse(f"{name} is {dataset.dtype}, not floating point")
        with self._reading(name):
            array = dataset[rows]
        if not np.isfinite(array).all():
            where = np.argwhere(~np.isfinite(array))[0].tolist()
            raise self.refuse(f"{name} holds NaN or infinity, first at {where}")
        return array

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

    def images(self, name: str, *, steps: int | None = None) -> "h5py.Dataset":
        """Return a dataset of images, (T, H, W, 3) uint8, unread."""
        dataset = self.dataset(name, (None, None, 3), steps=steps)
        if dataset.dtype != np.uint8 or not 1 <= max(dataset.shape[1:3]) <= 2048:
            raise self.refuse(f"{name} is {dataset.dtype} {dataset.shape}, not uint8")
        return dataset

    def refuse_blank(self, dataset: "h5py.Dataset") -> None:
        """Refuse images that show nothing, as a broken renderer leaves them; a few are read.

        Raises:
            ConfigError: All those looked at have one colour.
        """
        rows = np.unique(np.linspace(0, len(dataset) - 1, _SAMPLED_IMAGES).astype(int))
        if all(is_blank(self.read(dataset, row)) for row in rows):
            colour = self.read(dataset, 0)[0, 0].tolist()
            raise ConfigError(
                f"The demo file '{self.path}' cannot be used: {dataset.name} shows nothing, every "
                f"pixel is {'black' if not any(colour) else colour}. Fix: render it anew on a "
                "machine where rendering works: libero-bench demos regenerate."
            )

    def read(self, dataset: "h5py.Dataset", rows: Any = ...) -> Any:
        """Read rows of a dataset that ``dataset`` or ``images`` returned."""
        with self._reading(dataset.name):
            return dataset[rows]

    def attribute(self, node: "h5py.Group", name: str) -> Any:
        """Return an attribute as text, number or array; None where it is missing."""
        with self._reading(f"the attribute {name} of {node.name}"):
            if name not in node.attrs:
                return None
            value = node.attrs[name]
        if isinstance(value, bytes):
            return value.decode("utf-8", errors="replace")
        return value.item() if isinstance(value, np.generic) else value

    def json(self, node: "h5py.Group", name: str) -> Any:
        """Return the content of an attribute of JSON text; None where it is missing."""
        text = self.attribute(node, name)
        if text is None:
            return None
        try:
            return json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise self.refuse(f"the attribute {name} of {node.name} is not JSON") from error

    def provenance(self) -> dict[str, Any]:
        """Return how the file was made, as this project notes it; empty where it did not make it.

        Others may note something else under that name, which is no reason to refuse their file.
        """
        noted = self.attribute(self.data, "provenance")
        try:
            provenance = json.loads(noted) if isinstance(noted, str) else None
        except (ValueError, RecursionError):
            provenance = None
        return provenance if isinstance(provenance, dict) else {}

    def noted_instruction(self) -> str | None:
        """Return the task in words as the file has it; None where it has none."""
        problem = self.json(self.data, "problem_info")
        words = problem.get("language_instruction") if isinstance(problem, dict) else None
        if isinstance(words, list):  # LIBERO's parser gives words
            words = " ".join(str(word) for word in words)
        if not isinstance(words, str) or not words.strip():
            return None
        return words.strip().strip('"')

    def _node(self, name: str) -> Any:
        """Return what lies at a path, None where nothing does; links are not followed."""
        import h5py

        node: Any = self._file
        with self._reading(name):
            for part in name.split("/"):
                link = node.get(part, getlink=True) if _is_group(node) else None
                if link is None:
                    return None
                if not isinstance(link, h5py.HardLink):
                    raise self.refuse(f"{name} is a link; a demo file must hold its data itself")
                node = node[part]
        return node

    def _check_storage(self, name: str, dataset: "h5py.Dataset") -> None:
        """Refuse data that lies elsewhere, or of which there is less than is declared."""
        if dataset.is_virtual or dataset.external:
            raise self.refuse(f"{name} refers to other files; it must hold its data itself")
        declared = math.prod(dataset.shape) * dataset.dtype.itemsize
        stored = int(dataset.id.get_storage_size())
        chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
        if declared > _MAX_BYTES or chunk > _MAX_CHUNK:
            raise self.refuse(f"{name} declares {declared:,} bytes; {_MAX_BYTES:,} are allowed")
        ratio = _MAX_RATIO if dataset.chunks else 1
        if stored > self._bytes or (declared > _SMALL and declared > ratio * stored):
            raise self.refuse(
                f"{name} declares {declared:,} bytes and stores {stored:,}; it was never written, "
                "or is made to fill memory"
            )

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except _DAMAGED as error:
            words = " ".join(str(error).split())[:200]
            raise self.refuse(f"its contents are damaged at {name} ({words})") from error


def _is_group(node: Any) -> bool:
    import h5py

    return isinstance(node, h5py.Group)


def _fits(shape: tuple[int, ...], row: Shape) -> bool:
    return len(shape) == 1 + len(row) and all(
        want is None or have == want for have, want in zip(shape[1:], row, strict=True)
    )


def _number(name: str) -> tuple[int, str]:
    tail = name.removeprefix("demo_")
    return (int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 10 else 1 << 60), name


def _refusal(path: Path, why: str, fix: str = _FIX) -> ConfigError:
    return ConfigError(f"The demo file '{path}' cannot be used: {why}. {fix}")
