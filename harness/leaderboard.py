"""The leaderboard of runs on the terminal or as text."""

from collections.abc import Sequence
from pathlib import Path

from harness.display import results_console
from results.folder import load_run
from results.formatting import Format
from results.leaderboard.delay_rows import delay_curves, render_delays
from results.leaderboard.published import load_published, published_table
from results.leaderboard.published_tables import published_tables
from results.leaderboard.rendering import render, rich_table
from results.leaderboard.rows import rows_by_task, rows_from_runs
from results.leaderboard.seed_rows import rows_over_seeds
from results.robustness.dimensions import perturbed_rows
from results.robustness.tables import perturbed_table


def print_leaderboard(
    folders: Sequence[Path],
    *,
    format: Format = "table",
    by_task: bool = False,
    over_seeds: bool = False,
    by_delay: bool = False,
    published: bool = False,
) -> None:
    """Print the table of runs.

    Args:
        folders: The runs.
        format: How to print it.
        by_task: A row for each task.
        over_seeds: A row for all trainings of a policy; see ``rows_over_seeds``.
        by_delay: A column for each delay; see ``delay_curves``.
        published: Below, the numbers that others have published.
    """
    runs = [load_run(folder) for folder in folders]
    if by_delay:
        print(render_delays(delay_curves(runs), format), end="")
        return
    make_rows = rows_by_task if by_task else rows_over_seeds if over_seeds else rows_from_runs
    rows = make_rows(runs)
    theirs = load_published() if published else ()
    perturbed = perturbed_rows(runs)
    if format != "table":
        print(render(rows, format, theirs, perturbed), end="")
        return
    out = results_console()
    out.print(rich_table(rows))
    if perturbed:
        out.print(perturbed_table(perturbed))
    if theirs:
        out.print(published_table(theirs))
        out.print(*published_tables(), sep="\n")
