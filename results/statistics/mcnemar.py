"""Whether two runs differ on the same episodes: McNemar's test, exact."""

from typing import NamedTuple

from scipy.stats import binomtest

from results.errors import ResultsError


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
    """Return the p-value of McNemar's exact test.

    If two runs are equally good, an episode that only one of them wins is a fair coin; episodes
    that both win or both lose say nothing. How hard tasks are makes no difference.

    Args:
        only_a: Episodes that only the one run won.
        only_b: Episodes that only the other won.

    Returns:
        The two-sided p-value; 1 if no outcome differs.

    Raises:
        ResultsError: A number is negative.
    """
    if only_a < 0 or only_b < 0:
        raise ResultsError(f"{only_a} and {only_b} flipped episodes: give numbers from 0.")
    flipped = only_a + only_b
    return float(binomtest(only_b, flipped).pvalue) if flipped else 1.0
