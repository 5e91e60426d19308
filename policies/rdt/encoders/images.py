"""The one place where camera frames get the size that the image encoder takes."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

BACKGROUND = 127
"""Grey level of a picture that is not there, and around one that is not square: int(255 · mean)
of SigLIP's processor."""


def resize_frames(frames: npt.NDArray[np.uint8], size: int) -> torch.Tensor:
    """Resize raw frames, averaging over the area that each new pixel covers.

    Training and inference both go through here, so that they see the same pictures.

    Args:
        frames: (..., H, W, 3) uint8, any height and width.
        size: Height and width to give, pixels.

    Returns:
        (..., 3, size, size) uint8, contiguous.
    """
    leading, (height, width) = frames.shape[:-3], frames.shape[-3:-1]
    flat = torch.from_numpy(np.ascontiguousarray(frames)).reshape(-1, height, width, 3)
    channels_first = flat.permute(0, 3, 1, 2)
    if (height, width) == (size, size):
        resized = channels_first.contiguous()
    else:
        averaged = F.interpolate(channels_first.float(), (size, size), mode="area")
        resized = averaged.round_().to(torch.uint8)
    return resized.reshape(*leading, 3, size, size)


def square_frame(frame: npt.NDArray[np.uint8], size: int) -> torch.Tensor:
    """Pad a frame to a square with the background, centred, and resize it as SigLIP's processor.

    Bicubic through PIL on whole numbers, so only the scaling to [−1, 1] is left to the encoder.

    Args:
        frame: (H, W, 3) uint8, any height and width.
        size: Height and width to give, pixels.

    Returns:
        (3, size, size) uint8, contiguous.
    """
    height, width = frame.shape[:2]
    side = max(height, width)
    if height != width:
        top, left = (side - height) // 2, (side - width) // 2
        square = np.full((side, side, 3), BACKGROUND, dtype=np.uint8)
        square[top : top + height, left : left + width] = frame
        frame = square
    resized = np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC))
    return torch.from_numpy(resized.transpose(2, 0, 1).copy())


Make = Callable[[list[int]], Sequence[Tensor]]


class Memo:
    """The latest values by key; those unused for longest are dropped.

    Args:
        limit: Values kept between calls; all of the latest call are kept, be they more.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __deepcopy__(self, memory: dict[int, Any]) -> "Memo":
        return Memo(self.limit)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def look_up(self, keys: Sequence[Hashable], make: Make) -> list[Tensor]:
        """Give the value of every key, computing each that is not there once.

        Args:
            keys: What to look up; a key may come several times.
            make: Gets positions in ``keys``, the first of each unknown key, and gives their values
                in that order.

        Returns:
            One value per key. They are shared: do not write into them.
        """
        first = {key: index for index, key in reversed(list(enumerate(keys)))}
        values = {key: self._kept[key] for key in first if key in self._kept}
        new = sorted(index for key, index in first.items() if key not in values)
        if new:
            values |= {keys[index]: made for index, made in zip(new, make(new), strict=True)}
        for key in first:
            self._kept[key] = values[key]
            self._kept.move_to_end(key)
        while len(self._kept) > max(self.limit, len(first)):
            self._kept.popitem(last=False)
        return [values[key] for key in keys]


def content_key(array: npt.NDArray[Any]) -> Hashable:
    """Give a key that two arrays share only if shape, dtype and every element are the same."""
    data = np.ascontiguousarray(array)
    return data.shape, data.dtype.str, hashlib.blake2b(data.data, digest_size=16).digest()
