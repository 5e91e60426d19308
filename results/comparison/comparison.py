"""Comparing runs on the episodes that all of them have."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from results.comparison.pairs import (
    LatestRecords,
    Outcomes,
    PairComparison,
    compare_pair,
    contrasts_of,
    letters_of,
    outcomes_of,
    shared_keys,
)
from results.differences import RunConditions, conditions_of, describe_values
from results.folder import LoadedRun, load_run
from results.records import EpisodeKey
from results.statistics.intervals import Estimate, rate_interval
from tasks.errors import ResultsError


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """One of the runs that are compared, on one suite."""

    tag: str
    """A, B, … in the order given."""

    name: str
    """Name of the run."""

    folder: Path
    """Its folder."""

    successes: int
    """Successes among the shared episodes."""

    interval: Estimate
    """95 % interval of the rate."""

    by_task: Mapping[int, int]
    """Successes by task."""

    letters: str
    """Runs that share a letter are not told apart."""

    others: int
    """Episodes that count but that not all runs have."""

    errors: int
    """Episodes whose last attempt broke."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs on one suite."""

    suite: str
    """Name of the suite."""

    keys: tuple[EpisodeKey, ...]
    """The episodes that all runs have."""

    task_names: Mapping[int, str]
    """Names of the tasks of these episodes."""

    runs: tuple[ComparedRun, ...]
    """The runs, in the order given."""

    pairs: tuple[PairComparison, ...]
    """Every pair of them."""

    conditions: RunConditions
    """How the runs were made."""

    warnings: tuple[str, ...]
    """Warnings for the reader, those of the conditions included."""


def compare_runs(folders: Sequence[Path | str], *, force: bool = False) -> list[Comparison]:
    """Compare runs on the episodes that all of them have, errors left out.

    Args:
        folders: Two or more run folders; the first is A.
        force: Compare runs of different protocols too.

    Returns:
        A comparison for each suite that all runs have.

    Raises:
        ResultsError: A run cannot be read, is given twice, or they share no suite, no episode or,
            without ``force``, not the protocol.
    """
    paths = [Path(folder) for folder in folders]
    if len({path.resolve() for path in paths}) < max(len(paths), 2):
        raise ResultsError(
            f"{len(paths)} run folders given ({', '.join(map(str, paths))}): give two or more, "
            "each once."
        )
    runs = [LoadedRun(path, *load_run(path)) for path in paths]
    infos = [run.info for run in runs]
    for run in runs:
        if run.info.order_seed is not None and len(run.records) < run.info.expected_episodes:
            raise ResultsError(
                f"'{run.folder}' was stopped by libero-bench decide, so tests for a fixed number "
                "of episodes are wrong for it: see that comparison's own numbers."
            )
    tags = [_tag(index) for index in range(len(runs))]
    conditions = conditions_of(infos, tags)
    if conditions.protocols and not force:
        raise ResultsError(_other_protocols(conditions, tags))
    suites = [suite for suite in infos[0].suites if all(suite in info.suites for info in infos)]
    if not suites:
        values = describe_values([", ".join(info.suites) for info in infos], tags)
        raise ResultsError(f"The runs share no suite ({values}): compare runs of the same suite.")
    comparisons = [_compare_suite(runs, suite, tags, conditions) for suite in suites]
    shared = [comparison for comparison in comparisons if comparison.keys]
    if not shared:
        raise ResultsError(_nothing_shared(runs, suites, tags))
    return shared


