"""The geometry of success against the execution horizon; the page's template draws it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from results.leaderboard import spans
from results.rows import Row

WIDTH, HEIGHT = 680, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 22, 16, 44
_APART = 7


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run in a chart; positions in the units of the SVG's view box."""

    row: Row
    """The run."""

    x: float
    """Position of the execution horizon."""

    y: float
    """Position of the success rate."""

    low: float
    """Position of the interval's lower end."""

    high: float
    """Position of the interval's upper end."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Runs that differ in their execution horizon alone."""

    label: str
    """Policy, fusion and protocol, as far as they tell series apart."""

    points: tuple[Point, ...]
    """The points from left to right."""

    @property
    def path(self) -> str:
        """The line through the points, as SVG path data."""
        return "M" + "L".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Success by execution horizon on one set of tasks."""

    title: str
    """Suite and tasks."""

    series: tuple[Series, ...]
    """The lines, in the order of their best run."""

    x_ticks: tuple[tuple[float, int], ...]
    """Position and execution horizon of each tick."""

    y_ticks: tuple[tuple[float, int], ...]
    """Position and per cent of each tick."""


def charts_from_rows(rows: Sequence[Row]) -> list[Chart]:
    """Lay out a chart for each set of tasks that was run with more than one horizon.

    Args:
        rows: Rows of ``rows_from_runs``.

    Returns:
        The charts; none where there is nothing to compare.
    """
    groups: dict[tuple[str, tuple[int, ...]], list[Row]] = {}
    for row in rows:
        if row.rate is not None and row.exec_horizon:
            groups.setdefault((row.suite, tuple(sorted(row.tasks))), []).append(row)
    return [
        _chart(group) for group in groups.values() if len({row.exec_horizon for row in group}) > 1
    ]


def _chart(rows: list[Row]) -> Chart:
    horizons = sorted({row.exec_horizon for row in rows if row.exec_horizon})
    first, last = log2(horizons[0]), log2(horizons[-1])
    span = WIDTH - _LEFT - _RIGHT - 60

    def x_of(horizon: int) -> float:
        # Horizons are tried in powers of two, hence a logarithmic axis.
        return _LEFT + 30 + span * (log2(horizon) - first) / (last - first)

    def y_of(rate: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1.0 - rate)

    lines: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        lines.setdefault(_identity(row), []).append(row)
    telling = [len(set(part)) > 1 for part in zip(*lines, strict=True)]
    series = []
    for place, (identity, members) in enumerate(lines.items()):
        # Intervals at the same horizon stand beside one another.
        shift = _APART * (place - (len(lines) - 1) / 2)
        points = [
            Point(
                row=row,
                x=x_of(row.exec_horizon) + shift,
                y=y_of(row.rate),
                low=y_of(row.low),
                high=y_of(row.high),
            )
            for row in sorted(members, key=lambda row: row.exec_horizon or 0)
            if row.exec_horizon and row.rate is not None
        ]
        told = [part for part, tells in zip(identity, telling, strict=True) if tells and part]
        series.append(Series(label=" · ".join(told) or identity[0], points=tuple(points)))
    name = rows[0].task_name
    return Chart(
        title=f"{rows[0].suite}, {name or 'tasks ' + spans(rows[0].tasks)}",
        series=tuple(series),
        x_ticks=tuple((x_of(horizon), horizon) for horizon in horizons),
        y_ticks=tuple((y_of(per_cent / 100), per_cent) for per_cent in range(0, 101, 25)),
    )


def _identity(row: Row) -> tuple[str, ...]:
    return (
        row.policy,
        row.checkpoint or "",
        f"fusion {row.fusion or 'none'}",
        f"{row.protocol} {row.protocol_hash[:8]}",
        row.demos or "",
    )
