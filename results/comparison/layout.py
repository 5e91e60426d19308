"""A comparison laid out for readers, the same in the terminal and in Markdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from results.comparison.comparison import ComparedRun, Comparison
from results.comparison.pairs import Flip, PairComparison
from results.formatting import brief_spans, short
from results.statistics.intervals import Estimate
from results.statistics.power import ALPHA, POWER


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Lines of text."""

    lines: tuple[str, ...]
    """The lines."""

    strong: bool = False
    """Whether they must not be overlooked."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table."""

    title: str
    """Its heading; empty without one."""

    header: tuple[str, ...]
    """Names of the columns."""

    lines: tuple[tuple[str, ...], ...]
    """The cells."""

    right: tuple[bool, ...]
    """Which columns are set to the right."""


Block = Paragraph | Grid

INDENT = "    "
"""Begins a line that belongs to the line before."""


def blocks_of(comparison: Comparison, flips: int | None = None) -> Iterator[Block]:
    """Lay a comparison out.

    Args:
        comparison: The runs on one suite.
        flips: How many flipped episodes are listed; all by default.

    Yields:
        Paragraphs and tables, in order.
    """
    tasks, episodes = brief_spans(comparison.task_names), len(comparison.keys)
    yield Paragraph(
        lines=(f"{comparison.suite} · tasks {tasks} · {episodes} episodes that all runs have",)
    )
    if comparison.warnings:
        yield Paragraph(lines=tuple(f"! {line}" for line in comparison.warnings), strong=True)
    yield _contenders(comparison)
    if comparison.conditions.settings:
        yield _settings(comparison)
    if len(comparison.pairs) == 1:
        yield from _one_pair(comparison, comparison.pairs[0], flips)
    else:
        yield from _many_pairs(comparison)


def _contenders(comparison: Comparison) -> Grid:
    many = len(comparison.pairs) > 1
    episodes = len(comparison.keys)
    methods = {run.interval.method for run in comparison.runs}
    lines = []
    for run in comparison.runs:
        cells = [run.tag, run.name, f"{100 * run.successes / episodes:.1f} %"]
        cells.append(
            _interval(run.interval) + ("" if len(methods) == 1 else f" {run.interval.method}")
        )
        cells += [run.letters] if many else []
        lines.append((*cells, f"{run.successes}/{episodes}", str(run.folder)))
    method = methods.pop() if len(methods) == 1 else "interval"
    header = ["", "run", "success", f"95 % {method}", *(["letter"] if many else []), "k/n"]
    right = [False, False, True, True, *([False] if many else []), True, False]
    return Grid(title="", header=(*header, "folder"), lines=tuple(lines), right=tuple(right))


def _settings(comparison: Comparison) -> Grid:
    tags = [run.tag for run in comparison.runs]
    lines = [
        (
            setting.name,
            *(value if isinstance(value, str) else short(value) for value in setting.values),
        )
        for setting in comparison.conditions.settings
    ]
    return Grid(
        title="What differs",
        header=("setting", *tags),
        lines=tuple(lines),
        right=(False,) * (len(tags) + 1),
    )


def _one_pair(comparison: Comparison, pair: PairComparison, flips: int | None) -> Iterator[Block]:
    a, b = comparison.runs
    counts = pair.contrast.counts
    better = b if counts.difference > 0 else a
    verdict = f"{better.tag} is better" if pair.contrast.different else "They are not told apart"
    yield Paragraph(
        lines=(
            f"{b.tag} − {a.tag}: {_points(counts.difference)} points, 95 % {pair.interval.method} "
            f"{_points(pair.interval.low)} to {_points(pair.interval.high)}.",
            f"{verdict}: p {_p(pair.contrast.p, sign='= ')} (McNemar's exact test).",
            f"Only {a.tag} succeeds in {counts.only_a} episodes, only {b.tag} in {counts.only_b}; "
            f"both in {counts.both}, neither in {counts.neither}.",
            *_power(pair),
        )
    )
    flipped = [task for task in pair.tasks if task.counts.flipped]
    if flipped and len(pair.tasks) > 1:
        rest = len(pair.tasks) - len(flipped)
        yield Grid(
            title="By task"
            + (f" ({rest} more, where both end every episode alike)" if rest else ""),
            header=(
                "task",
                "",
                a.tag,
                b.tag,
                "points",
                f"only {a.tag}",
                f"only {b.tag}",
                "p, Holm",
            ),
            lines=tuple(
                (
                    str(task.task),
                    task.name,
                    f"{task.counts.both + task.counts.only_a}/{task.counts.episodes}",
                    f"{task.counts.both + task.counts.only_b}/{task.counts.episodes}",
                    _points(task.counts.difference),
                    str(task.counts.only_a),
                    str(task.counts.only_b),
                    _p(task.adjusted),
                )
                for task in flipped
            ),
            right=(True, False, *[True] * 6),
        )
    if pair.flips:
        yield from _flips(comparison, pair, flips)


