"""Opening demo files that may be damaged, foreign or hostile.

HDF5 lets a file point into other files, and declare more rows than any memory holds while storing
none. Every dataset returned here lies in the file itself, and its declared size was compared with
the stored size before memory was allocated.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.demos.lerobot.task import LeRobotTask, is_lerobot_task
from tasks.demos.source import MOST_STEPS, DemoSource, Rows, Shape, fits, refusal
from tasks.files import sha256

if TYPE_CHECKING:
    import h5py

_MAX_BYTES = 2 << 30
_MAX_CHUNK = 1 << 30
_SMALL = 1 << 20
_MAX_RATIO = 1100  # deflate's limit is 1032 to 1
_DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError)  # what h5py raises


@contextmanager
def open_demos(path: Path) -> Iterator[DemoSource]:
    """Open the demonstrations of a task for reading.

    Args:
        path: An HDF5 file, or a task of a LeRobot data set as ``find_demo_files`` returns it.

    Raises:
        ConfigError: It is neither, or damaged.
    """
    if is_lerobot_task(path):
        yield LeRobotTask(path)
        return
    with open_demo_file(path) as file:
        yield file


@contextmanager
def open_demo_file(path: Path) -> Iterator["DemoFile"]:
    """Open an HDF5 demo file for reading.

    Raises:
        ConfigError: It is no HDF5 file, a truncated one, or has no group ``data``.
    """
    import h5py  # when a file is opened: no --help needs it

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise refusal(path, "it is no HDF5 file, or a truncated one") from error
    with file:
        yield DemoFile(path, file)


class DemoFile(DemoSource):
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
            if not fits(shape, row) or not 2 <= shape[0] <= MOST_STEPS:
                wanted = ", ".join("any" if size is None else str(size) for size in row)
                rows = f"T from 2 to {MOST_STEPS}"
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

    def images(self, name: str, *, steps: int | None = None) -> "h5py.Dataset":
        """Return a dataset of images, (T, H, W, 3) uint8, unread."""
        dataset = self.dataset(name, (None, None, 3), steps=steps)
        if dataset.dtype != np.uint8 or not 1 <= max(dataset.shape[1:3]) <= 2048:
            raise self.refuse(f"{name} is {dataset.dtype} {dataset.shape}, not uint8")
        return dataset

    def read(self, dataset: Rows, rows: Any = ...) -> Any:
        """Read rows of a dataset that ``dataset`` or ``images`` returned."""
        with self._reading(dataset.name):
            return dataset[rows]

    def attribute(self, place: str, name: str) -> Any:
        """Return an attribute as text, number or array; None where it is missing."""
        node = self.group(place)
        with self._reading(f"the attribute {name} of {place}"):
            if name not in node.attrs:
                return None
            value = node.attrs[name]
        if isinstance(value, bytes):
            return value.decode("utf-8", errors="replace")
        return value.item() if isinstance(value, np.generic) else value

    def size(self) -> int:
        """Return the file's size in bytes."""
        return self._bytes

    def digest(self) -> str:
        """Return the first 16 hexadecimal digits of the file's SHA-256."""
        return sha256(self.path)[:16]

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


def _number(name: str) -> tuple[int, str]:
    tail = name.removeprefix("demo_")
    return (int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 10 else 1 << 60), name
