"""Rows over dimensions of perturbation, for a terminal, Markdown, CSV and JSON."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from results.formatting import markdown_table, visible
from results.robustness.dimensions import DIMENSIONS, PerturbedRow, dimension_names
from results.statistics.clusters import METHOD, ClusteredRate

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

CAPTION = f"95 % {METHOD}: perturbations of one base task succeed and fail together."
_MEANS = (
    "Total is the mean over all tasks of LIBERO-Plus, the mean of seven gives each dimension the "
    "same weight."
)
_PRIDE = "PRIDE weights each paraphrase by its distance from the task's own sentence."

_CSV = ("rate", "low", "high", "successes", "episodes")

_TITLE = "By dimension of perturbation, %"
_TEXTS = ("run", "perturbation", "note")
_SHORT = {"background": "backgr.", "unperturbed": "as it is", "mean of seven": "mean of 7"}
"""Shorter headers for a terminal."""


def perturbed_lines(rows: Sequence[PerturbedRow]) -> list[list[str]]:
    """Return header and cells of a table in text; columns without a word are left out.

    A rate's cell has the rate, its interval and k/n, on a line each.
    """
    names = dimension_names(rows)
    columns: list[tuple[str, list[str]]] = [
        ("run", [f"{row.label}\n{row.suite}" for row in rows]),
        ("perturbation", [row.perturbation or "" for row in rows]),
        ("unperturbed", [_cell(row.unperturbed) for row in rows]),
        *((name, [_cell(row.dimensions.get(name)) for row in rows]) for name in names),
        ("Total", [_cell(row.total) for row in rows]),
        ("mean of seven", [_cell(row.mean, counts=False) for row in rows]),
        ("PRIDE", [_cell(row.pride, counts=False) for row in rows]),
        ("note", ["; ".join(row.notes) for row in rows]),
    ]
    shown = [(head, cells) for head, cells in columns if any(cells)]
    lines = zip(*(cells for _, cells in shown), strict=True)
    return [[head for head, _ in shown], *map(list, lines)]


def perturbed_table(rows: Sequence[PerturbedRow]) -> "Group":
    """Make the tables for a terminal: one of scenes and pictures, and one of other words."""
    from rich.console import Group

    return Group(*map(_table, _by_kind(rows)))


def _by_kind(rows: Sequence[PerturbedRow]) -> list[list[PerturbedRow]]:
    words = [row for row in rows if not set(row.dimensions) & set(DIMENSIONS)]
    return [kind for kind in ([row for row in rows if row not in words], words) if kind]


def _table(rows: Sequence[PerturbedRow]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        header_style="bold",
        title=Text(_TITLE, style="dim"),
        title_justify="left",
        caption=Text(captions(rows), style="dim"),
        caption_justify="left",
    )
    header, *lines = perturbed_lines(rows)
    for name in header:
        side: Literal["left", "right"] = "left" if name in _TEXTS else "right"
        shown = _SHORT.get(name, name)
        table.add_column(shown, justify=side, overflow="fold", no_wrap=name not in _TEXTS)
    for line in lines:
        table.add_row(*(Text(visible(cell)) for cell in line))
    return table


def perturbed_markdown(rows: Sequence[PerturbedRow]) -> str:
    """Write the tables in Markdown, with what must be known of them below."""
    tables = []
    for kind in _by_kind(rows):
        header, *lines = perturbed_lines(kind)
        tables.append(f"{_TITLE}\n\n{markdown_table(header, lines)}\n{captions(kind)}\n")
    return "\n".join(tables)


def captions(rows: Iterable[PerturbedRow]) -> str:
    """Return what a reader must know of rows."""
    rows = list(rows)
    means = [_MEANS] if any(row.mean or row.total for row in rows) else []
    words = [_PRIDE] if any(row.pride for row in rows) else []
    return " ".join([CAPTION, *means, *words])


def perturbed_values(row: PerturbedRow) -> dict[str, Any]:
    """Return a row for machines, rates in [0, 1]; numbers that are not known are null."""
    return {
        "label": row.label,
        "suites": list(row.suites),
        "perturbation": row.perturbation,
        "unperturbed": rate_values(row.unperturbed),
        "dimensions": {name: rate_values(rate) for name, rate in row.dimensions.items()},
        "total": rate_values(row.total),
        "mean_of_seven": rate_values(row.mean),
        "pride": rate_values(row.pride),
        "notes": list(row.notes),
    }


def perturbed_columns(rows: Sequence[PerturbedRow]) -> list[str]:
    """Return the columns that rows have in a CSV file beside those of every run."""
    names = [*dimension_names(rows), "total", "mean_of_seven", "pride"]
    return ["perturbation", *(f"{name}_{part}" for name in names for part in _CSV)]


def perturbed_cells(row: PerturbedRow | None) -> dict[str, float | str | None]:
    """Return the values of a row by the columns of ``perturbed_columns``."""
    if row is None:
        return {}
    named = {**row.dimensions, "total": row.total, "mean_of_seven": row.mean, "pride": row.pride}
    return {"perturbation": row.perturbation} | {
        f"{name}_{part}": getattr(rate, part)
        for name, rate in named.items()
        if rate is not None
        for part in _CSV
    }


def rate_values(rate: ClusteredRate | None) -> dict[str, float] | None:
    """Return a rate for machines."""
    return None if rate is None else rate._asdict()


def _cell(rate: ClusteredRate | None, *, counts: bool = True) -> str:
    if rate is None:
        return ""
    shown = f"{100 * rate.rate:.1f}\n{100 * rate.low:.0f}–{100 * rate.high:.0f}"
    return f"{shown}\n{rate.successes}/{rate.episodes}" if counts else shown
