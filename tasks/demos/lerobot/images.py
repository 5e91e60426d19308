"""The images of an episode, in Parquet or in a video, read when they are asked for."""

import io
import os
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tasks.demos.conventions import View
from tasks.demos.lerobot.evidence import to_raw
from tasks.demos.lerobot.info import refusal
from tasks.demos.lerobot.parquet import open_parquet
from tasks.demos.lerobot.video import read_frames
from tasks.errors import ConfigError
from tasks.observation import Image

_MOST_KEPT = 256 << 20
"""Bytes of encoded images that a process keeps."""


@dataclass(frozen=True, kw_only=True)
class EpisodeImages:
    """The images of one camera in one episode, as LIBERO's HDF5 files have them: as rendered.

    Attributes:
        name: For messages.
        root: The folder of the data set.
        path: The video, or the Parquet file.
        first: The first frame's number in the video, or its row in the Parquet file.
        shape: (T, H, W, 3).
        view: How the images are turned where they are stored.
        fps: Of the video; None for images in Parquet.
        feature: The column of images in Parquet.
    """

    name: str
    root: Path
    path: Path
    first: int
    shape: tuple[int, ...]
    view: View
    fps: Fraction | None
    feature: str

    @property
    def dtype(self) -> Any:
        """Of the images: uint8."""
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Image:
        """Return images (n, H, W, 3) uint8, or one (H, W, 3).

        Raises:
            ConfigError: One is missing or damaged.
        """
        wanted = np.arange(len(self))[rows]
        numbers, inverse = np.unique(wanted, return_inverse=True)
        places = [self.first + int(number) for number in numbers]
        size = self.shape[1], self.shape[2]
        if self.fps is None:
            found = self._decode(places, size)
        else:
            found = read_frames(self.path, places, size=size, fps=self.fps)
        turned = to_raw(found, self.view)
        return turned[inverse.reshape(np.shape(wanted))]

    def _decode(self, places: list[int], size: tuple[int, int]) -> Image:
        found = np.empty((len(places), *size, 3), dtype=np.uint8)
        for row, place in enumerate(places):
            found[row] = self._picture(encoded_image(self.root, self.path, self.feature, place))
        return found

    def _picture(self, encoded: bytes) -> Image:
        from PIL import Image as Pillow  # an image is read: no --help needs it

        try:
            with Pillow.open(io.BytesIO(encoded), formats=("PNG", "JPEG")) as picture:
                if picture.size != (self.shape[2], self.shape[1]):
                    raise ValueError(f"it has {picture.size} pixels")
                return np.asarray(picture.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
            words = " ".join(str(error).split())[:120]
            raise self._refuse(f"an image is damaged ({words})") from error

    def _refuse(self, why: str) -> ConfigError:
        return refusal(self.root, f"{self.path.relative_to(self.root)} at '{self.feature}': {why}")


@dataclass(kw_only=True)
class _KeptGroups:
    """Row groups of encoded images that this process read last."""

    process: int
    groups: OrderedDict[tuple[Path, str, int], list[bytes]]
    bounds: dict[Path, list[int]]
    bytes_kept: int = 0


_kept = _KeptGroups(process=-1, groups=OrderedDict(), bounds={})


def encoded_image(root: Path, path: Path, feature: str, row: int) -> bytes:
    """Return an encoded image of a Parquet file; its row group is kept for the next.

    Raises:
        ConfigError: The file is damaged, or has no such row.
    """
    if _kept.process != os.getpid():
        _kept.process, _kept.bytes_kept = os.getpid(), 0
        _kept.groups.clear()
        _kept.bounds.clear()
    if path not in _kept.bounds:
        with open_parquet(root, path) as file:
            _kept.bounds[path] = np.cumsum([0, *file.groups]).tolist()
    bounds = _kept.bounds[path]
    group = int(np.searchsorted(bounds, row, side="right")) - 1
    if not 0 <= group < len(bounds) - 1:
        raise refusal(root, f"{path.relative_to(root)} has no row {row}")
    key = path, feature, group
    if key not in _kept.groups:
        with open_parquet(root, path) as file:
            images = file.images(feature, group)
        _kept.groups[key] = images
        _kept.bytes_kept += sum(map(len, images))
        while _kept.bytes_kept > _MOST_KEPT and len(_kept.groups) > 1:
            _kept.bytes_kept -= sum(map(len, _kept.groups.popitem(last=False)[1]))
    _kept.groups.move_to_end(key)
    images = _kept.groups[key]
    if row - bounds[group] >= len(images):
        raise refusal(root, f"{path.relative_to(root)} has no image in row {row}")
    return images[row - bounds[group]]