def _compare_suite(
    loaded: Sequence[LoadedRun], suite: str, tags: Sequence[str], conditions: RunConditions
) -> Comparison:
    outcomes = [outcomes_of(run.records, suite) for run in loaded]
    latest = [{r.key: r for r in run.records if r.suite == suite} for run in loaded]
    keys = shared_keys(outcomes)
    contrasts = contrasts_of(outcomes)
    letters = letters_of(outcomes, contrasts)
    runs = [
        _compared_run(*run, keys)
        for run in zip(loaded, tags, letters, outcomes, latest, strict=True)
    ]
    folders = [run.folder for run in loaded]
    return Comparison(
        suite=suite,
        keys=tuple(keys),
        task_names={key.task: latest[0][key].task_name for key in keys},
        runs=tuple(runs),
        pairs=tuple(
            compare_pair(contrast, outcomes, latest, folders, keys)
            for contrast in contrasts
            if keys
        ),
        conditions=conditions,
        warnings=(
            *conditions.warnings,
            *_scene_warnings(latest, keys),
            *_episode_warnings(loaded, runs, len(keys), suite),
        ),
    )


def _compared_run(
    run: LoadedRun,
    tag: str,
    letters: str,
    outcomes: Outcomes,
    latest: LatestRecords,
    keys: Sequence[EpisodeKey],
) -> ComparedRun:
    by_task: dict[int, list[bool]] = {}
    for key in keys:
        by_task.setdefault(key.task, []).append(outcomes[key])
    return ComparedRun(
        tag=tag,
        name=run.info.name,
        folder=run.folder,
        successes=sum(outcomes[key] for key in keys),
        interval=rate_interval([(sum(wins), len(wins)) for wins in by_task.values()]),
        by_task={task: sum(wins) for task, wins in by_task.items()},
        letters=letters,
        others=len(outcomes) - len(keys),
        errors=len(latest) - len(outcomes),
    )


def _scene_warnings(latest: Sequence[LatestRecords], keys: Sequence[EpisodeKey]) -> Iterator[str]:
    scenes = [{records[key].scene_hash for records in latest} - {None} for key in keys]
    if other := sum(len(hashes) > 1 for hashes in scenes):
        yield (
            f"{other} of {len(keys)} shared episodes began in different scenes, so they are the "
            "same by name only."
        )


def _episode_warnings(
    loaded: Sequence[LoadedRun], runs: Sequence[ComparedRun], shared: int, suite: str
) -> Iterator[str]:
    for source, run in zip(loaded, runs, strict=True):
        counted = shared + run.others
        if counted < (expected := source.info.expected_of(suite)):
            broken = f", {run.errors} broke" if run.errors else ""
            yield f"{run.tag} is incomplete: {counted} of {expected} episodes{broken}."
        if run.others:
            yield f"{run.others} episodes of {run.tag} are left out: not every run has them."


def _other_protocols(conditions: RunConditions, tags: Sequence[str]) -> str:
    settings = "; ".join(
        f"{setting.name.removeprefix('protocol.')}: {describe_values(setting.values, tags)}"
        for setting in conditions.protocols[:6]
    )
    return (
        f"The runs follow different protocols ({settings}), so their rates do not measure the "
        "same: run one of them again under the other's, or see them side by side with --force."
    )


def _nothing_shared(runs: Sequence[LoadedRun], suites: Iterable[str], tags: Sequence[str]) -> str:
    descriptions = []
    for run, tag in zip(runs, tags, strict=True):
        counted = [key for suite in suites for key in outcomes_of(run.records, suite)]
        tasks, states, seeds = (sorted({key[field] for key in counted}) for field in (1, 2, 3))
        descriptions.append(
            f"{tag} has tasks {_few(tasks)}, initial states {_few(states)} and seeds {_few(seeds)}"
            if counted
            else f"{tag} has no episode that counts"
        )
    return (
        f"No episode is shared by all runs: {'; '.join(descriptions)}. Give eval the same --tasks, "
        "--init-states and --seed."
    )


def _few(numbers: Sequence[object]) -> str:
    first = ", ".join(map(str, numbers[:5]))
    return first + (f", … ({len(numbers)})" if len(numbers) > 5 else "")


def _tag(index: int) -> str:
    again, letter = divmod(index, 26)
    return chr(ord("A") + letter) + (str(again + 1) if again else "")
