"""``libero-bench leaderboard``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def leaderboard_command(
    runs: list[Path],
    /,
    *,
    format: Literal["table", "markdown", "csv", "json"] = "table",
    by_task: Annotated[bool, Parameter(negative=())] = False,
    published: Annotated[bool, Parameter(negative=())] = False,
    page: Path | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Show several runs in one table.

    Parameters
    ----------
    runs
        Folders of runs, or folders that contain such folders at any depth.
    format
        How to print the table.
    by_task
        A row for each task.
    published
        Below, the numbers others have published, with their sources; they are never ranked.
    page
        Also write a static page with the table and the videos into this folder.
    json
        The same as --format json.
    """
    from results.folder import find_runs, load_run
    from results.leaderboard.published import load_published, published_table
    from results.leaderboard.rendering import render, rich_table
    from results.leaderboard.rows import rows_by_task, rows_from_runs

    folders = find_runs(runs)
    loaded = [load_run(folder) for folder in folders]
    rows = rows_by_task(loaded) if by_task else rows_from_runs(loaded)
    theirs = load_published() if published else ()
    wanted = "json" if json else format
    if wanted == "table":
        from harness.display import results_console

        console = results_console()
        console.print(rich_table(rows))
        if theirs:
            console.print(published_table(theirs))
    else:
        print(render(rows, wanted, theirs), end="")
    if page is not None:
        from harness.display import console as messages
        from results.report.page import write_page

        written = write_page(page, folders, title="LIBERO leaderboard")
        messages.print(f"Page: {written}")
