"""Augmentation of a batch's images, and a preview of it."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from policies.rdt.encoders.images import resize_frames
from tasks.demos.folders import find_demo_files
from tasks.demos.reader import read_demos
from tasks.observation import Image as Picture
from training.augmentation.photometric import (
    add_noise,
    average_blur,
    chance,
    choice,
    crop_resize,
    gaussian_blur,
    jitter,
    median_blur,
    motion_blur,
    shift_images,
    uniform,
)
from training.data_settings import AugmentationSettings

_MOST_NOISE = 12.75
_NOISES = ("gaussian", "laplace", "poisson")
_SIGMA = 3.0
_MOTION_LENGTHS = (3, 36)
"""Ranges of RDT's noise (grey levels) and blurs (pixels of 128)."""


def augment_images(images: Tensor, settings: AugmentationSettings) -> Tensor:
    """Augment images at random: each camera of each sample by itself, its frames alike.

    Args:
        images: (B, history, cameras, 3, S, S) uint8.
        settings: The augmentation; it draws from torch's global generator.

    Returns:
        Images of the same shape and dtype.
    """
    images = shift_images(images, settings.image_shift)
    if not (settings.crop or settings.photometric or settings.augment != "none"):
        return images
    changed = torch.empty_like(images)
    for sample in range(images.shape[0]):
        for camera in range(images.shape[2]):
            frames = images[sample, :, camera].float() / 255.0
            if settings.crop:
                frames = crop_resize(frames, settings.crop)
            if settings.augment == "official":
                frames = official_mix(frames)
            else:
                frames = _apply_chosen(frames, settings)
            changed[sample, :, camera] = (frames * 255.0).round().clamp(0, 255).to(torch.uint8)
    return changed


def official_mix(frames: Tensor) -> Tensor:
    """Augment frames (frames, 3, S, S) in [0, 1] as RDT's ``--image_aug`` does.

    With probability 1/2 it jitters colours, adds noise and blur, or both.
    """
    if not chance(0.5):
        return frames
    kind = choice(3)
    if kind != 0:
        frames = jitter(frames, 1.0)
    if kind != 1:
        for stage in torch.randperm(2).tolist():
            frames = _add_noise(frames) if stage == 0 else _blur(frames)
    return frames


def _add_noise(frames: Tensor) -> Tensor:
    kind = _NOISES[choice(len(_NOISES))]
    return add_noise(frames, kind, uniform(0.0, _MOST_NOISE), per_channel=chance(0.5))


def _blur(frames: Tensor) -> Tensor:
    if not chance(0.5):
        return frames
    if chance(0.5):
        return _motion_blur(frames)
    kind = choice(3)
    if kind == 0:
        return gaussian_blur(frames, uniform(0.0, _SIGMA))
    return average_blur(frames, 2 + choice(6)) if kind == 1 else median_blur(frames, 3 + choice(9))


def _motion_blur(frames: Tensor) -> Tensor:
    length = _MOTION_LENGTHS[0] + choice(_MOTION_LENGTHS[1] - _MOTION_LENGTHS[0] + 1)
    return motion_blur(frames, length, uniform(0.0, 360.0), uniform(-1.0, 1.0))


def _apply_chosen(frames: Tensor, settings: AugmentationSettings) -> Tensor:
    if settings.colour:
        frames = jitter(frames, settings.colour)
    if settings.blur and chance(settings.blur):
        frames = gaussian_blur(frames, uniform(0.0, _SIGMA))
    if settings.motion_blur and chance(settings.motion_blur):
        frames = _motion_blur(frames)
    if settings.pixel_noise:
        frames = add_noise(frames, "gaussian", uniform(0.0, settings.pixel_noise), per_channel=True)
    return frames


_MOMENTS = 3
_LEAST_SHOWN = 128
_GAP = 2


def draw_preview(
    demos: Path, out: Path, settings: AugmentationSettings, *, size: int, rows: int, seed: int = 0
) -> Path:
    """Draw a sheet of a demonstration's images: a row as recorded, then augmented ones.

    A column is a moment of the demonstration: of each camera the previous frame and the current.

    Args:
        demos: An HDF5 file, or a folder of them.
        out: The PNG to write.
        settings: The augmentation.
        size: Height and width of an image, pixels.
        rows: Number of rows.
        seed: Of the draws.

    Raises:
        ConfigError: There is no demonstration.
    """
    # Images only: which action belongs to them does not matter.
    demo = next(read_demos(find_demo_files(demos)[0], convention="before_action"))
    steps = np.linspace(1, demo.steps - 1, _MOMENTS).round().astype(int)
    cameras = [resize_frames(frames, size) for frames in demo.images.values()]
    history = [torch.stack([camera[[step - 1, step]] for camera in cameras], 1) for step in steps]
    images = torch.stack(history)  # (moments, 2, cameras, 3, S, S)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        drawn = [images, *(augment_images(images, settings) for _ in range(rows - 1))]
    scale = max(1, _LEAST_SHOWN // size)
    sheet = np.concatenate([_strip(row, scale) for row in drawn], axis=0)
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(out, format="PNG")
    return out


def _strip(images: torch.Tensor, scale: int) -> Picture:
    """Lay the images of a row side by side, with white gaps."""
    flat = images.transpose(1, 2).flatten(0, 2).permute(0, 2, 3, 1).numpy()
    large = flat.repeat(scale, axis=1).repeat(scale, axis=2)
    framed = np.pad(large, ((0, 0), (_GAP, _GAP), (_GAP, _GAP), (0, 0)), constant_values=255)
    strip: Picture = np.concatenate(list(framed), axis=1)
    return strip
