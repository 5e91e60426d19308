"""Peaks, compared with SciPy's."""

import numpy as np
import pytest
import scipy.signal

from tasks.demos.peaks import find_peaks


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("distance", [1, 2, 7])
@pytest.mark.parametrize("seed", range(20))
def test_peaks_are_scipys(seed: int, distance: int, rounded: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=rng.integers(4, 200)).cumsum()
    if rounded:
        values = np.round(values)  # flat stretches, and peaks of one height
    for prominence in (0.1, 1.0, 4.0):
        theirs, _ = scipy.signal.find_peaks(values, prominence=prominence, distance=distance)
        assert find_peaks(values, prominence=prominence, distance=distance) == theirs.tolist()


def test_a_series_without_a_peak() -> None:
    for values in (np.zeros(5), np.arange(5.0), np.array([1.0, 0.0, 0.0, 1.0])):
        assert find_peaks(values, prominence=0.0, distance=1) == []
