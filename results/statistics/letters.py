"""Which of many runs cannot be told apart: the compact letter display."""

from collections.abc import Collection
from string import ascii_lowercase


def compact_letters(count: int, different: Collection[tuple[int, int]]) -> list[str]:
    """Give each run letters, so that two runs share one exactly if they do not differ.

    Insert and absorb, of Piepho (2004), "An algorithm for a letter-based representation of
    all-pairwise comparisons": begin with one letter for all; for each pair that differs, split
    every letter that both have into one without the first and one without the second; drop letters
    whose runs all have another letter in common. What remains are all largest groups without a
    difference, whatever the order of the pairs.

    Args:
        count: Number of runs, in the order in which letters are to come (best first).
        different: Pairs of runs, numbered from 0, that differ.

    Returns:
        The letters of each run, such as ``["a", "ab", "b"]``; after z come a2, b2, ….
    """
    groups = [frozenset(range(count))]
    for pair in different:
        split: list[frozenset[int]] = []
        for group in groups:
            split += [group - {run} for run in pair] if group.issuperset(pair) else [group]
        unique = list(dict.fromkeys(split))
        groups = [group for group in unique if not any(group < other for other in unique)]
    groups = sorted((group for group in groups if group), key=sorted)
    return [
        "".join(_letter(place) for place, group in enumerate(groups) if run in group)
        for run in range(count)
    ]


def _letter(place: int) -> str:
    again, index = divmod(place, len(ascii_lowercase))
    return ascii_lowercase[index] + (str(again + 1) if again else "")
