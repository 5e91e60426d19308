"""Operations on the frames (frames, 3, S, S) in [0, 1] of one camera in one sample, all alike."""

import math

import kornia
import torch
import torch.nn.functional as F
from torch import Tensor

JITTER = {"brightness": 0.3, "contrast": 0.4, "saturation": 0.5, "hue": 0.03}
"""Ranges of RDT's colour jitter."""

_FULL_SIZE = 128
"""Height and width, in pixels, of the images that sizes of blurs refer to: LIBERO's own. RDT's code
blurs before it resizes."""

_LUMA = (0.299, 0.587, 0.114)


def uniform(low: float, high: float) -> float:
    """Draw from torch's global generator."""
    return low + (high - low) * float(torch.rand(()))


def chance(probability: float) -> bool:
    """Draw true or false from torch's global generator."""
    return bool(torch.rand(()) < probability)


def choice(count: int) -> int:
    """Draw 0 … count − 1 from torch's global generator."""
    return int(torch.randint(count, ()))


def jitter(frames: Tensor, strength: float) -> Tensor:
    """Change brightness, contrast, saturation and hue, in random order, as torchvision does."""
    for which in torch.randperm(4).tolist():
        name = tuple(JITTER)[which]
        most = JITTER[name] * strength
        if name == "hue":
            frames = turn_hue(frames, uniform(-most, most))
            continue
        factor = uniform(max(1.0 - most, 0.0), 1.0 + most)
        if name == "brightness":
            other = torch.zeros_like(frames)
        else:
            other = _grey(frames)
            if name == "contrast":  # of the newest frame, so that all frames change alike
                other = other[-1].mean().expand_as(frames)
        frames = (factor * frames + (1.0 - factor) * other).clamp(0.0, 1.0)
    return frames


def turn_hue(frames: Tensor, share: float) -> Tensor:
    """Turn the hue by a share of the whole circle."""
    hsv = kornia.color.rgb_to_hsv(frames)
    hue = (hsv[:, :1] + share * 2 * math.pi) % (2 * math.pi)
    turned: Tensor = kornia.color.hsv_to_rgb(torch.cat([hue, hsv[:, 1:]], dim=1))
    return turned


def gaussian_blur(frames: Tensor, sigma: float) -> Tensor:
    """Blur with a standard deviation in pixels of 128."""
    scaled = sigma * frames.shape[-1] / _FULL_SIZE
    if scaled < 0.05:
        return frames
    size = 2 * math.ceil(3 * scaled) + 1
    blurred: Tensor = kornia.filters.gaussian_blur2d(frames, (size, size), (scaled, scaled))
    return blurred


def average_blur(frames: Tensor, size: int) -> Tensor:
    """Average over a square with a side in pixels of 128."""
    side = _odd(size, frames)
    blurred: Tensor = kornia.filters.box_blur(frames, (side, side))
    return blurred


def median_blur(frames: Tensor, size: int) -> Tensor:
    """Take medians over a square with a side in pixels of 128."""
    side = _odd(size, frames)
    blurred: Tensor = kornia.filters.median_blur(frames, (side, side))
    return blurred


def motion_blur(frames: Tensor, size: int, angle: float, direction: float) -> Tensor:
    """Blur along a line, its length in pixels of 128.

    Args:
        frames: (frames, 3, S, S).
        size: Length of the line.
        angle: Degrees.
        direction: The end of the line with the largest weight, −1 to 1.
    """
    length = max(_odd(size, frames), 3)
    blurred: Tensor = kornia.filters.motion_blur(frames, length, angle, direction)
    return blurred


def add_noise(frames: Tensor, kind: str, scale: float, *, per_channel: bool) -> Tensor:
    """Add the same noise to all frames.

    Args:
        frames: (frames, 3, S, S).
        kind: ``gaussian``, ``laplace`` or ``poisson``.
        scale: Deviation, scale or rate, grey levels.
        per_channel: Draw for each colour anew.
    """
    shape = (3 if per_channel else 1, *frames.shape[2:])
    if kind == "gaussian":
        noise = torch.randn(shape, device=frames.device) * scale
    elif kind == "laplace":
        half = torch.rand(shape, device=frames.device) - 0.5
        noise = -scale * half.sign() * torch.log1p(-2 * half.abs())
    else:
        noise = torch.poisson(torch.full(shape, scale, device=frames.device))
    return (frames + noise / 255.0).clamp(0.0, 1.0)


def crop_resize(frames: Tensor, most: float) -> Tensor:
    """Crop at random, by up to a share of the side, and enlarge the rest to the full size."""
    share = 1.0 - uniform(0.0, most)
    down, right = uniform(share - 1, 1 - share), uniform(share - 1, 1 - share)
    theta = torch.tensor([[share, 0.0, right], [0.0, share, down]], device=frames.device)
    grid = F.affine_grid(theta.expand(len(frames), 2, 3), list(frames.shape), align_corners=False)
    return F.grid_sample(frames, grid, padding_mode="border", align_corners=False)


def _grey(frames: Tensor) -> Tensor:
    luma = torch.tensor(_LUMA, device=frames.device).view(1, 3, 1, 1)
    return (frames * luma).sum(1, keepdim=True).expand_as(frames)


def _odd(size: int, frames: Tensor) -> int:
    """Shrink a size with the image and make it odd."""
    return 2 * round((size * frames.shape[-1] / _FULL_SIZE - 1) / 2) + 1 if size > 1 else 1


def shift_images(images: Tensor, pixels: int) -> Tensor:
    """Shift the images of each camera and sample at random, repeating the border.

    All frames of one camera in one sample shift alike, so motion between them stays. Random shifts
    are the pad-and-crop augmentation of DrQ (Kostrikov et al. 2020, arXiv 2004.13649). They are
    drawn from torch's global generator.

    Args:
        images: (B, history, cameras, 3, S, S).
        pixels: Largest shift in each direction; 0 returns the images as they are.
    """
    if pixels == 0:
        return images
    batch, _, cameras, _, size, _ = images.shape
    positions = torch.arange(size, device=images.device)
    shifts = torch.randint(-pixels, pixels + 1, (2, batch, cameras), device=images.device)
    rows, columns = (positions + shifts[..., None]).clamp(0, size - 1)  # each (B, cameras, S)
    sample = torch.arange(batch, device=images.device)[:, None, None, None]
    camera = torch.arange(cameras, device=images.device)[None, :, None, None]
    # (B, cameras, S, S, history, 3): indices beside slices come first.
    picked = images.movedim((1, 3), (4, 5))[
        sample, camera, rows[..., :, None], columns[..., None, :]
    ]
    return picked.movedim((4, 5), (1, 3)).contiguous()
