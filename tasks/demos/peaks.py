"""Peaks of a series, as ``scipy.signal.find_peaks`` finds them.

That module imports a large part of SciPy, which would take a second of every process that collects.
"""

import numpy as np

from tasks.observation import FloatArray


def find_peaks(values: FloatArray, *, prominence: float, distance: int) -> list[int]:
    """Return where a series has its peaks, in order; of a flat one its middle.

    Args:
        values: (T,).
        prominence: How far a peak rises at least above the higher of the two lowest values between
            it and a higher value on either side, or the end of the series.
        distance: Of peaks fewer steps apart than this the highest is kept, of equal ones the last.
    """
    peaks = _spaced(values, _local_maxima(values), distance)
    return [peak for peak in peaks if values[peak] - _saddle(values, peak) >= prominence]


def _local_maxima(values: FloatArray) -> list[int]:
    """Return the middles of the flat stretches that are higher than both their neighbours."""
    starts = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1)]
    levels = values[starts]
    inner = np.flatnonzero((levels[1:-1] > levels[:-2]) & (levels[1:-1] > levels[2:])) + 1
    return [int(starts[run] + starts[run + 1] - 1) // 2 for run in inner]


def _spaced(values: FloatArray, peaks: list[int], distance: int) -> list[int]:
    """Drop peaks that are too close to a higher one that is kept."""
    kept: list[int] = []
    for index in reversed(np.argsort(values[peaks])):
        if all(abs(peaks[index] - other) >= distance for other in kept):
            kept.append(peaks[index])
    return sorted(kept)


def _saddle(values: FloatArray, peak: int) -> float:
    """Return the higher of the lowest values on either side, as far as nothing is higher."""
    lowest = []
    for side in (values[peak::-1], values[peak:]):
        higher = np.flatnonzero(side > values[peak])
        lowest.append(side[: higher[0] if len(higher) else None].min())
    return float(max(lowest))
