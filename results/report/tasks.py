"""Success by task: for each task a line per run, and a table of all."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from results.leaderboard.rows import Row, rows_by_task
from results.report.drawing import Drawing, axis, colour, rulers, swatch
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

    rows: tuple[Row | None, ...]
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
    """Draw the success of each run on each task.

    Args:
        runs: The runs, those of most interest first.

    Returns:
        A chart with its table for each suite.
    """
    return [_suite(runs, suite) for suite in suites_of(runs)]


def _suite(runs: Sequence[ReportRun], suite: str) -> SuiteTasks:
    mine = [run for run in runs if suite in run.info.tasks]
    drawn = mine[:DRAWN_RUNS]
    names = task_names(runs)
    numbers = {
        (run.place, row.tasks[0]): row
        for run in mine
        # Rows do not say of which run they are, so they are made for one at a time.
        for row in rows_by_task([run.loaded])
        if row.suite == suite
    }
    tasks = []
    for task in tasks_of(mine, suite):
        rows = tuple(numbers.get((run.place, task)) for run in mine)
        picture = _draw(f"{suite} task {task}", drawn, rows[: len(drawn)])
        tasks.append(
            TaskLine(index=task, name=names.get((suite, task)), picture=picture, rows=rows)
        )
    return SuiteTasks(
        suite=suite,
        runs=tuple(mine),
        legend=tuple((swatch(style), run.name) for style, run in enumerate(drawn)),
        tasks=tuple(tasks),
        axis=axis((_x(per_cent / 100), f"{per_cent} %") for per_cent in _TICKS),
    )


def _draw(title: str, runs: Sequence[ReportRun], rows: Sequence[Row | None]) -> Markup:
    told = [_about(run, row) for run, row in zip(runs, rows, strict=True)]
    drawing = Drawing(_LINE * len(runs) + 4, f"{title}: {'; '.join(filter(None, told))}")
    rulers(drawing, [_x(per_cent / 100) for per_cent in _TICKS])
    for style, (row, about) in enumerate(zip(rows, told, strict=True)):
        if row is None or row.rate is None:
            continue
        y = _LINE * (style + 0.5) + 2
        drawing.line((_x(row.low), y), (_x(row.high), y), f"reach {colour(style)}")
        drawing.mark(_x(row.rate), y, style, hollow=not row.complete, about=about)
    return drawing.markup()


def _x(rate: float) -> float:
    return _MARGIN + (100 - 2 * _MARGIN) * rate


def _about(run: ReportRun, row: Row | None) -> str | None:
    if row is None or row.rate is None:
        return None
    interval = f"{100 * row.low:.0f}–{100 * row.high:.0f}"
    return f"{run.name} {100 * row.rate:.0f} % ({interval}), {row.successes}/{row.episodes}"
