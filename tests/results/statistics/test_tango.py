from math import log, sqrt

import pytest
from scipy.optimize import minimize_scalar

from results.errors import ResultsError
from results.statistics import PairCounts, tango_interval
from results.statistics.tango import only_a_given, score


def test_the_example_of_the_paper() -> None:
    """Soft contact lenses, 44 patients, 90 %: Tango (1998), table II."""
    assert tango_interval(PairCounts(43, 0, 1, 0), 0.9) == pytest.approx((-0.037, 0.096), abs=5e-4)


@pytest.mark.parametrize("counts", [(20, 5, 15, 10), (0, 10, 3, 2), (80, 1, 9, 10)])
@pytest.mark.parametrize("difference", [-0.2, 0.0, 0.15])
def test_the_share_maximises_the_likelihood(
    counts: tuple[int, int, int, int], difference: float
) -> None:
    pairs = PairCounts(*counts)

    def surprise(share: float) -> float:
        rest = 1.0 - 2.0 * share - difference
        logs = zip(
            (pairs.only_a, pairs.only_b, pairs.both + pairs.neither),
            (share, share + difference, rest),
            strict=True,
        )
        return -sum(count * log(p) for count, p in logs)

    low, high = max(0.0, -difference) + 1e-9, (1.0 - difference) / 2.0 - 1e-9
    best = minimize_scalar(surprise, bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    assert only_a_given(pairs, difference) == pytest.approx(best.x, abs=1e-6)


def test_at_zero_it_is_mcnemars_statistic() -> None:
    assert score(PairCounts(20, 5, 15, 10), 0.0) == pytest.approx((15 - 5) / sqrt(20))


def test_the_ends_are_where_the_score_test_turns() -> None:
    pairs = PairCounts(20, 5, 15, 10)
    low, high = tango_interval(pairs)
    assert (score(pairs, low), score(pairs, high)) == pytest.approx((1.95996, -1.95996), abs=1e-4)
    assert low < pairs.difference < high
    assert tango_interval(pairs._replace(only_a=15, only_b=5)) == pytest.approx((-high, -low))


def test_it_does_not_collapse() -> None:
    same = tango_interval(PairCounts(50, 0, 0, 0))
    assert same.high == -same.low
    assert 0.05 < same.high < 0.1
    low, high = tango_interval(PairCounts(0, 0, 50, 0))
    assert (high, 0.8 < low < 1.0) == (1.0, True)
    assert tango_interval(PairCounts(0, 0, 0, 0)) == (-1.0, 1.0)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ResultsError, match="negative"):
        tango_interval(PairCounts(1, -1, 0, 0))
    with pytest.raises(ResultsError, match="confidence"):
        tango_interval(PairCounts(1, 1, 0, 0), 2.0)
