"""Corruptions of a camera's picture, in five kinds and ten levels, as LIBERO-Plus defines them.

The definitions are those of ``libero/libero/envs/env_wrapper.py`` of sylvestf/LIBERO-plus, which
takes them from ImageNet-C (Hendrycks & Dietterich, 2019) with other constants. All results equal
that code's on the same processor, but for motion blur, which it leaves to ImageMagick: there up to
one value in a hundred differs, by one grey level. Pictures are corrupted as OpenGL gives them,
upside down.
"""

from math import ceil

import numpy as np
import numpy.typing as npt

from tasks.errors import ConfigError
from tasks.filters import add_enlarged, copy_neighbours, gaussian_filter, shifted_sum
from tasks.observation import FloatArray, Image
from tasks.perturbation import Noise

Random = np.random.RandomState

_MOTION = (
    *((5, 2), (8, 3), (10, 4), (12, 5), (15, 6)),
    *((18, 8), (20, 10), (25, 12), (30, 15), (35, 20)),
)
"""Radius and standard deviation by level, pixels."""
_MOTION_ANGLE = 45.0

_ZOOM = (
    *((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    *((1.36, 0.01), (1.41, 0.01), (1.46, 0.02), (1.51, 0.02), (1.56, 0.03)),
)
"""End and step of the factors, from 1, by level."""

_FOG = (
    *((0.5, 3.0), (1.0, 2.8), (1.5, 2.5), (2.0, 2.2), (2.5, 2.0)),
    *((3.0, 1.8), (3.5, 1.6), (4.0, 1.5), (4.5, 1.4), (5.0, 1.3)),
)
"""Density, and the decay of the fog's roughness from scale to scale, by level."""
FOG_SIZE = 256
"""Side of the fog that is drawn, pixels; larger pictures have none."""
_FOG_DRAWS = FOG_SIZE**2 - 1
_FOG_ROUGHNESS = 100.0

_GLASS = (
    *((0.5, 1, 3), (0.7, 1, 3), (0.9, 2, 3), (1.0, 2, 2), (1.1, 3, 2)),
    *((1.3, 3, 2), (1.5, 4, 2), (1.8, 4, 2), (2.2, 5, 1), (2.5, 5, 1)),
)
"""Standard deviation, largest displacement (pixels) and number of passes, by level."""


def corrupt(picture: Image, noise: Noise, random: Random) -> Image:
    """Return a corrupted picture.

    Args:
        picture: (H, W, 3) uint8, square.
        noise: The kind and level.
        random: Where its random numbers come from; they are drawn as upstream draws them.
    """
    level = noise.level - 1
    if noise.kind == "motion":
        return _motion(picture, *_MOTION[level], float(random.uniform(-45, _MOTION_ANGLE)))
    if noise.kind == "gaussian":
        return _truncated(gaussian_filter(picture / 255.0, float(noise.level)))
    if noise.kind == "zoom":
        return _zoom(picture, *_ZOOM[level])
    if noise.kind == "fog":
        return _fog(picture, *_FOG[level], random)
    return _glass(picture, *_GLASS[level], random)


def skip(noise: Noise, size: int, random: Random) -> None:
    """Draw what corrupting a picture draws, without one.

    Args:
        noise: The kind and level.
        size: Height and width of the pictures in pixels.
        random: The generator.
    """
    if noise.kind == "motion":
        random.random_sample()
    elif noise.kind == "fog":
        random.random_sample(_FOG_DRAWS)
    elif noise.kind == "glass":
        _, reach, passes = _GLASS[noise.level - 1]
        for _ in range(passes):
            _displacements(size, reach, random)


def check_size(noise: Noise, size: int) -> None:
    """Refuse pictures for which a corruption is not defined.

    Raises:
        ConfigError: It is fog, and they are larger than it.
    """
    if noise.kind == "fog" and size > FOG_SIZE:
        raise ConfigError(
            f"Fog is defined for pictures of up to {FOG_SIZE} pixels, and these have {size}. "
            f"Fix: give --resolution {FOG_SIZE}, or another kind of noise."
        )


def _truncated(values: FloatArray) -> Image:
    """Return values in [0, 1] as grey levels, cut and not rounded."""
    return np.asarray((np.clip(values, 0, 1) * 255).astype(np.uint8))


def _motion(picture: Image, radius: float, sigma: float, angle: float) -> Image:
    """Blur along a line, as ImageMagick's ``MotionBlurImage``, whose kernel has one side only."""
    steps = np.arange(2 * ceil(radius) + 1)
    weights = np.exp(-(steps**2) / (2.0 * sigma**2))
    theta = np.radians(angle)
    right = np.ceil(steps * np.cos(theta) - 0.5).astype(np.int64)
    down = np.ceil(steps * np.sin(theta) - 0.5).astype(np.int64)
    blurred = shifted_sum(picture, weights / weights.sum(), down, right)
    return np.asarray(np.floor(blurred + 1e-9).astype(np.uint8))


def _zoom(picture: Image, end: float, step: float) -> Image:
    """Average a picture with enlargements of its middle."""
    factors = np.arange(1, end, step)
    values = (picture / 255.0).astype(np.float32)
    total = np.zeros_like(values)
    for factor in factors:
        add_enlarged(values, float(factor), total)
    return _truncated((values + total) / (len(factors) + 1))


def _fog(picture: Image, density: float, decay: float, random: Random) -> Image:
    values = picture / 255.0
    brightest = values.max()
    height, width = values.shape[:2]
    values += density * _plasma(decay, random)[:height, :width, np.newaxis]
    return _truncated(values * brightest / (brightest + density))


def _plasma(decay: float, random: Random) -> FloatArray:
    """Draw a fractal by midpoint displacement on a torus, in [0, 1], (256, 256)."""
    field = np.zeros((FOG_SIZE, FOG_SIZE))
    step, roughness = FOG_SIZE, _FOG_ROUGHNESS
    while step >= 2:
        half = step // 2

        def displaced(total: FloatArray, roughness: float = roughness) -> FloatArray:
            moved = random.uniform(-roughness, roughness, total.shape)
            return np.asarray(total / 4 + roughness * moved)

        corners = field[::step, ::step]
        squares = corners + np.roll(corners, -1, axis=0)
        squares += np.roll(squares, -1, axis=1)
        field[half::step, half::step] = displaced(squares)
        centres = field[half::step, half::step]
        rows = centres + np.roll(centres, 1, axis=0)
        across = corners + np.roll(corners, -1, axis=1)
        field[::step, half::step] = displaced(rows + across)
        columns = centres + np.roll(centres, 1, axis=1)
        along = corners + np.roll(corners, -1, axis=0)
        field[half::step, ::step] = displaced(columns + along)
        step, roughness = half, roughness / decay
    field -= field.min()
    return np.asarray(field / field.max())


def _glass(picture: Image, sigma: float, reach: int, passes: int, random: Random) -> Image:
    """Blur, copy pixels from nearby, blur: upstream means to swap them, and its views copy."""
    blurred = np.asarray((gaussian_filter(picture / 255.0, sigma) * 255).astype(np.uint8))
    for _ in range(passes):
        copy_neighbours(blurred, _displacements(blurred.shape[0], reach, random), reach)
    return _truncated(gaussian_filter(blurred / 255.0, sigma))


def _displacements(size: int, reach: int, random: Random) -> npt.NDArray[np.int64]:
    """Draw where each pixel of a pass is copied from, (n, 2) as (right, down)."""
    return random.randint(-reach, reach, size=((size - 2 * reach) ** 2, 2))
