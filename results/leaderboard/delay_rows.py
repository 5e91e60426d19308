"""Success over delay: a line for each policy, execution horizon and method, a column per delay."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from results.formatting import Format, brief_spans, csv_table, json_text, markdown_table, plain_text
from results.leaderboard.rows import LeaderboardRow, rows_of_run
from results.records import RunRecords

_HEAD = ("run", "tasks", "exec_horizon", "method")


class DelayCurve(NamedTuple):
    """Runs that differ in their delay alone.

    Attributes:
        head: Name, suite and tasks, execution horizon, and the fusion or method of joining plans.
        rows: The runs by their delay, as ``LeaderboardRow.delay`` names it; ``0`` without one.
    """

    head: tuple[str, str, str, str]
    rows: dict[str, LeaderboardRow]


def delay_curves(runs: Iterable[RunRecords]) -> list[DelayCurve]:
    """Arrange runs by delay, in the order of the first run of each curve."""
    curves: dict[tuple[str, ...], DelayCurve] = {}
    for info, records in runs:
        for row in rows_of_run(info, records):
            head = (
                row.label,
                f"{row.suite} {brief_spans(row.tasks)}",
                str(row.exec_horizon or ""),
                method_of(row),
            )
            identity = (*head, row.checkpoint or "", row.protocol_hash)
            curve = curves.setdefault(identity, DelayCurve(head, {}))
            curve.rows[row.delay or "0"] = row
    return list(curves.values())


def method_of(row: LeaderboardRow) -> str:
    """Return how overlapping plans are fused or joined; ``none`` for neither."""
    methods = [row.fusion if row.fusion != "none" else None, row.chunking]
    return ", ".join(filter(None, methods)) or "none"


def render_delays(curves: Sequence[DelayCurve], format: Format = "table") -> str:
    """Write success over delay as text: successes of episodes, the rate and its 95 % interval.

    Args:
        curves: The curves.
        format: ``table`` and ``markdown`` have a column for each delay, ``csv`` and ``json`` a line
            for each run.
    """
    if format in ("csv", "json"):
        values = [_values(curve, delay) for curve in curves for delay in curve.rows]
        return json_text(values) if format == "json" else csv_table(list(values[0]), values)
    delays = sorted({delay for curve in curves for delay in curve.rows}, key=_steps)
    header = [*_HEAD, *(f"d = {delay}" for delay in delays)]
    lines = [
        [*curve.head, *(_cell(curve.rows[d]) if d in curve.rows else "" for d in delays)]
        for curve in sorted(curves, key=lambda curve: (curve.head[:2], -_steps(curve.head[2])))
    ]
    if format == "markdown":
        return markdown_table(header, lines)
    return _table(header, lines)


def _steps(text: str) -> int:
    digits = text.split(",")[0]
    return int(digits) if digits.isdigit() else 0


def _cell(row: LeaderboardRow) -> str:
    if not row.episodes:
        return ""
    text = f"{row.successes}/{row.episodes}"
    text += "" if row.stopped else f" ({100 * row.low:.0f}–{100 * row.high:.0f} %)"
    return text if row.complete else f"{text}, of {row.expected}"


def _values(curve: DelayCurve, delay: str) -> dict[str, str | int | float | None]:
    row = curve.rows[delay]
    return {
        **dict(zip(_HEAD, curve.head, strict=True)),
        "delay": delay,
        "successes": row.successes,
        "episodes": row.episodes,
        "expected": row.expected,
        "rate": row.rate,
        "low": row.low,
        "high": row.high,
        "method_of_interval": row.method,
    }


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    from rich.table import Table

    table = Table(*header, box=None, pad_edge=False)
    for line in lines:
        table.add_row(*line)
    return plain_text(lambda console: console.print(table))
