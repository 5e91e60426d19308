"""Values as text, in a terminal, in Markdown, CSV and JSON."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from tasks.errors import ResultsError

if TYPE_CHECKING:
    from rich.console import Console

Format = Literal["table", "markdown", "csv", "json"]

_CONTROL_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Control characters except tab and line feed, invisible characters, those that change the
direction of writing, and surrogates, which stand for the bytes of file names that are no text."""


def visible(text: str) -> str:
    r"""Escape the characters that a terminal would obey or hide, such as ``\x1b`` for ESC.

    Names and notes in run folders, demo files and scripts are written by others: unescaped, they
    could move the cursor, change colours or reverse the direction of writing. JSON stays JSON.
    """
    return _CONTROL_CHARACTERS.sub(lambda match: escaped(match[0]), text)


def escaped(text: str) -> str:
    r"""Write every character as ``\x1b`` below a space and as ``\u202e`` above it, as JSON does."""
    units = text.encode("utf-16-be", "surrogatepass")
    codes = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(f"\\x{code:02x}" if code < ord(" ") else f"\\u{code:04x}" for code in codes)


def short(value: object, limit: int = 60) -> str:
    """Write a value as JSON on one line of limited length."""
    text = json.dumps(value, ensure_ascii=False, default=str) if value is not None else "none"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


_MOST_SPANS = 8


def spans(indices: Iterable[int]) -> str:
    """Write indices, in any order, with consecutive ones as a span, such as ``0–4, 7``."""
    ranges: list[list[int]] = []
    for index in sorted(set(indices)):
        if ranges and index == ranges[-1][1] + 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in ranges)


def brief_spans(indices: Iterable[int]) -> str:
    """Write indices as ``spans`` does; of more than eight spans, ``50 of 303–2309``."""
    distinct = sorted(set(indices))
    text = spans(distinct)
    if text.count(",") < _MOST_SPANS:
        return text
    return f"{len(distinct)} of {distinct[0]}–{distinct[-1]}"


def check_format(format: str) -> None:
    """Refuse a format other than those of ``Format``.

    Raises:
        ResultsError: The format is unknown.
    """
    if format not in get_args(Format):
        raise ResultsError(f"Unknown format '{format}'. Allowed: {', '.join(get_args(Format))}.")


def plain_text(show: "Callable[[Console], None]") -> str:
    """Return what a function prints, without colours and at a width that no terminal decides."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=200, color_system=None)
    with console.capture() as capture:
        show(console)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def markdown_table(
    header: Sequence[str], lines: Sequence[Sequence[str]], right: Sequence[bool] = ()
) -> str:
    """Write a table in Markdown.

    Args:
        header: Names of the columns.
        lines: Cells of each row, not yet escaped.
        right: Which columns are aligned to the right; none by default.

    Returns:
        The table, ending in a newline.
    """
    rule = ["---:" if end else "---" for end in right or [False] * len(header)]
    cells = [[markdown_cell(cell) for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in [list(header), rule, *cells])


def markdown_cell(text: str) -> str:
    """Escape text for a cell of a Markdown table; line breaks become spaces."""
    for character, escape in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("\n", " ")):
        text = text.replace(character, escape)
    return text


def csv_table(header: Sequence[str], lines: Iterable[Mapping[str, Any]]) -> str:
    """Write lines of named values as CSV, with a header."""
    file = io.StringIO()
    writer = csv.DictWriter(file, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()


def json_text(values: object) -> str:
    """Write values as indented JSON, ending in a newline."""
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
