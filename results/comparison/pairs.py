"""The episodes that several runs share, and how their outcomes compare."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from results.records import EpisodeKey, EpisodeRecord
from results.statistics import PairCounts, compact_letters, holm, mcnemar

Outcomes = Mapping[EpisodeKey, bool]
"""Whether each episode that counts succeeded."""

ALPHA = 0.05
"""Level at which runs are told apart, all pairs together."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Two of several runs on the episodes that all of them share."""

    a: int
    """Position of the one run among those given."""

    b: int
    """Position of the other."""

    counts: PairCounts
    """Episodes by who succeeded."""

    p: float
    """McNemar's exact p-value."""

    adjusted: float
    """The same after Holm's correction for all pairs."""

    @property
    def different(self) -> bool:
        """Whether the two are told apart."""
        return self.adjusted <= ALPHA


def outcomes_of(records: Iterable[EpisodeRecord], suite: str) -> dict[EpisodeKey, bool]:
    """Return the outcomes that count, errors left out.

    Args:
        records: The last attempt of each episode.
        suite: Only its episodes.

    Returns:
        By key, True for a success.
    """
    return {
        record.key: record.outcome == "success"
        for record in records
        if record.suite == suite and record.outcome != "error"
    }


def shared_keys(runs: Sequence[Outcomes]) -> list[EpisodeKey]:
    """Return the episodes that every run has, in the order of their keys."""
    return sorted(set.intersection(*(set(run) for run in runs))) if runs else []


def counts_by_task(a: Outcomes, b: Outcomes, keys: Iterable[EpisodeKey]) -> dict[int, PairCounts]:
    """Count shared episodes by who succeeded.

    Args:
        a: Outcomes of the one run.
        b: Outcomes of the other.
        keys: Episodes of one suite that both have.

    Returns:
        The counts of each task, in the order of the keys.
    """
    # In the order of the fields of PairCounts.
    fields = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
    tasks: dict[int, list[int]] = {}
    for key in keys:
        tasks.setdefault(key.task, [0, 0, 0, 0])[fields[a[key], b[key]]] += 1
    return {task: PairCounts(*counts) for task, counts in tasks.items()}


def total(counts: Iterable[PairCounts]) -> PairCounts:
    """Add up counts."""
    return PairCounts(*(sum(part) for part in zip(PairCounts(0, 0, 0, 0), *counts, strict=True)))


def contrasts_of(runs: Sequence[Outcomes]) -> list[Contrast]:
    """Compare every run with every other on the episodes that all of them share.

    Args:
        runs: Outcomes in one suite.

    Returns:
        A contrast for each pair.
    """
    keys = shared_keys(runs)
    pairs = list(combinations(range(len(runs)), 2))
    counts = [total(counts_by_task(runs[a], runs[b], keys).values()) for a, b in pairs]
    p_values = [mcnemar(each.only_a, each.only_b) for each in counts]
    return [
        Contrast(a=a, b=b, counts=each, p=p, adjusted=adjusted)
        for (a, b), each, p, adjusted in zip(pairs, counts, p_values, holm(p_values), strict=True)
    ]


def letters_of(runs: Sequence[Outcomes], contrasts: Iterable[Contrast]) -> list[str]:
    """Give runs letters: those that share one are not told apart.

    Args:
        runs: Outcomes in one suite.
        contrasts: What ``contrasts_of`` says of them.

    Returns:
        The letters of each run, a for the best.
    """
    keys = shared_keys(runs)
    order = sorted(range(len(runs)), key=lambda run: -sum(runs[run][key] for key in keys))
    places = {run: place for place, run in enumerate(order)}
    different = [(places[c.a], places[c.b]) for c in contrasts if c.different]
    letters = compact_letters(len(runs), different)
    return [letters[places[run]] for run in range(len(runs))]
