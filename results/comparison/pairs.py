"""Two of several runs on the episodes that all of them share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from results.records import EpisodeKey, EpisodeRecord
from results.statistics.intervals import Estimate, difference_interval
from results.statistics.power import (
    ALPHA,
    detectable_difference_paired,
    episodes_needed,
    episodes_needed_paired,
)
from results.statistics.significance import PairCounts, compact_letters, holm, mcnemar

Outcomes = Mapping[EpisodeKey, bool]
"""Whether each episode that counts succeeded."""


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
        """Whether they differ at level ``ALPHA``, all pairs taken together."""
        return self.adjusted <= ALPHA


def outcomes_of(records: Iterable[EpisodeRecord], suite: str) -> dict[EpisodeKey, bool]:
    """Return the outcomes of a suite's episodes, True for a success, errors left out.

    Args:
        records: The last attempt of each episode.
        suite: Name of the suite.
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
    """Compare each pair of runs, given their outcomes in one suite, on the shared episodes."""
    keys = shared_keys(runs)
    pairs = list(combinations(range(len(runs)), 2))
    counts = [total(counts_by_task(runs[a], runs[b], keys).values()) for a, b in pairs]
    p_values = [mcnemar(pair.only_a, pair.only_b) for pair in counts]
    return [
        Contrast(a=a, b=b, counts=pair, p=p, adjusted=adjusted)
        for (a, b), pair, p, adjusted in zip(pairs, counts, p_values, holm(p_values), strict=True)
    ]


def letters_of(runs: Sequence[Outcomes], contrasts: Iterable[Contrast]) -> list[str]:
    """Give runs letters: those that share one are not told apart.

    Args:
        runs: Outcomes in one suite.
        contrasts: Their contrasts.

    Returns:
        The letters of each run, a for the best.
    """
    keys = shared_keys(runs)
    order = sorted(range(len(runs)), key=lambda run: -sum(runs[run][key] for key in keys))
    indices = {run: index for index, run in enumerate(order)}
    different = [(indices[c.a], indices[c.b]) for c in contrasts if c.different]
    letters = compact_letters(len(runs), different)
    return [letters[indices[run]] for run in range(len(runs))]


LatestRecords = Mapping[EpisodeKey, EpisodeRecord]
"""The last attempt of each episode of a run on one suite."""


@dataclass(frozen=True, kw_only=True)
class Flip:
    """An episode that two runs end differently."""

    key: EpisodeKey
    """The episode."""

    task_name: str
    """Name of its task."""

    winner: int
    """Position of the run that succeeded."""

    steps: tuple[int, int]
    """Steps of the one run and of the other."""

    videos: tuple[Path | None, Path | None]
    """Video of the one run and of the other, where there is one."""


@dataclass(frozen=True, kw_only=True)
class TaskComparison:
    """Two runs on one task."""

    task: int
    """Index of the task."""

    name: str
    """Its name."""

    counts: PairCounts
    """Shared episodes by who succeeded."""

    adjusted: float
    """McNemar's exact p-value, Holm-corrected for all tasks."""


@dataclass(frozen=True, kw_only=True)
class PairComparison:
    """Two of the runs on one suite."""

    contrast: Contrast
    """Their counts, and whether they are told apart."""

    interval: Estimate
    """95 % interval of the difference of the rates, B less A."""

    detectable: float | None
    """Smallest difference that so many shared episodes show with as many flips."""

    needed_shared: int | None
    """Shared episodes that would show the observed difference; None if it is 0 or hopeless."""

    needed_independent: int | None
    """Episodes that each of two independent runs would need for it."""

    tasks: tuple[TaskComparison, ...]
    """The breakdown by task."""

    flips: tuple[Flip, ...]
    """The episodes that end differently."""


def compare_pair(
    contrast: Contrast,
    outcomes: Sequence[Outcomes],
    latest: Sequence[LatestRecords],
    folders: Sequence[Path],
    keys: Sequence[EpisodeKey],
) -> PairComparison:
    """Compare two of several runs in detail.

    Args:
        contrast: The two runs and their counts.
        outcomes: Outcomes of every run.
        latest: Records of every run.
        folders: Folder of every run.
        keys: Episodes that all runs have; at least one.
    """
    by_task = counts_by_task(outcomes[contrast.a], outcomes[contrast.b], keys)
    names = {key.task: latest[contrast.a][key].task_name for key in keys}
    adjusted = holm([mcnemar(task.only_a, task.only_b) for task in by_task.values()])
    counts = contrast.counts
    n, difference = counts.episodes, counts.difference
    flipped = counts.flipped / n
    rates = [(counts.both + only) / n for only in (counts.only_a, counts.only_b)]
    return PairComparison(
        contrast=contrast,
        interval=difference_interval(list(by_task.values())),
        detectable=detectable_difference_paired(n, flipped),
        needed_shared=episodes_needed_paired(difference, flipped) if difference else None,
        needed_independent=episodes_needed(*rates) if difference else None,
        tasks=tuple(
            TaskComparison(task=task, name=names[task], counts=task_counts, adjusted=p)
            for (task, task_counts), p in zip(by_task.items(), adjusted, strict=True)
        ),
        flips=tuple(
            _flip(key, contrast, latest, folders)
            for key in keys
            if outcomes[contrast.a][key] != outcomes[contrast.b][key]
        ),
    )


def _flip(
    key: EpisodeKey, contrast: Contrast, latest: Sequence[LatestRecords], folders: Sequence[Path]
) -> Flip:
    a, b = latest[contrast.a][key], latest[contrast.b][key]
    return Flip(
        key=key,
        task_name=a.task_name,
        winner=contrast.a if a.outcome == "success" else contrast.b,
        steps=(a.steps, b.steps),
        videos=(_video(folders[contrast.a], a), _video(folders[contrast.b], b)),
    )


def _video(folder: Path, record: EpisodeRecord) -> Path | None:
    if record.video is None or not (folder / record.video).is_file():
        return None
    return folder / record.video
