"""The leaderboard: the table, Markdown, CSV and JSON made from its rows."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from results.formatting import (
    Format,
    check_format,
    csv_table,
    json_text,
    markdown_cell,
    markdown_table,
    plain_text,
    visible,
)
from results.latency import PERCENTILES, LatencyHistogram
from results.leaderboard.columns import COLUMNS, Scalar, common_cells, footnotes, shown_columns
from results.leaderboard.published import (
    CAUTION,
    PublishedResult,
    load_published_plus,
    load_reproduced,
    published_lines,
    published_table,
    published_values,
    remarks,
)
from results.leaderboard.published_tables import (
    PLUS,
    REPRODUCED,
    plus_lines,
    published_tables,
    reproduced_lines,
)
from results.leaderboard.rows import LeaderboardRow
from results.robustness.dimensions import PerturbedRow
from results.robustness.tables import (
    perturbed_cells,
    perturbed_columns,
    perturbed_markdown,
    perturbed_table,
    perturbed_values,
)
from tasks.errors import ResultsError

if TYPE_CHECKING:
    from rich.table import Table


def rich_table(rows: Sequence[LeaderboardRow]) -> "Table":
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
    notes = Text(visible("\n".join(footnotes(rows))), style="dim")
    columns = [column for column in shown_columns(rows) if column.key not in common]
    context = " · ".join(f"{header} {text}" for header, text in common.values())
    title = Text(visible(context), style="dim")
    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        title=title,
        title_justify="left",
        caption=notes,
        caption_justify="left",
    )
    for column in columns:
        table.add_column(
            column.header,
            justify="right" if column.numeric else "left",
            overflow="fold",
            no_wrap=column.key in ("rank", "label", "rate", "interval", "letters", "counts"),
        )
    for row in rows:
        style = "bold" if row.rank == 1 else "" if row.complete else "dim"
        # Text, not markup: a task's name may hold square brackets.
        table.add_row(*(Text(visible(column.text(row))) for column in columns), style=style)
    return table


def render(
    rows: Sequence[LeaderboardRow],
    format: Format = "table",
    published: Sequence[PublishedResult] = (),
    perturbed: Sequence[PerturbedRow] = (),
) -> str:
    """Write the rows as text.

    Args:
        rows: Rows of ``rows_from_runs`` or ``rows_by_task``.
        format: ``table`` (for a terminal, plain), ``markdown``, ``csv`` or ``json``.
        published: What others have published: a table of its own below, without ranks; in JSON
            under a name of its own beside ``runs``.
        perturbed: Rows over dimensions of perturbation: a table of its own below. In JSON and CSV
            each is a part of its run's row, and JSON has those over several suites apart.

    Returns:
        The text, ending in a newline.

    Raises:
        ResultsError: The format is unknown, or is CSV, which holds one table only, with published
            results.
    """
    check_format(format)
    if format == "json":
        return _json(rows, published, perturbed)
    if format == "markdown":
        return _markdown(rows, published, perturbed)
    if format == "table":
        return _table(rows, published, perturbed)
    if published:
        raise ResultsError(
            "A CSV file holds one table, and published numbers are never in the same as runs: "
            "take --format json, or leave out --published."
        )
    return _csv(rows, perturbed)


def _table(
    rows: Sequence[LeaderboardRow],
    published: Sequence[PublishedResult],
    perturbed: Sequence[PerturbedRow],
) -> str:
    text = plain_text(lambda console: console.print(rich_table(rows)))
    if perturbed:
        text += plain_text(lambda console: console.print(perturbed_table(perturbed)))
    if published:
        text += plain_text(lambda console: console.print(published_table(published)))
        text += plain_text(lambda console: console.print(*published_tables(), sep="\n"))
    return text


def _markdown(
    rows: Sequence[LeaderboardRow],
    published: Sequence[PublishedResult],
    perturbed: Sequence[PerturbedRow],
) -> str:
    columns = shown_columns(rows)
    text = markdown_table(
        [column.header for column in columns],
        [[column.text(row) for column in columns] for row in rows],
        right=[column.numeric for column in columns],
    )
    text += "".join(f"\n{markdown_cell(note)}\n" for note in footnotes(rows))
    if perturbed:
        text += f"\n{perturbed_markdown(perturbed)}"
    if published:
        header, *lines = published_lines(published, links=True)
        text += f"\n{CAUTION}\n\n{markdown_table(header, lines)}"
        text += "".join(f"\n{markdown_cell(remark)}\n" for remark in remarks(published))
        for title, (header, *lines) in (
            (PLUS, plus_lines(load_published_plus(), links=True)),
            (REPRODUCED, reproduced_lines(load_reproduced(), links=True)),
        ):
            text += f"\n{title}\n\n{markdown_table(header, lines)}"
    return text


def _csv(rows: Sequence[LeaderboardRow], perturbed: Sequence[PerturbedRow]) -> str:
    values = [_values(row) for row in rows]
    if any(row.latency for row in rows):
        for row, line in zip(rows, values, strict=True):
            line |= _latency_values(row.latency or LatencyHistogram())
    if perturbed:
        names = perturbed_columns(perturbed)
        for row, line in zip(rows, values, strict=True):
            line |= dict.fromkeys(names) | perturbed_cells(row.perturbed)
    return csv_table(list(values[0]) if values else [column.key for column in COLUMNS], values)


def _latency_values(latency: LatencyHistogram) -> dict[str, Scalar]:
    """Return what a histogram says, by name; None where it has no request."""
    named = {
        f"latency_p{share}_ms": latency.percentiles_ms.get(f"p{share}") for share in PERCENTILES
    }
    return {**named, "latency_requests": latency.requests, "latency_failed": latency.failed}


def _json(
    rows: Sequence[LeaderboardRow],
    published: Sequence[PublishedResult],
    perturbed: Sequence[PerturbedRow],
) -> str:
    values: list[dict[str, Any]] = [{**_values(row)} for row in rows]
    for row, line in zip(rows, values, strict=True):
        if row.latency is not None:
            line["latency"] = TypeAdapter(LatencyHistogram).dump_python(row.latency, mode="json")
        if row.perturbed is not None:
            line["perturbed"] = perturbed_values(row.perturbed)
    together = [perturbed_values(row) for row in perturbed if len(row.suites) > 1]
    more = {"together": together} if together else {}
    if published:
        more["published"] = published_values(published)
        more["published_plus"] = [asdict(result) for result in load_published_plus()]
        more["reproduced"] = [asdict(result) for result in load_reproduced()]
    return json_text({"runs": values, **more} if more else values)


def _values(row: LeaderboardRow) -> dict[str, Scalar]:
    return {name: value for column in COLUMNS for name, value in column.values(row).items()}
