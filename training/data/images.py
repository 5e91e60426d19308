"""Pictures of windows: kept in memory, or read from the demo files when they are needed."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import torch
from torch import Tensor

from policies.rdt.encoders.images import BACKGROUND
from tasks.demos.file import PICTURES, DemoFile, open_demo_file
from tasks.demos.reader import Demo
from tasks.errors import ConfigError

Prepare = Callable[[Any], Tensor]
"""(T, H, W, 3) uint8 to (T, 3, S, S) uint8: what the image encoder makes of frames."""


class Pictures(Protocol):
    """The pictures of one demonstration."""

    def rows(self, steps: Sequence[int]) -> Tensor:
        """Return (steps, cameras, 3, S, S) uint8."""
        ...


@dataclass(frozen=True, kw_only=True)
class Places:
    """The pictures of a control step, in the order of the encoder.

    Attributes:
        cameras: Cameras that the encoder has a place for.
        missing: Those of them whose place shows the background.
    """

    cameras: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """Cameras whose pictures are needed."""
        return tuple(camera for camera in self.cameras if camera not in self.missing)

    def fill(self, seen: Tensor) -> Tensor:
        """Put (T, shown, 3, S, S) in place: (T, cameras, 3, S, S)."""
        if not self.missing:
            return seen
        whole = seen.new_full((len(seen), len(self.cameras), *seen.shape[2:]), BACKGROUND)
        whole[:, [self.cameras.index(camera) for camera in self.shown]] = seen
        return whole


class KeptPictures:
    """Pictures in memory at the encoder's size."""

    def __init__(self, demo: Demo, places: Places, prepare: Prepare) -> None:
        self._places = places
        self._kept = torch.stack([prepare(demo.pictures[name]) for name in places.shown], dim=1)

    def rows(self, steps: Sequence[int]) -> Tensor:
        """Return (steps, cameras, 3, S, S) uint8."""
        return self._places.fill(self._kept[list(steps)])


class LazyPictures:
    """Pictures read for every sample; each process opens the files for itself."""

    def __init__(self, demo: Demo, path: Path, places: Places, prepare: Prepare) -> None:
        self._path, self._places, self._prepare = path, places, prepare
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
            for camera in self._places.shown:
                frames = group[PICTURES[camera]][wanted][back][:, ::-1, ::-1]
                stacked.append(self._prepare(np.ascontiguousarray(frames)))
        except (OSError, KeyError, ValueError) as error:
            raise ConfigError(
                f"The pictures of '{self._path}:{self._name}' can no longer be read ({error}). "
                "Fix: leave demo files alone while training, or give --pictures memory."
            ) from error
        return self._places.fill(torch.stack(stacked, dim=1))


def look(path: Path, cameras: Sequence[str]) -> tuple[int, int, set[int]]:
    """Look a demo file over, reading only a few of its pictures.

    Returns:
        How many demonstrations it has, how many pictures of these cameras, and their heights.

    Raises:
        ConfigError: It cannot be used, lacks a camera, or its pictures show nothing.
    """
    frames, sizes = 0, set()
    with open_demo_file(path) as file:
        names = file.demos()
        for name in names:
            _check_cameras(file, f"data/{name}/obs", cameras)
            for camera in cameras:
                dataset = file.pictures(f"data/{name}/obs/{PICTURES[camera]}")
                file.refuse_blank(dataset)
                frames += dataset.shape[0]
                sizes.add(int(dataset.shape[1]))
    return len(names), frames, sizes


def _check_cameras(file: DemoFile, place: str, cameras: Sequence[str]) -> None:
    there = [camera for camera, key in PICTURES.items() if file.has(f"{place}/{key}")]
    lacking = [camera for camera in cameras if camera not in there]
    usable = [camera for camera in cameras if camera in there]
    if lacking and usable:
        raise ConfigError(
            f"The demo file '{file.path}' has no pictures of the camera {', '.join(lacking)} "
            f"({place}/{PICTURES[lacking[0]]}). There: {', '.join(there)}. Fix: --cameras "
            f"{' '.join(usable)} trains and evaluates without it; or give demos that have it."
        )


_files: dict[tuple[int, Path], h5py.File] = {}


def _opened(path: Path) -> h5py.File:
    # HDF5 handles must not cross a fork, so they are kept by process.
    key = os.getpid(), path
    if key not in _files:
        _files[key] = h5py.File(path, "r")
    return _files[key]
