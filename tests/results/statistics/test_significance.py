import random
from itertools import combinations
from math import comb

import networkx
import pytest

from results.statistics.significance import PairCounts, compact_letters, holm, mcnemar
from tasks.errors import ResultsError


@pytest.mark.parametrize(("b", "c"), [(0, 1), (1, 5), (2, 12), (10, 10), (6, 0), (30, 12)])
def test_mcnemar_is_twice_the_tail_of_a_fair_coin(b: int, c: int) -> None:
    n = b + c
    tail = sum(comb(n, k) for k in range(min(b, c) + 1)) / 2**n
    assert mcnemar(b, c) == pytest.approx(min(1.0, 2.0 * tail))
    assert mcnemar(c, b) == mcnemar(b, c)


def test_five_flips_are_never_enough_and_six_can_be() -> None:
    assert mcnemar(0, 5) > 0.05 > mcnemar(0, 6)


def test_nothing_flipped_says_nothing() -> None:
    assert mcnemar(0, 0) == 1.0


def test_counts_of_pairs() -> None:
    pairs = PairCounts(both=20, only_a=5, only_b=15, neither=10)
    assert (pairs.episodes, pairs.flipped, pairs.difference) == (50, 20, 0.2)
    assert PairCounts(0, 0, 0, 0).difference == 0.0


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ResultsError, match="from 0"):
        mcnemar(-1, 3)


def test_known_values_of_holm() -> None:
    """What p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") of R gives."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_one_test_alone_needs_no_correction() -> None:
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_holm_steps_down_as_holm_described() -> None:
    p_values = [0.001, 0.012, 0.017, 0.02, 0.03, 0.6]
    adjusted = holm(p_values)
    rejected = 0
    for i, p in enumerate(sorted(p_values)):
        if p > 0.05 / (len(p_values) - i):
            break
        rejected += 1
    assert sum(p <= 0.05 for p in adjusted) == rejected == 1
    assert adjusted == sorted(adjusted)
    assert max(adjusted) <= 1.0


def test_holm_refuses_what_is_no_p_value() -> None:
    with pytest.raises(ResultsError, match="no p-value"):
        holm([0.5, 1.5])


def test_chains_share_letters() -> None:
    assert compact_letters(3, []) == ["a", "a", "a"]
    assert compact_letters(3, [(0, 2)]) == ["a", "ab", "b"]
    assert compact_letters(3, [(0, 1), (0, 2), (1, 2)]) == ["a", "b", "c"]
    assert compact_letters(4, [(0, 2), (0, 3), (1, 3)]) == ["a", "ab", "bc", "c"]
    assert compact_letters(1, []) == ["a"]
    assert compact_letters(0, []) == []


@pytest.mark.parametrize("seed", range(20))
def test_letters_are_the_largest_groups_without_a_difference(seed: int) -> None:
    """Including cases that no order of rates could give, as pairwise tests can."""
    source = random.Random(seed)
    count = source.randint(2, 9)
    pairs = list(combinations(range(count), 2))
    different = [pair for pair in pairs if source.random() < 0.5]
    letters = compact_letters(count, different)
    for a, b in pairs:
        assert bool(set(letters[a]) & set(letters[b])) == ((a, b) not in different)

    alike = networkx.Graph()
    alike.add_nodes_from(range(count))
    alike.add_edges_from(set(pairs) - set(different))
    groups = {frozenset(clique) for clique in networkx.find_cliques(alike)}
    names = sorted(set("".join(letters)))
    assert {frozenset(i for i in range(count) if name in letters[i]) for name in names} == groups

    source.shuffle(different)
    assert compact_letters(count, [(b, a) for a, b in different]) == letters


def test_letters_go_on_after_z() -> None:
    letters = compact_letters(28, list(combinations(range(28), 2)))
    assert letters[24:] == ["y", "z", "a2", "b2"]
