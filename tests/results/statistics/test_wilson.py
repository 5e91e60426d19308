from math import sqrt

import pytest

from results.errors import ResultsError
from results.statistics import wilson_interval


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(45, 50, 0.786, 0.957), (475, 500, 0.927, 0.966)]
)
def test_known_intervals(k: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(k, n) == pytest.approx((low, high), abs=5e-4)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 10), (10, 10), (3, 7), (499, 500)])
def test_agrees_with_the_formula_of_1927(k: int, n: int) -> None:
    z = 1.959963984540054
    p = k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = (max(0.0, middle - half), min(1.0, middle + half))
    assert wilson_interval(k, n) == pytest.approx(expected, abs=1e-9)


def test_nothing_known_without_episodes() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_more_confidence_is_wider() -> None:
    assert wilson_interval(8, 10, 0.99).low < wilson_interval(8, 10, 0.9).low


@pytest.mark.parametrize(("k", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 95.0)])
def test_refuses_nonsense(k: int, n: int, confidence: float) -> None:
    with pytest.raises(ResultsError, match="give"):
        wilson_interval(k, n, confidence)
