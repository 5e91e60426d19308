import numpy as np
import pytest

from results.errors import ResultsError
from results.statistics import (
    PairCounts,
    difference_bootstrap,
    rate_bootstrap,
    rate_interval,
    wilson_interval,
)

UNEVEN = [(10, 50), (20, 50), (25, 50), (30, 50), (35, 50), (40, 50), (45, 50), (48, 50), (50, 50)]


def drawn_again(tasks: list[np.ndarray], draws: int = 20_000) -> tuple[float, float]:
    """The textbook's way: draw episodes with replacement within each task, many times."""
    random = np.random.default_rng(11)
    total = np.zeros(draws)
    for outcomes in tasks:
        total += outcomes[random.integers(len(outcomes), size=(draws, len(outcomes)))].sum(axis=1)
    low, high = np.percentile(total / sum(map(len, tasks)), [2.5, 97.5])
    return float(low), float(high)


def test_a_rate_agrees_with_drawing_episodes_anew() -> None:
    tasks = [np.repeat([1, 0], [k, n - k]) for k, n in UNEVEN]
    assert rate_bootstrap(UNEVEN) == pytest.approx(drawn_again(tasks), abs=1.1 / 450)


def test_a_difference_agrees_with_drawing_episodes_anew() -> None:
    counts = [PairCounts(20, 5, 15, 10), PairCounts(0, 2, 20, 8), PairCounts(30, 9, 3, 8)]
    tasks = [np.repeat([0, -1, 1], [c.both + c.neither, c.only_a, c.only_b]) for c in counts]
    found = difference_bootstrap(counts)
    assert found == pytest.approx(drawn_again(tasks), abs=1.1 / sum(c.episodes for c in counts))
    mirrored = difference_bootstrap([c._replace(only_a=c.only_b, only_b=c.only_a) for c in counts])
    assert mirrored == pytest.approx((-found.high, -found.low))


def test_the_order_of_tasks_changes_nothing() -> None:
    assert rate_bootstrap(UNEVEN[::-1]) == rate_bootstrap(UNEVEN)


def test_it_collapses_where_all_outcomes_are_the_same() -> None:
    assert rate_bootstrap([(5, 5), (0, 5)]) == (0.5, 0.5)
    assert difference_bootstrap([PairCounts(5, 0, 0, 5)]) == (0.0, 0.0)


def test_coverage_on_ten_uneven_tasks() -> None:
    random = np.random.default_rng(3)
    rates = np.array([0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0])
    truth, repetitions = rates.mean(), 2000
    covered, width = 0, 0.0
    for wins in random.binomial(50, rates, size=(repetitions, 10)):
        low, high, method = rate_interval([(int(k), 50) for k in wins])
        assert method == "bootstrap by task"
        covered += low <= truth <= high
        width += (high - low) / repetitions
    assert 0.93 <= covered / repetitions <= 0.97
    # All episodes from one urn would be a fifth less sure.
    pooled = wilson_interval(round(500 * truth), 500)
    assert 1.15 <= (pooled.high - pooled.low) / width <= 1.3


def test_nonsense_is_refused() -> None:
    with pytest.raises(ResultsError, match="6 successes of 5"):
        rate_bootstrap([(6, 5)])
    with pytest.raises(ResultsError, match="negative"):
        difference_bootstrap([PairCounts(1, -1, 0, 0)])
    for nothing in ([], [(0, 0)]):
        with pytest.raises(ResultsError, match="no episode"):
            rate_bootstrap(nothing)
    with pytest.raises(ResultsError, match=r"0\.95"):
        rate_bootstrap(UNEVEN, 95)
