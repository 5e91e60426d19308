"""Tables of what others published on LIBERO-Plus, and of what others got with their checkpoints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from results.leaderboard.published import (
    PublishedPlusResult,
    ReproducedResult,
    load_published_plus,
    load_reproduced,
)
from results.robustness.dimensions import DIMENSIONS

if TYPE_CHECKING:
    from rich.table import Table

PLUS = "LIBERO-Plus, published by others: 10,030 tasks once each, not run here."
REPRODUCED = "Reproduced by others, with published checkpoints; not run here."


def plus_lines(results: Sequence[PublishedPlusResult], *, links: bool = False) -> list[list[str]]:
    """Return header and cells of the table on LIBERO-Plus, ``links`` as in Markdown."""
    lines = [["published, %", *DIMENSIONS, "Total", "source"]]
    for result in results:
        rates = [f"{getattr(result, name):.1f}" for name in (*DIMENSIONS, "total")]
        lines.append([_named(result), *rates, _source(result, links=links)])
    return lines


def reproduced_lines(
    results: Sequence[ReproducedResult], *, links: bool = False
) -> list[list[str]]:
    """Return header and cells of the table of reproductions, ``links`` as in Markdown."""
    lines = [["policy", "of", "reproduced, %", "reported, %", "by"]]
    for result in results:
        reported = "" if result.reported is None else f"{result.reported:.1f}"
        lines.append(
            [
                _named(result),
                result.of,
                f"{result.rate:.1f}",
                reported,
                _source(result, links=links),
            ]
        )
    return lines


def published_tables() -> "list[Table]":
    """Make both tables for a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    tables = []
    for title, (header, *lines) in (
        (PLUS, plus_lines(load_published_plus())),
        (REPRODUCED, reproduced_lines(load_reproduced())),
    ):
        table = Table(box=box.SIMPLE_HEAD, title=Text(title, style="dim"), title_justify="left")
        for name in header:
            text = name in ("published, %", "source", "policy", "of", "by")
            table.add_column(name, justify="left" if text else "right")
        for line in lines:
            table.add_row(*map(Text, line))
        tables.append(table)
    return tables


def _named(result: PublishedPlusResult | ReproducedResult) -> str:
    return f"{result.policy} ({result.note})" if result.note else result.policy


def _source(result: PublishedPlusResult | ReproducedResult, *, links: bool) -> str:
    return f"[{result.source}]({result.url})" if links else result.source
