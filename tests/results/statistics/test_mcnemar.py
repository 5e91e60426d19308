from math import comb

import pytest

from results.errors import ResultsError
from results.statistics import PairCounts, mcnemar


@pytest.mark.parametrize(("b", "c"), [(0, 1), (1, 5), (2, 12), (10, 10), (6, 0), (30, 12)])
def test_twice_the_tail_of_a_fair_coin(b: int, c: int) -> None:
    n = b + c
    tail = sum(comb(n, k) for k in range(min(b, c) + 1)) / 2**n
    assert mcnemar(b, c) == pytest.approx(min(1.0, 2.0 * tail))
    assert mcnemar(c, b) == mcnemar(b, c)


def test_five_flips_are_never_enough_and_six_can_be() -> None:
    assert mcnemar(0, 5) > 0.05 > mcnemar(0, 6)


def test_nothing_flipped_says_nothing() -> None:
    assert mcnemar(0, 0) == 1.0


def test_counts() -> None:
    pairs = PairCounts(both=20, only_a=5, only_b=15, neither=10)
    assert (pairs.episodes, pairs.flipped, pairs.difference) == (50, 20, 0.2)
    assert PairCounts(0, 0, 0, 0).difference == 0.0


def test_nonsense_is_refused() -> None:
    with pytest.raises(ResultsError, match="from 0"):
        mcnemar(-1, 3)
