"""The leaderboard of runs on the terminal or as text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from harness.display import results_console
from results.folder import load_run
from results.leaderboard.published import load_published, published_table
from results.leaderboard.rendering import render, rich_table
from results.leaderboard.rows import rows_by_task, rows_from_runs

TableFormat = Literal["table", "markdown", "csv", "json"]


def print_leaderboard(
    folders: Sequence[Path],
    *,
    format: TableFormat = "table",
    by_task: bool = False,
    published: bool = False,
) -> None:
    """Print the table of runs.

    Args:
        folders: The runs.
        format: How to print it.
        by_task: A row for each task.
        published: Below, the numbers that others have published.
    """
    runs = [load_run(folder) for folder in folders]
    rows = rows_by_task(runs) if by_task else rows_from_runs(runs)
    theirs = load_published() if published else ()
    if format != "table":
        print(render(rows, format, theirs), end="")
        return
    out = results_console()
    out.print(rich_table(rows))
    if theirs:
        out.print(published_table(theirs))
