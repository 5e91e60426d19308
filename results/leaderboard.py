"""The leaderboard: its columns, and the table, Markdown, CSV and JSON made from them.

Text for people hides columns that are empty in every row and rounds; CSV and JSON keep every
column and every digit.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from results.errors import ResultsError
from results.rows import Row, Run, rows_by_task, rows_from_runs

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "COLUMNS",
    "Column",
    "Format",
    "Row",
    "Run",
    "common_cells",
    "render",
    "rich_table",
    "rows_by_task",
    "rows_from_runs",
    "shown_columns",
    "spans",
]

Format = Literal["table", "markdown", "csv", "json"]
Scalar = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the leaderboard, for every format."""

    key: str
    """Name in CSV and JSON."""

    header: str
    """Name for people."""

    text: Callable[[Row], str]
    """The cell for people; empty where there is nothing to say."""

    values: Callable[[Row], dict[str, Scalar]]
    """The cell for machines: one or more named values."""

    numeric: bool = True
    """Whether the cell is set to the right."""


def _column(key: str, header: str, text: Callable[[Row], str], numeric: bool = True) -> Column:
    return Column(
        key=key,
        header=header,
        text=text,
        values=lambda row: {key: getattr(row, key)},
        numeric=numeric,
    )


def _mean(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _tasks(row: Row) -> str:
    if row.task_name is not None:
        return f"{row.tasks[0]}: {row.task_name}"
    return spans(row.tasks)


def spans(indices: Iterable[int]) -> str:
    """Write indices with runs drawn together.

    Args:
        indices: Indices in any order.

    Returns:
        Such as ``0–4, 7``.
    """
    found: list[list[int]] = []
    for index in sorted(set(indices)):
        if found and index == found[-1][1] + 1:
            found[-1][1] = index
        else:
            found.append([index, index])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in found)


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
        key="rate",
        header="success",
        text=lambda row: "" if row.rate is None else f"{100 * row.rate:.1f} %",
        values=lambda row: {"rate": row.rate},
    ),
    Column(
        key="interval",
        header="95 % Wilson",
        text=lambda row: f"{100 * row.low:.1f}–{100 * row.high:.1f}" if row.episodes else "",
        values=lambda row: {"low": row.low, "high": row.high},
    ),
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
    _column("exec_horizon", "exec_horizon", lambda row: str(row.exec_horizon or "")),
    _column("fusion", "fusion", lambda row: row.fusion or "", numeric=False),
    _column(
        "steps_to_success", "steps, mean over successes", lambda row: _mean(row.steps_to_success)
    ),
    _column("steps", "steps, mean over all", lambda row: _mean(row.steps)),
    _column("errors", "errors", lambda row: str(row.errors or "")),
    _column("demos", "demos", lambda row: row.demos or "", numeric=False),
    Column(
        key="protocol",
        header="protocol",
        text=lambda row: f"{row.protocol} {row.protocol_hash[:8]}",
        values=lambda row: {"protocol": row.protocol, "protocol_hash": row.protocol_hash},
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


_SAID_ONCE = ("suite", "tasks", "fusion", "demos", "protocol")


def shown_columns(rows: Sequence[Row]) -> list[Column]:
    """Return the columns that say something in at least one row.

    Args:
        rows: The rows to show.

    Returns:
        Those columns, in order; all of them if there is no row.
    """
    return [column for column in COLUMNS if not rows or any(column.text(row) for row in rows)]


def common_cells(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """Return what is the same in every row and therefore said once, above the table.

    Args:
        rows: The rows to show.

    Returns:
        Header and text by the column's key, for suite, tasks, fusion, demos and protocol.
    """
    common = {}
    for column in COLUMNS:
        texts = {column.text(row) for row in rows}
        if column.key in _SAID_ONCE and len(texts) == 1 and (text := texts.pop()):
            common[column.key] = (column.header, text)
    return common


def rich_table(rows: Sequence[Row]) -> "Table":
    """Make the table for a terminal.

    Args:
        rows: Rows of ``rows_from_runs`` or ``rows_by_task``.

    Returns:
        A table for ``rich.console.Console.print``.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    common = common_cells(rows)
    columns = [column for column in shown_columns(rows) if column.key not in common]
    title = Text(" · ".join(f"{header} {text}" for header, text in common.values()), style="dim")
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", title=title, title_justify="left")
    for column in columns:
        table.add_column(
            column.header,
            justify="right" if column.numeric else "left",
            overflow="fold",
            no_wrap=column.key in ("rank", "label", "rate", "interval", "counts"),
        )
    for row in rows:
        style = "bold" if row.rank == 1 else "" if row.complete else "dim"
        # Text, not markup: a task's name may hold square brackets.
        table.add_row(*(Text(column.text(row)) for column in columns), style=style)
    return table


def render(rows: Sequence[Row], format: Format = "table") -> str:
    """Write the rows as text.

    Args:
        rows: Rows of ``rows_from_runs`` or ``rows_by_task``.
        format: ``table`` (for a terminal, plain), ``markdown``, ``csv`` or ``json``.

    Returns:
        The text, ending in a newline.

    Raises:
        ResultsError: The format is unknown.
    """
    renderers = {"table": _table, "markdown": _markdown, "csv": _csv, "json": _json}
    if format not in renderers:
        raise ResultsError(f"Unknown format '{format}'. Allowed: {', '.join(get_args(Format))}.")
    return renderers[format](rows)


def _table(rows: Sequence[Row]) -> str:
    from rich.console import Console

    # Text that goes into a file must not depend on the terminal it was made in.
    console = Console(file=io.StringIO(), width=200, color_system=None)
    with console.capture() as capture:
        console.print(rich_table(rows))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _markdown(rows: Sequence[Row]) -> str:
    columns = shown_columns(rows)
    lines = [
        [column.header for column in columns],
        ["---:" if column.numeric else "---" for column in columns],
        *([_cell(column.text(row)) for column in columns] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    for given, safe in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("\n", " ")):
        text = text.replace(given, safe)
    return text


def _csv(rows: Sequence[Row]) -> str:
    file = io.StringIO()
    values = [_values(row) for row in rows]
    names = list(values[0]) if values else [column.key for column in COLUMNS]
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(values)
    return file.getvalue()


def _json(rows: Sequence[Row]) -> str:
    return json.dumps([_values(row) for row in rows], indent=2, ensure_ascii=False) + "\n"


def _values(row: Row) -> dict[str, Scalar]:
    return {name: value for column in COLUMNS for name, value in column.values(row).items()}
