"""Success by task, and by execution horizon."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from markupsafe import Markup

from results.formatting import brief_spans
from results.leaderboard.rows import LeaderboardRow, rows_by_task
from results.report.curves import CurvePoint, draw_curves
from results.report.drawing import Drawing, axis, colour, legend, rulers, swatch
from results.report.runs import ReportRun, suites_of, task_names, tasks_of

DRAWN_RUNS = 8
"""How many runs a chart holds before it can no longer be read; the table holds all."""

_LINE = 15
_MARGIN = 4.0
_TICKS = (0, 25, 50, 75, 100)


@dataclass(frozen=True, kw_only=True)
class TaskLine:
    """One task in the chart and in the table."""

    index: int
    """Index of the task in its suite."""

    name: str | None
    """Name of the task; None if no run tried it."""

    picture: Markup
    """A rate with its interval for each drawn run."""

    rows: tuple[LeaderboardRow | None, ...]
    """The numbers of each run of the table, None where it was not asked for the task."""


@dataclass(frozen=True, kw_only=True)
class SuiteTasks:
    """All tasks of a suite."""

    suite: str
    """Name of the suite."""

    runs: tuple[ReportRun, ...]
    """Runs of the table."""

    legend: tuple[tuple[Markup, str], ...]
    """Mark and name of each drawn run."""

    tasks: tuple[TaskLine, ...]
    """The tasks in order."""

    axis: Markup
    """The numbers under the chart."""


def instruction(name: str | None) -> str:
    """Return a task's name as words, without the scene that libero_10 and libero_90 begin with.

    Args:
        name: Such as ``KITCHEN_SCENE3_turn_on_the_stove``; None gives no words.
    """
    return re.sub(r"^([A-Z]+_)+SCENE\d+_", "", name or "").replace("_", " ")


def success_by_task(runs: Sequence[ReportRun]) -> list[SuiteTasks]:
    """Draw the success of each run on each task: a chart with its table for each suite."""
    return [_suite(runs, suite) for suite in suites_of(runs)]


def _suite(runs: Sequence[ReportRun], suite: str) -> SuiteTasks:
    runs_of_suite = [run for run in runs if suite in run.info.tasks]
    drawn = runs_of_suite[:DRAWN_RUNS]
    names = task_names(runs)
    numbers = {
        (run.index, row.tasks[0]): row
        for run in runs_of_suite
        # A row does not name its run, so rows are made for one run at a time.
        for row in rows_by_task([run.loaded])
        if row.suite == suite
    }
    tasks = []
    for task in tasks_of(runs_of_suite, suite):
        rows = tuple(numbers.get((run.index, task)) for run in runs_of_suite)
        picture = _draw_task(f"{suite} task {task}", drawn, rows[: len(drawn)])
        tasks.append(
            TaskLine(index=task, name=names.get((suite, task)), picture=picture, rows=rows)
        )
    return SuiteTasks(
        suite=suite,
        runs=tuple(runs_of_suite),
        legend=legend(run.name for run in drawn),
        tasks=tuple(tasks),
        axis=axis((_x(per_cent / 100), f"{per_cent} %") for per_cent in _TICKS),
    )


def _draw_task(
    title: str, runs: Sequence[ReportRun], rows: Sequence[LeaderboardRow | None]
) -> Markup:
    descriptions = [_about_run(run, row) for run, row in zip(runs, rows, strict=True)]
    drawing = Drawing(_LINE * len(runs) + 4, f"{title}: {'; '.join(filter(None, descriptions))}")
    rulers(drawing, [_x(per_cent / 100) for per_cent in _TICKS])
    for style, (row, about) in enumerate(zip(rows, descriptions, strict=True)):
        if row is None or row.rate is None:
            continue
        y = _LINE * (style + 0.5) + 2
        drawing.line((_x(row.low), y), (_x(row.high), y), f"reach {colour(style)}")
        drawing.mark(_x(row.rate), y, style, hollow=not row.complete, about=about)
    return drawing.markup()


def _x(rate: float) -> float:
    return _MARGIN + (100 - 2 * _MARGIN) * rate


def _about_run(run: ReportRun, row: LeaderboardRow | None) -> str | None:
    if row is None or row.rate is None:
        return None
    interval = f"{100 * row.low:.0f}–{100 * row.high:.0f}"
    return f"{run.name} {100 * row.rate:.0f} % ({interval}), {row.successes}/{row.episodes}"


@dataclass(frozen=True, kw_only=True)
class Series:
    """Runs that differ in their execution horizon alone."""

    label: str
    """Policy, fusion, delay, protocol, mujoco and the like, as far as they tell series apart."""

    rows: tuple[LeaderboardRow, ...]
    """The runs, by ascending horizon."""

    swatch: Markup
    """The mark of the series, for the legend."""


@dataclass(frozen=True, kw_only=True)
class HorizonChart:
    """Success by execution horizon on one set of tasks."""

    title: str
    """Suite and tasks."""

    series: tuple[Series, ...]
    """The lines, in the order of their best run."""

    picture: Markup
    """The chart."""

    @property
    def complete(self) -> bool:
        """Whether every run of it is."""
        return all(row.complete for line in self.series for row in line.rows)


def horizon_charts(rows: Sequence[LeaderboardRow]) -> list[HorizonChart]:
    """Draw a chart for each set of tasks on which a policy was run with more than one horizon."""
    groups: dict[tuple[str, tuple[int, ...]], list[LeaderboardRow]] = {}
    for row in rows:
        if row.rate is not None and row.exec_horizon:
            groups.setdefault((row.suite, tuple(sorted(row.tasks))), []).append(row)
    charts = []
    for group in groups.values():
        series = _series(group)
        if any(len({row.exec_horizon for row in line.rows}) > 1 for line in series):
            name = group[0].task_name
            title = (
                f"{group[0].suite}, {instruction(name) or 'tasks ' + brief_spans(group[0].tasks)}"
            )
            picture = _draw_chart(title, series)
            charts.append(HorizonChart(title=title, series=tuple(series), picture=picture))
    return charts


def _series(rows: list[LeaderboardRow]) -> list[Series]:
    lines: dict[tuple[str, ...], list[LeaderboardRow]] = {}
    for row in rows:
        lines.setdefault(_identity(row), []).append(row)
    differing = [len(set(part)) > 1 for part in zip(*lines, strict=True)]
    series = []
    for style, (identity, members) in enumerate(lines.items()):
        parts = [
            part for part, differs in zip(identity, differing, strict=True) if differs and part
        ]
        members.sort(key=lambda row: row.exec_horizon or 0)
        label = " · ".join(parts) or identity[0]
        series.append(Series(label=label, rows=tuple(members), swatch=swatch(style)))
    return series


def _draw_chart(title: str, series: Sequence[Series]) -> Markup:
    horizons = sorted({row.exec_horizon or 1 for line in series for row in line.rows})
    return draw_curves(
        f"Success by execution horizon, {title}: {_description(series)}",
        [[_point(row) for row in line.rows] for line in series],
        axis="exec_horizon: steps executed per plan",
        ticks=[(horizon, str(horizon)) for horizon in horizons],
        scale=log2,  # horizons are tried in powers of two
    )


def _point(row: LeaderboardRow) -> CurvePoint:
    return CurvePoint(
        at=row.exec_horizon or 1,
        rate=row.rate or 0.0,
        low=row.low,
        high=row.high,
        about=_about_row(row),
        hollow=not row.complete,
    )


def _description(series: Sequence[Series]) -> str:
    return "; ".join(f"{line.label}: {', '.join(map(_about_row, line.rows))}" for line in series)


def _about_row(row: LeaderboardRow) -> str:
    rate = f"{100 * (row.rate or 0.0):.1f} % ({100 * row.low:.1f}–{100 * row.high:.1f})"
    return f"{row.label}, {row.exec_horizon} steps: {rate}, {row.successes}/{row.episodes}"


def _identity(row: LeaderboardRow) -> tuple[str, ...]:
    return (
        row.policy,
        row.checkpoint or "",
        f"fusion {row.fusion or 'none'}",
        f"delay {row.delay}" if row.delay else "",
        row.chunking or "",
        f"{row.protocol} {row.protocol_hash[:8]}",
        row.demos or "",
        row.perturbation or "",
        f"mujoco {row.mujoco}" if row.mujoco else "",
    )
