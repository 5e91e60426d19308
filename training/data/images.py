"""Images of demonstrations: kept in memory, or read from the demo files when they are needed."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import torch
from torch import Tensor

from policies.rdt.encoders.images import BACKGROUND
from tasks.demos.lerobot.images import EpisodeImages
from tasks.demos.reader import Demo
from tasks.demos.schema import IMAGE_DATASETS
from tasks.demos.source import DemoSource
from tasks.errors import ConfigError

Prepare = Callable[[Any], Tensor]
"""The image encoder's preparation: (T, H, W, 3) uint8 to (T, 3, S, S) uint8."""


class DemoImages(Protocol):
    """The images of one demonstration."""

    @property
    def decodes(self) -> bool:
        """Whether images are decoded when they are asked for, which takes its time."""
        ...

    def at(self, steps: Sequence[int]) -> Tensor:
        """Return the images of some control steps, (steps, cameras, 3, S, S) uint8."""
        ...


class LazyRows(Protocol):
    """Images of one camera that can be read in any process."""

    def __getitem__(self, rows: Any) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class CameraSlots:
    """The cameras of an image encoder's slots; slots of missing ones show the background."""

    cameras: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """Cameras whose images are needed."""
        return tuple(camera for camera in self.cameras if camera not in self.missing)

    def fill(self, images: Tensor) -> Tensor:
        """Add the background of missing cameras: (T, shown, …) to (T, cameras, 3, S, S)."""
        if not self.missing:
            return images
        filled = images.new_full((len(images), len(self.cameras), *images.shape[2:]), BACKGROUND)
        filled[:, [self.cameras.index(camera) for camera in self.shown]] = images
        return filled


class MemoryImages:
    """Images in memory at the encoder's size."""

    decodes = False

    def __init__(self, demo: Demo, slots: CameraSlots, prepare: Prepare) -> None:
        self._slots = slots
        self._images = torch.stack([prepare(demo.images[name]) for name in slots.shown], dim=1)

    def at(self, steps: Sequence[int]) -> Tensor:
        """Return the images of some control steps, (steps, cameras, 3, S, S) uint8."""
        return self._slots.fill(self._images[list(steps)])


class LazyImages:
    """Images read for every sample; each process opens the files itself."""

    def __init__(
        self, demo: Demo, rows: Mapping[str, LazyRows], slots: CameraSlots, prepare: Prepare
    ) -> None:
        """Keep where the images are.

        Args:
            demo: The demonstration.
            rows: By camera, its images as LIBERO's HDF5 files have them.
            slots: The cameras.
            prepare: The image encoder's preparation.
        """
        self._rows, self._slots, self._prepare = rows, slots, prepare
        self._source = demo.source

    @property
    def decodes(self) -> bool:
        """Whether they are in a video, or PNG files."""
        return any(isinstance(rows, EpisodeImages) for rows in self._rows.values())

    def at(self, steps: Sequence[int]) -> Tensor:
        """Return the images of some control steps, (steps, cameras, 3, S, S) uint8.

        Raises:
            ConfigError: The file has changed.
        """
        # obs[t] of the file was seen before the demo's t-th action under either convention: what
        # after_action leaves out is an action at the start, not an image.
        unique, inverse = np.unique(np.asarray(steps), return_inverse=True)
        stacked = []
        try:
            for camera in self._slots.shown:
                frames = self._rows[camera][unique][inverse][:, ::-1, ::-1]
                stacked.append(self._prepare(np.ascontiguousarray(frames)))
        except (OSError, KeyError, ValueError) as error:
            raise ConfigError(
                f"The pictures of '{self._source}' can no longer be read ({error}). "
                "Fix: leave demo files alone while training, or give --pictures memory."
            ) from error
        return self._slots.fill(torch.stack(stacked, dim=1))


@dataclass(frozen=True, kw_only=True)
class ImageScan:
    """The number of a demo file's images, over all cameras, and their heights in pixels.

    Attributes:
        in_videos: Whether any are in videos.
    """

    count: int
    sizes: frozenset[int]
    in_videos: bool


def scan_images(file: DemoSource, cameras: Sequence[str]) -> ImageScan:
    """Check the images of a demo file, reading only a few of them.

    Raises:
        ConfigError: The file cannot be used, lacks a camera, or its images show nothing.
    """
    count, sizes, in_videos = 0, set(), False
    for name in file.demos():
        _check_cameras(file, f"data/{name}/obs", cameras)
        for camera in cameras:
            dataset = file.images(f"data/{name}/obs/{IMAGE_DATASETS[camera]}")
            file.refuse_blank(dataset)
            count += dataset.shape[0]
            in_videos |= isinstance(dataset, EpisodeImages) and dataset.fps is not None
            sizes.add(int(dataset.shape[1]))
    return ImageScan(count=count, sizes=frozenset(sizes), in_videos=in_videos)


def _check_cameras(file: DemoSource, group: str, cameras: Sequence[str]) -> None:
    present = [camera for camera, key in IMAGE_DATASETS.items() if file.has(f"{group}/{key}")]
    missing = [camera for camera in cameras if camera not in present]
    usable = [camera for camera in cameras if camera in present]
    if missing and usable:
        raise ConfigError(
            f"The demo file '{file.path}' has no pictures of the camera {', '.join(missing)} "
            f"({group}/{IMAGE_DATASETS[missing[0]]}). There: {', '.join(present)}. Fix: --cameras "
            f"{' '.join(usable)} trains and evaluates without it; or give demos that have it."
        )


@dataclass(frozen=True)
class StoredImages:
    """A dataset of images in an HDF5 file, opened by each process that reads it."""

    path: Path
    place: str

    def __getitem__(self, rows: Any) -> Any:
        """Return images (n, H, W, 3) uint8."""
        return _open_in_process(self.path)[self.place][rows]


def lazy_rows(file: DemoSource, name: str, cameras: Sequence[str]) -> dict[str, LazyRows]:
    """Return the images of a demonstration by camera, to be read in any process.

    Args:
        file: The open source.
        name: The demonstration, ``demo_0``.
        cameras: The cameras.
    """
    rows: dict[str, LazyRows] = {}
    for camera in cameras:
        place = f"data/{name}/obs/{IMAGE_DATASETS[camera]}"
        found = file.images(place)
        rows[camera] = found if isinstance(found, EpisodeImages) else StoredImages(file.path, place)
    return rows


_files: dict[tuple[int, Path], h5py.File] = {}


def _open_in_process(path: Path) -> h5py.File:
    # HDF5 handles must not cross a fork, so they are kept by process.
    key = os.getpid(), path
    if key not in _files:
        _files[key] = h5py.File(path, "r")
    return _files[key]
