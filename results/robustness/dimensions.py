"""Success in each dimension of perturbation, with Total and mean of seven.

Intervals are clustered by base task. Total is LIBERO-Plus's: the mean over all tasks of a suite, so
that a dimension with more tasks counts for more. The mean of seven gives each dimension the same
weight. Both need every dimension whole.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from results.records import EpisodeRecord, RunInfo, RunRecords
from results.robustness.episodes import (
    base_of,
    counted,
    is_perturbed,
    policy_of,
    rate_of,
    unperturbed_records,
    unperturbed_suite,
)
from results.robustness.paraphrases import pride
from results.statistics.clusters import ClusteredRate, Trial, clustered_rate

DIMENSIONS = ("camera", "robot", "language", "light", "background", "noise", "layout")
"""LIBERO-Plus's, in the order of its tables."""

PLUS_TASKS = {
    "libero_spatial": (376, 350, 390, 292, 258, 351, 385),
    "libero_object": (396, 398, 354, 297, 248, 422, 403),
    "libero_goal": (408, 409, 410, 279, 281, 379, 425),
    "libero_10": (419, 393, 383, 274, 289, 449, 312),
}
"""How many tasks LIBERO-Plus has in each dimension: 10,030 in all."""


@dataclass(frozen=True, kw_only=True)
class PerturbedRow:
    """One policy on perturbed tasks of one suite, or of several together."""

    label: str
    """Name of the run."""

    suites: tuple[str, ...]
    """Names of the suites."""

    perturbation: str | None
    """The perturbation, where all episodes have the same."""

    unperturbed: ClusteredRate | None
    """Success of the same policy on the same base tasks as they are; None if it was not run."""

    dimensions: Mapping[str, ClusteredRate]
    """Success in each dimension that has an episode which counts, in order."""

    all_episodes: ClusteredRate
    """Success over all perturbed episodes of the row."""

    total: ClusteredRate | None
    """Total, as LIBERO-Plus has it; None where tasks are missing."""

    mean: ClusteredRate | None
    """Mean of the seven dimensions; None where one is missing or incomplete."""

    pride: ClusteredRate | None
    """PRIDE, in [0, 1]; None where the words have no distances."""

    notes: tuple[str, ...]
    """What a reader must know of the row."""

    @property
    def suite(self) -> str:
        """The suites in a word or two."""
        return self.suites[0] if len(self.suites) == 1 else f"{len(self.suites)} suites"


def perturbed_rows(runs: Iterable[RunRecords]) -> list[PerturbedRow]:
    """Return a row for each run and suite with perturbed episodes, policy by policy.

    A policy with runs on several suites of LIBERO-Plus, none of whose dimensions overlap, has a row
    over all of them as well.
    """
    runs = list(runs)
    policies: dict[str, list[_Part]] = {}
    for info, records in runs:
        for suite in info.suites:
            perturbed = [r for r in records if r.suite == suite and is_perturbed(r)]
            if counted(perturbed):
                policies.setdefault(policy_of(info), []).append((info, suite, perturbed))
    rows = []
    for parts in policies.values():
        rows += [_row([part], runs) for part in parts]
        together = [part for part in parts if _is_plus(part[1])]
        if len({suite for _, suite, _ in together}) > 1 and not _overlap(together):
            rows.append(_row(together, runs))
    return rows


def dimension_names(rows: Iterable[PerturbedRow]) -> list[str]:
    """Return the dimensions of rows: LIBERO-Plus's in its order, then others by name."""
    present = {name for row in rows for name in row.dimensions}
    return [name for name in DIMENSIONS if name in present] + sorted(present - set(DIMENSIONS))


def by_dimension(records: Iterable[EpisodeRecord]) -> dict[str, list[EpisodeRecord]]:
    """Group perturbed episodes by dimension, in the order of ``dimension_names``."""
    groups: dict[str, list[EpisodeRecord]] = {}
    for record in records:
        groups.setdefault(record.dimension or "paraphrase", []).append(record)
    order = [name for name in DIMENSIONS if name in groups]
    return {name: groups[name] for name in (*order, *sorted(set(groups) - set(order)))}


_Part = tuple[RunInfo, str, Sequence[EpisodeRecord]]
"""A run, a suite of it, and the perturbed episodes of that suite."""


def _row(parts: Sequence[_Part], runs: Sequence[RunRecords]) -> PerturbedRow:
    infos = [info for info, _, _ in parts]
    records = [record for _, _, group in parts for record in group]
    groups = by_dimension(counted(records))
    rates = {name: rate_of(group) for name, group in groups.items()}
    texts = {record.perturbation for record in records}
    every = rate_of(records)
    assert every is not None, "an episode counts"
    complete = all(len(counted(group)) >= info.expected_of(suite) for info, suite, group in parts)
    whole = complete and set(groups) >= set(DIMENSIONS) and not _offline_only(infos)
    return PerturbedRow(
        label=infos[0].name,
        suites=tuple(dict.fromkeys(suite for _, suite, _ in parts)),
        perturbation=texts.pop() if len(texts) == 1 else None,
        unperturbed=rate_of(unperturbed_records(runs, policy_of(infos[0]), map(base_of, records))),
        dimensions={name: rate for name, rate in rates.items() if rate is not None},
        all_episodes=every,
        total=every if whole and _has_every_task(records) else None,
        mean=_mean(groups) if whole else None,
        pride=pride(records) if complete else None,
        notes=tuple(_notes(infos, complete)),
    )


def _mean(groups: Mapping[str, Sequence[EpisodeRecord]]) -> ClusteredRate:
    """Return the mean over dimensions: an episode counts for one part in its dimension's number."""
    return clustered_rate(
        Trial(base_of(record), record.outcome == "success", 1.0 / len(groups[name]))
        for name in DIMENSIONS
        for record in groups[name]
    )


def _has_every_task(records: Sequence[EpisodeRecord]) -> bool:
    """Whether the tasks are all that LIBERO-Plus has, in every suite that there is one of."""
    tasks = {(unperturbed_suite(r.suite), r.dimension, r.task_name) for r in records}
    counts = Counter((suite, dimension) for suite, dimension, _ in tasks)
    return all(
        suite in PLUS_TASKS
        and tuple(counts[suite, dimension] for dimension in DIMENSIONS) == PLUS_TASKS[suite]
        for suite in {suite for suite, _ in counts}
    )


def _offline_only(infos: Iterable[RunInfo]) -> bool:
    return any(bool(info.config.get("offline_only")) for info in infos)


def _notes(infos: Sequence[RunInfo], complete: bool) -> list[str]:
    notes = [] if complete else ["incomplete"]
    if _offline_only(infos):
        notes.append("offline only: no Total")
    bases = {tuple(some) for info in infos if (some := info.config.get("base_tasks"))}
    notes += [f"base tasks {', '.join(map(str, some))} alone" for some in sorted(bases)]
    parts = {part for info in infos if (part := info.config.get("per_base"))}
    notes += [f"{part} of each base task and dimension" for part in sorted(parts)]
    return notes


def _is_plus(suite: str) -> bool:
    return suite == (base := f"{unperturbed_suite(suite)}_plus") or suite.startswith(f"{base}_")


def _overlap(parts: Sequence[_Part]) -> bool:
    """Whether two runs have the same task, which would count twice."""
    tasks = [
        (unperturbed_suite(suite), name)
        for _, suite, records in parts
        for name in {record.task_name for record in records}
    ]
    return len(set(tasks)) < len(tasks)
