"""Pictures of windows: kept in memory, or read from the demo files when they are needed."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import torch
from torch import Tensor

from tasks.demo_file import open_demo_file
from tasks.errors import ConfigError
from training.demos.format import PICTURES
from training.demos.reader import Demo

Prepare = Callable[[Any], Tensor]
"""(T, H, W, 3) uint8 to (T, 3, S, S) uint8: what the image encoder makes of frames."""


class Pictures(Protocol):
    """The pictures of one demonstration."""

    def rows(self, steps: Sequence[int]) -> Tensor:
        """Return (steps, cameras, 3, S, S) uint8."""
        ...


class KeptPictures:
    """Pictures in memory at the encoder's size."""

    def __init__(self, demo: Demo, cameras: Sequence[str], prepare: Prepare) -> None:
        self._kept = torch.stack([prepare(demo.pictures[camera]) for camera in cameras], dim=1)

    def rows(self, steps: Sequence[int]) -> Tensor:
        """Return (steps, cameras, 3, S, S) uint8."""
        return self._kept[list(steps)]


class LazyPictures:
    """Pictures read for every sample; each process opens the files for itself."""

    def __init__(self, demo: Demo, path: Path, cameras: Sequence[str], prepare: Prepare) -> None:
        self._path, self._cameras, self._prepare = path, tuple(cameras), prepare
        self._name = demo.name

    def rows(self, steps: Sequence[int]) -> Tensor:
        """Return (steps, cameras, 3, S, S) uint8.

        Raises:
            ConfigError: The file is no longer what it was.
        """
        # obs[t] of the file is what was seen before the demo's t-th action, whether the file
        # records before or after: what is left out is an action at the start, not a picture.
        wanted, back = np.unique(np.asarray(steps), return_inverse=True)
        stacked = []
        try:
            group = _opened(self._path)[f"data/{self._name}/obs"]
            for camera in self._cameras:
                frames = group[PICTURES[camera]][wanted][back][:, ::-1, ::-1]
                stacked.append(self._prepare(np.ascontiguousarray(frames)))
        except (OSError, KeyError, ValueError) as error:
            raise ConfigError(
                f"The pictures of '{self._path}:{self._name}' can no longer be read ({error}). "
                "Fix: leave demo files alone while training, or give --pictures memory."
            ) from error
        return torch.stack(stacked, dim=1)


def look(path: Path, cameras: Sequence[str]) -> tuple[int, int, set[int]]:
    """Look a demo file over without reading its pictures.

    Returns:
        How many demonstrations it has, how many pictures of these cameras, and their heights.

    Raises:
        ConfigError: It cannot be used.
    """
    frames, sizes = 0, set()
    with open_demo_file(path) as file:
        names = file.demos()
        for name in names:
            for camera in cameras:
                shape = file.pictures(f"data/{name}/obs/{PICTURES[camera]}").shape
                frames += shape[0]
                sizes.add(int(shape[1]))
    return len(names), frames, sizes


_files: dict[tuple[int, Path], h5py.File] = {}


def _opened(path: Path) -> h5py.File:
    # HDF5 handles must not cross a fork, so they are kept by process.
    key = os.getpid(), path
    if key not in _files:
        _files[key] = h5py.File(path, "r")
    return _files[key]
