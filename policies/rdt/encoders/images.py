"""Resizing camera frames for the image encoders."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

BACKGROUND = 127
"""Grey level of missing images and of the padding around images that are not square:
int(255 · mean) of SigLIP's processor."""


def resize_frames(frames: npt.NDArray[np.uint8], size: int) -> torch.Tensor:
    """Resize frames, averaging over the area that each new pixel covers.

    Args:
        frames: (..., H, W, 3) uint8, any height and width.
        size: New height and width, pixels.

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
        size: New height and width, pixels.

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
