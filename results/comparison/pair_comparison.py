"""Two runs on the episodes that they share: how sure the difference is, and where it lies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from results.comparison.pairs import Contrast, Outcomes, counts_by_task
from results.records import EpisodeKey, EpisodeRecord
from results.statistics import (
    Estimate,
    PairCounts,
    detectable_difference_paired,
    difference_interval,
    episodes_needed,
    episodes_needed_paired,
    holm,
    mcnemar,
)

Latest = Mapping[EpisodeKey, EpisodeRecord]
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
class TaskContrast:
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
class Pair:
    """Two of the runs on one suite."""

    contrast: Contrast
    """Who they are, what they won, and whether they are told apart."""

    interval: Estimate
    """95 % interval of the difference of the rates, B less A."""

    detectable: float | None
    """Smallest difference that so many shared episodes show with as many flips."""

    needed_shared: int | None
    """Shared episodes that would show the observed difference; None if it is 0 or hopeless."""

    needed_independent: int | None
    """Episodes of each run that would, were they not the same episodes."""

    tasks: tuple[TaskContrast, ...]
    """The breakdown by task."""

    flips: tuple[Flip, ...]
    """The episodes that end differently."""


def pair_of(
    contrast: Contrast,
    outcomes: Sequence[Outcomes],
    latest: Sequence[Latest],
    folders: Sequence[Path],
    keys: Sequence[EpisodeKey],
) -> Pair:
    """Look at two of several runs.

    Args:
        contrast: Which two, and what they won.
        outcomes: Outcomes of every run.
        latest: Records of every run.
        folders: Folder of every run.
        keys: Episodes that all runs have; at least one.

    Returns:
        What there is to say of the two.
    """
    by_task = counts_by_task(outcomes[contrast.a], outcomes[contrast.b], keys)
    names = {key.task: latest[contrast.a][key].task_name for key in keys}
    adjusted = holm([mcnemar(each.only_a, each.only_b) for each in by_task.values()])
    counts = contrast.counts
    n, difference = counts.episodes, counts.difference
    flipped = counts.flipped / n
    rates = [(counts.both + only) / n for only in (counts.only_a, counts.only_b)]
    return Pair(
        contrast=contrast,
        interval=difference_interval(list(by_task.values())),
        detectable=detectable_difference_paired(n, flipped),
        needed_shared=episodes_needed_paired(difference, flipped) if difference else None,
        needed_independent=episodes_needed(*rates) if difference else None,
        tasks=tuple(
            TaskContrast(task=task, name=names[task], counts=each, adjusted=p)
            for (task, each), p in zip(by_task.items(), adjusted, strict=True)
        ),
        flips=tuple(
            _flip(key, contrast, latest, folders)
            for key in keys
            if outcomes[contrast.a][key] != outcomes[contrast.b][key]
        ),
    )


def _flip(
    key: EpisodeKey, contrast: Contrast, latest: Sequence[Latest], folders: Sequence[Path]
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
