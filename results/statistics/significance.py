"""Whether runs of the same episodes differ: McNemar's test, Holm's correction, letters."""

from collections.abc import Collection, Sequence
from string import ascii_lowercase
from typing import NamedTuple

import scipy  # its parts are imported when they are used

from tasks.errors import ResultsError


class PairCounts(NamedTuple):
    """Episodes that two runs, A and B, share, by who succeeded."""

    both: int
    """Both succeeded."""

    only_a: int
    """A succeeded and B failed."""

    only_b: int
    """B succeeded and A failed."""

    neither: int
    """Both failed."""

    @property
    def episodes(self) -> int:
        """How many episodes they share."""
        return sum(self)

    @property
    def flipped(self) -> int:
        """In how many the outcome differs."""
        return self.only_a + self.only_b

    @property
    def difference(self) -> float:
        """Rate of B less that of A, in [-1, 1]; 0 without an episode."""
        return (self.only_b - self.only_a) / self.episodes if self.episodes else 0.0


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided p-value of McNemar's exact test; 1 if no outcome differs.

    Between equally good runs, each is as likely to win an episode that only one of them wins.
    Episodes that both win or both lose do not count, so the tasks' difficulty does not matter.

    Args:
        only_a: Episodes that only the one run won.
        only_b: Episodes that only the other won.

    Raises:
        ResultsError: A number is negative.
    """
    if only_a < 0 or only_b < 0:
        raise ResultsError(f"{only_a} and {only_b} flipped episodes: give numbers from 0.")
    flipped = only_a + only_b
    return float(scipy.stats.binomtest(only_b, flipped).pvalue) if flipped else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values of one family of tests, adjusted to bound the chance of any false alarm.

    Holm (1979): the i-th smallest of m, counted from 0, is multiplied by m - i, and none may be
    smaller than one before it. It is uniformly more powerful than Bonferroni and, like it, holds
    for dependent tests, such as tests that share a run.

    Raises:
        ResultsError: A p-value is not in [0, 1].
    """
    if wrong := [p for p in p_values if not 0.0 <= p <= 1.0]:
        raise ResultsError(f"{wrong[0]} is no p-value: give numbers between 0 and 1.")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for i, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - i) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def compact_letters(count: int, different: Collection[tuple[int, int]]) -> list[str]:
    """Give each run letters, so that two runs share one exactly if they do not differ.

    Insert and absorb, of Piepho (2004), "An algorithm for a letter-based representation of
    all-pairwise comparisons": begin with one letter for all; for each pair that differs, split
    every letter that both have into one without the first and one without the second; drop letters
    whose runs all have another letter in common. The remaining letters are all largest groups
    without a difference, whatever the order of the pairs.

    Args:
        count: Number of runs; the first get the first letters.
        different: Pairs of runs that differ, each run by its number from 0.

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
        "".join(_letter(number) for number, group in enumerate(groups) if run in group)
        for run in range(count)
    ]


def _letter(number: int) -> str:
    again, index = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[index] + (str(again + 1) if again else "")
