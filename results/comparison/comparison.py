"""Comparing runs on the episodes that all of them have."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from results.comparison.conditions import Conditions, conditions_of, values_in_words
from results.comparison.pairs import (
    Latest,
    Outcomes,
    Pair,
    contrasts_of,
    letters_of,
    outcomes_of,
    pair_of,
    shared_keys,
)
from results.errors import ResultsError
from results.folder import load_run
from results.records import EpisodeKey, EpisodeRecord, RunInfo
from results.statistics.intervals import Estimate, rate_interval


@dataclass(frozen=True, kw_only=True)
class Contender:
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

    contenders: tuple[Contender, ...]
    """The runs, in the order given."""

    pairs: tuple[Pair, ...]
    """Every pair of them."""

    conditions: Conditions
    """How the runs were made."""

    warnings: tuple[str, ...]
    """All that a reader must know first, the conditions' warnings included."""


Loaded = tuple[Path, RunInfo, Sequence[EpisodeRecord]]


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
    runs = [(path, *load_run(path)) for path in paths]
    infos = [info for _, info, _ in runs]
    tags = [_tag(place) for place in range(len(runs))]
    conditions = conditions_of(infos, tags)
    if conditions.protocols and not force:
        raise ResultsError(_other_protocols(conditions, tags))
    suites = [suite for suite in infos[0].suites if all(suite in info.suites for info in infos)]
    if not suites:
        shown = values_in_words([", ".join(info.suites) for info in infos], tags)
        raise ResultsError(f"The runs share no suite ({shown}): compare runs of the same suite.")
    found = [_compare_suite(runs, suite, tags, conditions) for suite in suites]
    shared = [comparison for comparison in found if comparison.keys]
    if not shared:
        raise ResultsError(_nothing_shared(runs, suites, tags))
    return shared


def _compare_suite(
    runs: Sequence[Loaded], suite: str, tags: Sequence[str], conditions: Conditions
) -> Comparison:
    outcomes = [outcomes_of(records, suite) for _, _, records in runs]
    latest = [{r.key: r for r in records if r.suite == suite} for _, _, records in runs]
    keys = shared_keys(outcomes)
    contrasts = contrasts_of(outcomes)
    letters = letters_of(outcomes, contrasts)
    contenders = [
        _contender(run, tag, letter, own, records, keys)
        for run, tag, letter, own, records in zip(
            runs, tags, letters, outcomes, latest, strict=True
        )
    ]
    names = {key.task: latest[0][key].task_name for key in keys}
    folders = [path for path, _, _ in runs]
    return Comparison(
        suite=suite,
        keys=tuple(keys),
        task_names=names,
        contenders=tuple(contenders),
        pairs=tuple(
            pair_of(contrast, outcomes, latest, folders, keys) for contrast in contrasts if keys
        ),
        conditions=conditions,
        warnings=(*conditions.warnings, *_warnings(runs, contenders, latest, keys, suite)),
    )


def _contender(
    run: Loaded,
    tag: str,
    letters: str,
    outcomes: Outcomes,
    latest: Latest,
    keys: Sequence[EpisodeKey],
) -> Contender:
    by_task: dict[int, list[bool]] = {}
    for key in keys:
        by_task.setdefault(key.task, []).append(outcomes[key])
    return Contender(
        tag=tag,
        name=run[1].name,
        folder=run[0],
        successes=sum(outcomes[key] for key in keys),
        interval=rate_interval([(sum(wins), len(wins)) for wins in by_task.values()]),
        by_task={task: sum(wins) for task, wins in by_task.items()},
        letters=letters,
        others=len(outcomes) - len(keys),
        errors=len(latest) - len(outcomes),
    )


def _warnings(
    runs: Sequence[Loaded],
    contenders: Sequence[Contender],
    latest: Sequence[Latest],
    keys: Sequence[EpisodeKey],
    suite: str,
) -> list[str]:
    warnings = []
    scenes = [{records[key].scene_hash for records in latest} - {None} for key in keys]
    if other := sum(len(hashes) > 1 for hashes in scenes):
        warnings.append(
            f"{other} of {len(keys)} shared episodes began in different scenes, so they are the "
            "same by name only."
        )
    for (_, info, _), each in zip(runs, contenders, strict=True):
        counted = len(keys) + each.others
        if counted < (expected := info.expected_of(suite)):
            broken = f", {each.errors} broke" if each.errors else ""
            warnings.append(f"{each.tag} is incomplete: {counted} of {expected} episodes{broken}.")
        if each.others:
            warnings.append(
                f"{each.others} episodes of {each.tag} are left out: not every run has them."
            )
    return warnings


def _other_protocols(conditions: Conditions, tags: Sequence[str]) -> str:
    shown = "; ".join(
        f"{each.name.removeprefix('protocol.')}: {values_in_words(each.values, tags)}"
        for each in conditions.protocols[:6]
    )
    return (
        f"The runs follow different protocols ({shown}), so their rates do not measure the same: "
        "run one of them again under the other's, or see them side by side with --force."
    )


def _nothing_shared(runs: Sequence[Loaded], suites: Iterable[str], tags: Sequence[str]) -> str:
    told = []
    for (_, _, records), tag in zip(runs, tags, strict=True):
        counted = [key for suite in suites for key in outcomes_of(records, suite)]
        tasks, states, seeds = (sorted({key[field] for key in counted}) for field in (1, 2, 3))
        told.append(
            f"{tag} has tasks {_few(tasks)}, initial states {_few(states)} and seeds {_few(seeds)}"
            if counted
            else f"{tag} has no episode that counts"
        )
    return (
        f"No episode is shared by all runs: {'; '.join(told)}. Give eval the same --tasks, "
        "--init-states and --seed."
    )


def _few(numbers: Sequence[object]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return shown + (f", … ({len(numbers)})" if len(numbers) > 5 else "")


def _tag(place: int) -> str:
    again, letter = divmod(place, 26)
    return chr(ord("A") + letter) + (str(again + 1) if again else "")
