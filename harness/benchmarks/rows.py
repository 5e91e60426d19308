"""Rows of a benchmark: each takes minutes, and those that are measured are shown in any case."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from json import dumps
from typing import Any, TypeVar

from rich.console import RenderableType

from harness.display import TABLE_WIDTH, results_console
from results.signals import Interruption

Row = TypeVar("Row")


def show_rows(
    rows: list[Row],
    table: Callable[[list[Row]], RenderableType],
    *,
    json: bool,
    width: int = TABLE_WIDTH,
    as_dict: Callable[[Any], dict[str, Any]] = asdict,
) -> None:
    """Print rows.

    Args:
        rows: What was measured.
        table: Makes a table of rows.
        json: Print them as JSON instead.
        width: Columns where the output is no terminal.
        as_dict: Makes of a row what JSON shows.
    """
    if json:
        print(dumps(list(map(as_dict, rows)), indent=2))
    else:
        results_console(width).print(table(rows))


@contextlib.contextmanager
def rows_shown_by(
    table: Callable[[list[Row]], RenderableType],
    **how: Any,
) -> Iterator[list[Row]]:
    """Give a list for rows; show what it holds when the block ends, however it ends.

    A row that cannot be measured, Ctrl-C or a polite kill costs none of those before it. Without
    any row nothing is shown.

    Args:
        table: Makes a table of rows.
        how: As ``show_rows`` takes it.

    Raises:
        KeyboardInterrupt: Ctrl-C, once the rows are shown.
        SystemExit: A polite kill (SIGTERM, SIGHUP), likewise.
    """
    rows: list[Row] = []
    try:
        with Interruption() as interruption, interruption.allowed():
            yield rows
    finally:
        if rows:
            show_rows(rows, table, **how)
