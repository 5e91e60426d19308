"""The columns of the leaderboard, each defined once for every format.

Text for people hides columns that are empty in every row and rounds; CSV and JSON keep every
column and every digit.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from results.formatting import brief_spans, spans
from results.latency import LatencyHistogram
from results.leaderboard.rows import LeaderboardRow

Scalar = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the leaderboard, for every format."""

    key: str
    """Name in CSV and JSON."""

    header: str
    """Name for people."""

    text: Callable[[LeaderboardRow], str]
    """The cell for people; empty where there is nothing to say."""

    values: Callable[[LeaderboardRow], dict[str, Scalar]]
    """The cell for machines: one or more named values."""

    numeric: bool = True
    """Whether the cell is set to the right."""


def _column(
    key: str, header: str, text: Callable[[LeaderboardRow], str], numeric: bool = True
) -> Column:
    return Column(
        key=key,
        header=header,
        text=text,
        values=lambda row: {key: getattr(row, key)},
        numeric=numeric,
    )


def _mean(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _percentiles(latency: LatencyHistogram | None) -> str:
    values = () if latency is None else latency.percentiles_ms.values()
    return ", ".join(f"{value:.3g}" for value in values)


def _has_interval(row: LeaderboardRow) -> bool:
    return bool(row.episodes) and not row.stopped


def _tasks(row: LeaderboardRow) -> str:
    if row.task_name is not None:
        return f"{row.tasks[0]}: {row.task_name}"
    return brief_spans(row.tasks)


COLUMNS: tuple[Column, ...] = (
    _column("rank", "#", lambda row: str(row.rank or "–")),
    _column("label", "run", lambda row: row.label, numeric=False),
    _column("suite", "suite", lambda row: row.suite, numeric=False),
    Column(
        key="tasks",
        header="tasks",
        text=_tasks,
        values=lambda row: {"tasks": spans(row.tasks), "task_name": row.task_name},
        numeric=False,
    ),
    Column(
        key="perturbation",
        header="perturbation",
        text=lambda row: row.perturbation or "",
        values=lambda row: {},  # machines have it with the rates by dimension
        numeric=False,
    ),
    Column(
        key="rate",
        header="success",
        text=lambda row: "" if row.rate is None else f"{100 * row.rate:.1f} %",
        values=lambda row: {"rate": row.rate},
    ),
    Column(
        key="interval",
        header="95 % interval",
        text=lambda row: f"{100 * row.low:.1f}–{100 * row.high:.1f}" if _has_interval(row) else "",
        values=lambda row: {"low": row.low, "high": row.high},
    ),
    _column(
        "method", "interval by", lambda row: row.method if _has_interval(row) else "", numeric=False
    ),
    _column("letters", "letter", lambda row: row.letters, numeric=False),
    Column(
        key="counts",
        header="k/n",
        text=lambda row: f"{row.successes}/{row.episodes}",
        values=lambda row: {
            "successes": row.successes,
            "episodes": row.episodes,
            "expected": row.expected,
        },
    ),
    _column("seeds", "seeds", lambda row: str(row.seeds or "")),
    # One number for all rows stands below the table.
    _column("detectable", "detectable difference", lambda row: ""),
    _column("exec_horizon", "exec_horizon", lambda row: str(row.exec_horizon or "")),
    _column("fusion", "fusion", lambda row: row.fusion or "", numeric=False),
    _column("delay", "delay", lambda row: row.delay or ""),
    _column("chunking", "chunking", lambda row: row.chunking or "", numeric=False),
    _column(
        "steps_to_success", "steps, mean over successes", lambda row: _mean(row.steps_to_success)
    ),
    _column("steps", "steps, mean over all", lambda row: _mean(row.steps)),
    Column(
        key="latency",
        header="latency of plans, ms: p50, p95, p99",
        text=lambda row: _percentiles(row.latency),
        values=lambda row: {},  # machines have it apart
    ),
    Column(
        key="errors",
        header="errors",
        text=lambda row: str(row.errors or ""),
        values=lambda row: {
            "errors": row.errors,
            "error": row.error,
            "error_count": row.error_count,
        },
    ),
    _column("demos", "demos", lambda row: row.demos or "", numeric=False),
    Column(
        key="protocol",
        header="protocol",
        text=lambda row: f"{row.protocol} {row.protocol_hash[:8]}",
        values=lambda row: {
            "protocol": row.protocol,
            "protocol_hash": row.protocol_hash,
            "mujoco": row.mujoco,
        },
        numeric=False,
    ),
    Column(
        key="notes",
        header="note",
        text=lambda row: "; ".join(row.notes),
        values=lambda row: {"notes": "; ".join(row.notes)},
        numeric=False,
    ),
)
"""Every column, in order."""


_SHOWN_ONCE = ("suite", "tasks", "fusion", "demos", "protocol")


def interval_header(rows: Sequence[LeaderboardRow]) -> str:
    """Return the header of the interval, which says how it was made if all rows agree.

    Args:
        rows: The rows to show.

    Returns:
        Such as ``95 % Wilson``.
    """
    methods = {row.method for row in rows if _has_interval(row)}
    return f"95 % {methods.pop() if len(methods) == 1 else 'interval'}"


def shown_columns(rows: Sequence[LeaderboardRow]) -> list[Column]:
    """Return the columns that say something in at least one row.

    Args:
        rows: The rows to show.

    Returns:
        Those columns, in order; all of them if there is no row. How intervals were made is in
        their header where it is the same for all, and in a column of its own otherwise.
    """
    header = interval_header(rows)
    columns = [column for column in COLUMNS if not rows or any(column.text(row) for row in rows)]
    return [
        dataclasses.replace(column, header=header) if column.key == "interval" else column
        for column in columns
        if column.key != "method" or header == "95 % interval"
    ]


def footnotes(rows: Sequence[LeaderboardRow]) -> list[str]:
    """Return what a reader must know of the statistics, for below the table.

    Args:
        rows: The rows to show.

    Returns:
        Sentences.
    """
    notes = [_what_broke(row) for row in rows if row.error is not None]
    if any(row.letters for row in rows):
        notes.append(
            "Runs that share a letter are not told apart on their common episodes (McNemar's exact "
            "test, Holm-corrected for all pairs, 0.05)."
        )
    notes += [_what_latency(row) for row in rows if row.latency is not None]
    points = sorted({round(100 * row.detectable) for row in rows if row.rank and row.detectable})
    if points:
        span = str(points[0]) if len(points) == 1 else f"{points[0]} to {points[-1]}"
        notes.append(
            f"Between independent runs of so many episodes, a difference below {span} points "
            "would mostly not show (0.05, power 0.8); paired by libero-bench compare, smaller "
            "ones do."
        )
    return notes


def _what_latency(row: LeaderboardRow) -> str:
    assert row.latency is not None
    told = f"{row.label}: {row.latency.requests} requests of plans, each from when it was made to "
    told += "when its plan was there, waiting for a free connection and repetitions included"
    told += f"; {row.latency.resent} messages were sent again" if row.latency.resent else ""
    return f"{told}; {row.latency.failed} requests failed" if row.latency.failed else told


def _what_broke(row: LeaderboardRow) -> str:
    tried = row.episodes + row.errors
    lack = "" if row.episodes else ", so there is no success rate"
    often = "" if row.error_count == row.errors else f"most often ({row.error_count} times) "
    return f"{row.label}: {row.errors} of {tried} episodes broke{lack}: {often}{row.error}"


def common_cells(rows: Sequence[LeaderboardRow]) -> dict[str, tuple[str, str]]:
    """Return what is the same in every row and therefore said once, above the table.

    Args:
        rows: The rows to show.

    Returns:
        Header and text by the column's key, for suite, tasks, fusion, demos and protocol.
    """
    common = {}
    for column in COLUMNS:
        texts = {column.text(row) for row in rows}
        if column.key in _SHOWN_ONCE and len(texts) == 1 and (text := texts.pop()):
            common[column.key] = (column.header, text)
    return common
