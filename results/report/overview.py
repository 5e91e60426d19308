"""The leaderboard's cells for the page, with what each is sorted by."""

from collections.abc import Sequence
from dataclasses import dataclass

from results.leaderboard.columns import (
    Column,
    common_cells,
    footnotes,
    interval_header,
    shown_columns,
)
from results.leaderboard.rows import LeaderboardRow

_MERGED = ("interval", "notes")
_LOW_FIRST = ("rank", "steps", "steps_to_success", "errors")


@dataclass(frozen=True, kw_only=True)
class HeaderCell:
    """The head of a column."""

    key: str
    """The column's key, for the style sheet."""

    title: str
    """What is written."""

    numeric: bool
    """Whether it is set to the right and sorted by number."""

    low_first: bool
    """Whether the first click sorts upwards: text, and numbers of which less is better."""


@dataclass(frozen=True, kw_only=True)
class OverviewCell:
    """A cell of the table."""

    key: str
    """The column's key."""

    text: str
    """What is written; empty where there is nothing to say."""

    value: str
    """What it is sorted by; empty sorts last."""

    numeric: bool
    """Whether it is set to the right."""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The leaderboard as the page shows it: the interval and the notes have no columns there."""

    heads: tuple[HeaderCell, ...]
    """The columns."""

    lines: tuple[tuple[LeaderboardRow, tuple[OverviewCell, ...]], ...]
    """The rows with their cells."""

    common: tuple[tuple[str, str], ...]
    """What is the same in every row: header and text."""

    footnotes: tuple[str, ...]
    """What to know of the statistics."""


def overview_of(rows: Sequence[LeaderboardRow]) -> Overview:
    """Lay out the leaderboard.

    Args:
        rows: Rows of ``rows_from_runs``.
    """
    common = common_cells(rows)
    columns = [column for column in shown_columns(rows) if column.key not in {*_MERGED, *common}]
    interval = f"{interval_header(rows).removesuffix(' interval')} interval"
    heads = tuple(
        HeaderCell(
            key=column.key,
            title=f"{column.header}, {interval}" if column.key == "rate" else column.header,
            numeric=column.numeric,
            low_first=not column.numeric or column.key in _LOW_FIRST,
        )
        for column in columns
    )
    lines = tuple((row, tuple(_cell(column, row) for column in columns)) for row in rows)
    return Overview(
        heads=heads, lines=lines, common=tuple(common.values()), footnotes=tuple(footnotes(rows))
    )


def _cell(column: Column, row: LeaderboardRow) -> OverviewCell:
    text = column.text(row)
    value: str = text
    if column.numeric:
        number = next(iter(column.values(row).values()))
        value = "" if number is None else repr(number)
    return OverviewCell(key=column.key, text=text, value=value, numeric=column.numeric)
