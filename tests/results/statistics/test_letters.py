import random
from itertools import combinations

import networkx
import pytest

from results.statistics import compact_letters


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
