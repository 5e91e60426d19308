"""Images kept on the disk at the encoder's size: decoded once, read from then on.

A file is as large as all images of its demonstration from the beginning, but takes space only for
those that were asked for. Processes may fill it together, as each writes the same bytes. What is
there stays for the next run with the same demonstrations and encoder.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tasks.errors import ConfigError
from training.data.images import CameraSlots, LazyImages, Prepare

_LEAST_FREE = 1 << 30


class CachedImages:
    """The images of one demonstration, decoded at most once."""

    decodes = True

    def __init__(self, lazy: LazyImages, path: Path, steps: int, shape: tuple[int, ...]) -> None:
        """Keep images in a file.

        Args:
            lazy: Reads those that are not there.
            path: The file.
            steps: T of the demonstration.
            shape: Of the images of a step, (cameras, 3, S, S).
        """
        self._lazy, self._path, self._steps, self._shape = lazy, path, steps, shape

    def at(self, steps: Sequence[int]) -> Tensor:
        """Return the images of some control steps, (steps, cameras, 3, S, S) uint8.

        Raises:
            ConfigError: An image that is not there cannot be read.
        """
        unique, inverse = np.unique(np.asarray(steps), return_inverse=True)
        known = self._map("known", (self._steps,))
        missing = unique[known[unique] == 0]
        if not len(missing):
            kept = self._map("images", (self._steps, *self._shape))
            return torch.from_numpy(np.asarray(kept[unique])[inverse])
        images = self._lazy.at(unique.tolist())
        kept = self._map("images", (self._steps, *self._shape))
        kept[unique] = images.numpy()
        known[unique] = 1
        return images[torch.from_numpy(inverse)]

    def _map(self, what: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        path = self._path.with_suffix(f".{what}")
        size = int(np.prod(shape))
        if not path.exists() or path.stat().st_size != size:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.ftruncate(descriptor, size)
            finally:
                os.close(descriptor)
        return np.memmap(path, dtype=np.uint8, mode="r+", shape=shape)


class ImageCache:
    """The folder of a run's images, ``~/.cache/libero-bench/images``."""

    def __init__(self, prepare: Prepare, slots: CameraSlots, size: int) -> None:
        """Find the folder.

        Args:
            prepare: The image encoder's preparation.
            slots: The cameras.
            size: Height and width of the images before it, pixels.
        """
        base = os.environ.get("XDG_CACHE_HOME", "").strip()
        self.folder = (Path(base) if base else Path("~/.cache").expanduser()) / (
            "libero-bench/images"
        )
        probe = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
        prepared = prepare(probe)
        self._image_bytes = prepared.numel()
        self._shape = (len(slots.cameras), *prepared.shape[1:])
        # What the preparation makes of one image tells it from every other.
        self._key = repr(slots).encode() + prepared.numpy().tobytes()

    def check_space(self, count: int) -> str:
        """Return a sentence on how much space images take.

        Args:
            count: Images over all cameras and demonstrations.

        Raises:
            ConfigError: They do not fit the disk.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        needed, free = count * self._image_bytes, shutil.disk_usage(self.folder).free
        there = sum(file.stat().st_blocks * 512 for file in self.folder.iterdir())
        if needed > free + there - _LEAST_FREE:
            raise ConfigError(
                f"--pictures cache needs {needed:,} bytes in '{self.folder}', where {free:,} are "
                "free. Fix: --pictures lazy, fewer --demos-per-task, or XDG_CACHE_HOME on a larger "
                "disk."
            )
        return (
            f"Images are kept at the encoder's size in {self.folder}: up to {needed:,} bytes, "
            f"{free:,} are free."
        )

    def images(self, lazy: LazyImages, digest: str, name: str, steps: int) -> CachedImages:
        """Return the images of a demonstration.

        Args:
            lazy: Reads those that are not there.
            digest: Of its source.
            name: Of the demonstration.
            steps: T.
        """
        key = hashlib.sha256(f"{digest} {name} ".encode() + self._key).hexdigest()[:32]
        return CachedImages(lazy, self.folder / key, steps, self._shape)
