"""How many steps episodes took: a histogram for each run, successes above, failures below."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from markupsafe import Markup

from results.report.drawing import Drawing, axis, rulers
from results.report.runs import ReportRun, suites_of

_WIDTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_MOST_BINS = 40
_UP, _DOWN = 42.0, 18.0
_MARGIN = 2.0
_HEIGHT = _UP + _DOWN + 14
_OUTCOMES = {"success": ("won", _UP - 4), "failure": ("lost", _DOWN)}
"""For each outcome the class of its bars and the height of the tallest, pixels."""


@dataclass(frozen=True, kw_only=True)
class StepsLine:
    """The histogram of a run."""

    name: str
    """Name of the run."""

    successes: int
    """Episodes that succeeded."""

    failures: int
    """Episodes that did not; errors are in neither."""

    median: float | None
    """Median steps of the successes."""

    picture: Markup
    """The histogram."""


@dataclass(frozen=True, kw_only=True)
class StepsChart:
    """The histograms of a suite, one below another on the same axis."""

    suite: str
    """Name of the suite."""

    width: int
    """Steps in a bar."""

    lines: tuple[StepsLine, ...]
    """A histogram for each run with an episode that counts."""

    axis: Markup
    """The numbers under the histograms."""


def steps_charts(runs: Sequence[ReportRun]) -> list[StepsChart]:
    """Draw the distribution of steps of each suite.

    Args:
        runs: The runs, those of most interest first.

    Returns:
        A chart for each suite in which an episode counts.
    """
    charts = [_suite(runs, suite) for suite in suites_of(runs)]
    return [chart for chart in charts if chart is not None]


def bin_width(most: int) -> int:
    """Return the steps of a bar: a round number that makes at most 40 bars.

    Args:
        most: Steps of the longest episode.
    """
    fitting = (width for width in _WIDTHS if most < width * _MOST_BINS)
    return next(fitting, most // _MOST_BINS + 1)


def _suite(runs: Sequence[ReportRun], suite: str) -> StepsChart | None:
    steps = {run.index: _steps(run, suite) for run in runs}
    every = [n for groups in steps.values() for group in groups.values() for n in group]
    if not every:
        return None
    width = bin_width(max(every))
    bins = max(every) // width + 1
    counts = {
        index: {name: Counter(n // width for n in group) for name, group in groups.items()}
        for index, groups in steps.items()
    }
    # Failures gather at the limit: on the scale of the successes they would flatten them.
    tops = {
        name: max((n for groups in counts.values() for n in groups[name].values()), default=1)
        for name in _OUTCOMES
    }
    lines = []
    for run in runs:
        wins, losses = (steps[run.index][name] for name in _OUTCOMES)
        if not wins and not losses:
            continue
        middle = median(wins) if wins else None
        about = f"{run.name}: {len(wins)} successes, {len(losses)} failures"
        drawing = Drawing(_HEIGHT, f"{about}{f', median {middle:g} steps' if middle else ''}")
        _draw(drawing, counts[run.index], tops, width, bins)
        if middle is not None:
            x = _x(middle / width, bins)
            drawing.line((x, 0), (x, _UP), "median")
        line = StepsLine(
            name=run.name,
            successes=len(wins),
            failures=len(losses),
            median=middle,
            picture=drawing.markup(),
        )
        lines.append(line)
    ticks = [(_x(n, bins), str(n * width)) for n in _ticks(bins)]
    return StepsChart(suite=suite, width=width, lines=tuple(lines), axis=axis(ticks, lines=5))


def _steps(run: ReportRun, suite: str) -> dict[str, list[int]]:
    records = run.of_suite(suite)
    return {name: [r.steps for r in records if r.outcome == name] for name in _OUTCOMES}


def _draw(
    drawing: Drawing,
    counts: dict[str, Counter[int]],
    tops: dict[str, int],
    width: int,
    bins: int,
) -> None:
    base = _UP + 2
    rulers(drawing, [_x(n, bins) for n in _ticks(bins)])
    share = (100 - 2 * _MARGIN) / bins
    for name, (kind, room) in _OUTCOMES.items():
        for index, count in sorted(counts[name].items()):
            height = max(room * count / tops[name], 1.5)
            about = f"{index * width}–{(index + 1) * width - 1} steps: {count} × {name}"
            x = _x(index, bins) + share * 0.08
            y = base - height if name == "success" else base + 1
            drawing.bar(x, y, share * 0.84, height, kind, about)
            if name == "failure":
                drawing.text(x + share * 0.42, base + height + 12, str(count), "small")
    drawing.line((_MARGIN, base), (100 - _MARGIN, base), "base")


def _ticks(bins: int) -> list[int]:
    """Return about six bars with a number under them, the first included."""
    apart = next(n for n in (1, 2, 5, 10) if bins <= n * 6 or n == 10)
    return list(range(0, bins + 1, apart))


def _x(index: float, bins: int) -> float:
    return _MARGIN + (100 - 2 * _MARGIN) * index / bins
