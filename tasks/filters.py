"""Filters of pictures in compiled code, equal to SciPy's to the last bit and several times faster.

Every output is summed in SciPy's order: floating-point sums depend on it. Only the order of outputs
differs, so that whole rows are computed at once.
"""

from math import ceil

import numpy as np
import numpy.typing as npt
from numba import njit

from tasks.observation import FloatArray, Image

_TRUNCATE = 4.0

IntArray = npt.NDArray[np.int64]
FloatArray32 = npt.NDArray[np.float32]


def gaussian_filter(values: FloatArray, sigma: float) -> FloatArray:
    """Blur each channel, edges continued, as ``scipy.ndimage.gaussian_filter``.

    Args:
        values: (H, W, C) float64.
        sigma: Standard deviation, pixels.
    """
    radius = int(_TRUNCATE * sigma + 0.5)
    steps = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 / (sigma * sigma) * steps**2)
    half = np.ascontiguousarray((weights / weights.sum())[: radius + 1])
    height, width, channels = values.shape
    blurred = np.empty((height, width * channels))
    _blur_columns(np.ascontiguousarray(values).reshape(height, -1), half, blurred)
    result = np.empty_like(blurred)
    _blur_rows(blurred, half, channels, result)
    return result.reshape(height, width, channels)


@njit(cache=True)
def _blur_columns(values, half, out):  # type: ignore[no-untyped-def]
    """Correlate each column with a symmetric kernel of which ``half`` ends at the middle."""
    height, radius = values.shape[0], len(half) - 1
    for row in range(height):
        line = out[row]
        line[:] = values[row] * half[radius]
        for away in range(radius, 0, -1):
            above, below = values[max(row - away, 0)], values[min(row + away, height - 1)]
            weight = half[radius - away]
            for at in range(len(line)):
                line[at] += (above[at] + below[at]) * weight


@njit(cache=True)
def _blur_rows(values, half, channels, out):  # type: ignore[no-untyped-def]
    """Correlate each row, channel by channel; rows hold pixels with all their channels."""
    height, length = values.shape
    radius = len(half) - 1
    pad = radius * channels
    padded = np.empty(length + 2 * pad)
    for row in range(height):
        for channel in range(channels):
            padded[channel:pad:channels] = values[row, channel]
            padded[pad + length + channel :: channels] = values[row, length - channels + channel]
        padded[pad : pad + length] = values[row]
        line = out[row]
        line[:] = values[row] * half[radius]
        for away in range(radius, 0, -1):
            left = padded[pad - away * channels :]
            right = padded[pad + away * channels :]
            weight = half[radius - away]
            for at in range(length):
                line[at] += (left[at] + right[at]) * weight


def shifted_sum(picture: Image, weights: FloatArray, down: IntArray, right: IntArray) -> FloatArray:
    """Sum shifted copies of a picture, edges continued.

    Args:
        picture: (H, W, C) uint8.
        weights: (n,) float64, of each copy.
        down: (n,) int64, rows by which the copy's pixels lie lower.
        right: (n,) int64, columns by which they lie further right.

    Returns:
        (H, W, C) float64.
    """
    height, width, channels = picture.shape
    pad = int(np.abs(right).max())
    padded = np.pad(picture, ((0, 0), (pad, pad), (0, 0)), mode="edge").astype(np.float64)
    total = np.zeros((height, width * channels))
    starts = (pad + right) * channels
    _add_shifted(padded.reshape(height, -1), weights, down, starts, total)
    return total.reshape(height, width, channels)


@njit(cache=True)
def _add_shifted(padded, weights, down, starts, total):  # type: ignore[no-untyped-def]
    """Add up copies of rows that are long enough for all shifts."""
    height, length = total.shape
    for row in range(height):
        line = total[row]
        for copy in range(len(weights)):
            source = padded[min(max(row + down[copy], 0), height - 1), starts[copy] :]
            weight = weights[copy]
            for at in range(length):
                line[at] += weight * source[at]


@njit(cache=True)
def copy_neighbours(picture, displacements, reach):  # type: ignore[no-untyped-def]
    """Replace each pixel, from the lower right to the upper left, by one that is near it then.

    Args:
        picture: (H, W, C) uint8, changed in place.
        displacements: ((H − 2·reach)·(W − 2·reach), 2) int64: where from, (right, down).
        reach: The largest displacement; as many pixels at the edges stay.
    """
    height, width, channels = picture.shape
    count = 0
    for row in range(height - reach, reach, -1):
        for column in range(width - reach, reach, -1):
            right, down = displacements[count]
            count += 1
            for channel in range(channels):
                picture[row, column, channel] = picture[row + down, column + right, channel]


def add_enlarged(values: FloatArray32, factor: float, total: FloatArray32) -> None:
    """Add the middle of a picture, enlarged to the picture's size, as ``scipy.ndimage.zoom`` does.

    Args:
        values: (S, S, C) float32.
        factor: At least 1.
        total: (S, S, C) float32, to which it is added.
    """
    size = len(values)
    crop = ceil(size / factor)
    top = (size - crop) // 2
    large = round(crop * factor)
    step = (crop - 1) / (large - 1) if large > 1 else 1.0
    places = (np.arange(size) + (large - size) // 2) * step
    inside = places <= crop - 1
    first = np.minimum(np.floor(places), crop - 1).astype(np.int64)
    _add_interpolated(
        values, top + first, top + np.minimum(first + 1, crop - 1), places - first, inside, total
    )


@njit(cache=True)
def _add_interpolated(values, first, second, part, inside, total):  # type: ignore[no-untyped-def]
    """Interpolate between two rows and two columns each, in double precision as SciPy does."""
    size, _, channels = values.shape
    for row in range(size):
        low = 1.0 - part[row]
        for column in range(size):
            if not (inside[row] and inside[column]):
                continue
            left = 1.0 - part[column]
            for channel in range(channels):
                value = values[first[row], first[column], channel] * low * left
                value += values[first[row], second[column], channel] * low * part[column]
                value += values[second[row], first[column], channel] * part[row] * left
                value += values[second[row], second[column], channel] * part[row] * part[column]
                total[row, column, channel] += np.float32(value)
