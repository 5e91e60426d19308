"""Success over delay on the page: a chart for each policy and horizon, a line for each method."""

from collections.abc import Iterable
from typing import NamedTuple

from results.leaderboard.delay_rows import DelayCurve, delay_curves
from results.leaderboard.rows import LeaderboardRow
from results.records import RunRecords
from results.report.curves import CurvePoint, described, draw_curves, in_words
from results.report.drawing import Chart, legend


class _Line(NamedTuple):
    name: str
    points: list[CurvePoint]


def delay_charts(runs: Iterable[RunRecords]) -> list[Chart]:
    """Draw success over delay, where a policy was run with more than one delay.

    Args:
        runs: The runs of a page.

    Returns:
        A chart for each policy, set of tasks and execution horizon, the longest horizon first.
    """
    curves = delay_curves(runs)
    heads = [curve.head for curve in curves]
    groups: dict[tuple[str, str, str], list[_Line]] = {}
    for curve in curves:
        lines = _lines(curve, with_checkpoint=heads.count(curve.head) > 1)
        groups.setdefault(curve.head[:3], []).extend(lines)
    order = sorted(groups, key=lambda head: (head[:2], -int(head[2] or 0)))
    return [
        # In the same order everywhere, so that a method has the same colour in all charts.
        _chart(head, sorted(groups[head], key=lambda line: (line.name != "none", line.name)))
        for head in order
        if len({point.at for line in groups[head] for point in line.points}) > 1
    ]


def _lines(curve: DelayCurve, *, with_checkpoint: bool) -> list[_Line]:
    """Split a curve where plans are late in different ways; what is on time is part of each."""
    checkpoint = next(iter(curve.rows.values())).checkpoint if with_checkpoint else None
    modes: dict[str, dict[int, LeaderboardRow]] = {}
    for delay, row in curve.rows.items():
        steps, _, mode = delay.partition(", ")
        if steps.isdigit() and row.rate is not None:
            modes.setdefault(mode, {})[int(steps)] = row
    on_time = modes.get("", {}).get(0)
    if set(modes) > {""} and set(modes[""]) == {0}:
        del modes[""]  # it is the start of another line
    lines = []
    for mode, rows in modes.items():
        if on_time is not None:
            rows[0] = on_time
        name = ", ".join(filter(None, (curve.head[3], mode, checkpoint)))
        lines.append(_Line(name, [_point(steps, rows[steps]) for steps in sorted(rows)]))
    return lines


def _point(steps: int, row: LeaderboardRow) -> CurvePoint:
    rate = row.rate or 0.0
    said = in_words(rate, row.low, row.high, row.successes, row.episodes)
    return CurvePoint(
        at=steps,
        rate=rate,
        low=row.low,
        high=row.high,
        about=f"{steps} steps late: {said}",
        hollow=not row.complete,
    )


def _chart(head: tuple[str, str, str], lines: list[_Line]) -> Chart:
    label, tasks, horizon = head
    title = f"{label}, {tasks}, exec_horizon {horizon}"
    names, series = [line.name for line in lines], [line.points for line in lines]
    delays = sorted({point.at for points in series for point in points})
    picture = draw_curves(
        described(f"delay, {title}", names, series),
        series,
        axis="delay: control steps from the observation to its plan",
        ticks=[(delay, f"{delay:g}") for delay in delays],
        scale=_place,
    )
    return Chart(title=title, legend=legend(names), picture=picture)


def _place(delay: float) -> float:
    """Give short delays more room than long ones, without a logarithm of zero."""
    return float(delay**0.5)