def _power(pair: PairComparison) -> Iterator[str]:
    counts = pair.contrast.counts
    level = f"({ALPHA}, power {POWER})"
    if pair.detectable is None:
        yield f"So few episodes show no difference at all {level}."
    else:
        yield (
            f"{counts.episodes} shared episodes, {counts.flipped} of which end differently, show "
            f"differences from {100 * pair.detectable:.1f} points on {level}."
        )
    if pair.needed_shared is not None:
        yield (
            f"A difference as observed needs {pair.needed_shared} shared episodes, or "
            f"{pair.needed_independent} of each run if they are not the same."
        )


def _flips(comparison: Comparison, pair: PairComparison, most: int | None) -> Iterator[Block]:
    # Those that can be watched side by side come first.
    watchable = sorted(pair.flips, key=lambda flip: None in flip.videos)
    listed = watchable if most is None else watchable[:most]
    lines = ["Episodes that end differently:"] if listed else []
    for flip in listed:
        lines += _flip(flip, comparison.runs)
    if left := len(pair.flips) - len(listed):
        lines.append(f"{left} more end differently: --flips {len(pair.flips)} shows all.")
    if unseen := sum(None in flip.videos for flip in listed):
        lines.append(f"{unseen} of these were not filmed by both: eval --record all films all.")
    yield Paragraph(lines=tuple(lines))


def _flip(flip: Flip, runs: Sequence[ComparedRun]) -> Iterator[str]:
    """Say who succeeded, then the videos on lines of their own, so that they can be copied."""
    a, b = runs
    yield (
        f"task {flip.key.task}, init state {flip.key.init_state}, seed {flip.key.seed}: "
        f"{runs[flip.winner].tag} succeeds ({a.tag} {flip.steps[0]} steps, {b.tag} {flip.steps[1]})"
    )
    for run, video in zip((a, b), flip.videos, strict=True):
        if video is not None:
            yield f"{INDENT}{run.tag} {video}"


def _many_pairs(comparison: Comparison) -> Iterator[Block]:
    runs = comparison.runs
    yield Paragraph(
        lines=(
            "Runs that share a letter are not told apart (McNemar's exact test, Holm-corrected for "
            f"{len(comparison.pairs)} pairs, {ALPHA}).",
        )
    )
    lines = []
    for pair in comparison.pairs:
        contrast = pair.contrast
        a, b = runs[contrast.a], runs[contrast.b]
        detectable = "" if pair.detectable is None else f"{100 * pair.detectable:.1f}"
        lines.append(
            (
                f"{b.tag} − {a.tag}",
                _points(contrast.counts.difference),
                f"{_points(pair.interval.low)} to {_points(pair.interval.high)}",
                f"{contrast.counts.only_a}, {contrast.counts.only_b}",
                _p(contrast.p),
                _p(contrast.adjusted),
                "yes" if contrast.different else "no",
                detectable,
            )
        )
    header = (
        "",
        "points",
        "95 % of it",
        "only one wins",
        "p",
        "p, Holm",
        "told apart",
        "shows from",
    )
    yield Grid(title="Every pair", header=header, lines=tuple(lines), right=(False, *[True] * 7))
    episodes = {task: sum(key.task == task for key in comparison.keys) for task in runs[0].by_task}
    if len(episodes) > 1:
        yield Grid(
            title="By task",
            header=("task", "", *(run.tag for run in runs)),
            lines=tuple(
                (
                    str(task),
                    comparison.task_names[task],
                    *(f"{run.by_task[task]}/{count}" for run in runs),
                )
                for task, count in episodes.items()
            ),
            right=(True, False, *[True] * len(runs)),
        )
    yield Paragraph(lines=("Compare two runs to see which episodes end differently.",))


def _interval(interval: Estimate) -> str:
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}"


def _points(share: float) -> str:
    text = f"{100 * share:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def _p(p: float, sign: str = "") -> str:
    return "below 0.0001" if p < 1e-4 else sign + (f"{p:.2g}" if p < 0.1 else f"{p:.2f}")
