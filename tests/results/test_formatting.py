"""Text for terminals and tables; foreign text cannot speak to the terminal."""

import json
from collections.abc import Iterable

import pytest

from results.formatting import brief_spans, check_format, markdown_table, short, spans, visible
from tasks.errors import ResultsError


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\u009b31m"),
        ("a\x7f\x08b\r", r"a\u007f\x08b\x0d"),
        ("name\u202egnp.exe", r"name\u202egnp.exe"),
        ("\u2066x\u2069\ufeff\u200b", r"\u2066x\u2069\ufeff\u200b"),
        ("file\udcff", r"file\udcff"),
        ("\U000e0041", r"\udb40\udc41"),
        ("é → 桌 \U0001f600\n\tx", "é → 桌 \U0001f600\n\tx"),
    ],
)
def test_control_characters_are_written_out(given: str, shown: str) -> None:
    assert visible(given) == shown
    assert visible(shown) == shown


def test_json_stays_json() -> None:
    hostile = "".join(map(chr, range(0x20))) + "\x7f\x9b\u202e\U000e0041 é"
    assert json.loads(visible(json.dumps(hostile, ensure_ascii=False))) == hostile


@pytest.mark.parametrize(
    ("indices", "text"),
    [((), ""), ((3,), "3"), ((0, 1), "0–1"), ((7, 0, 2, 1, 1), "0–2, 7"), (range(10), "0–9")],
)
def test_consecutive_indices_are_a_span(indices: Iterable[int], text: str) -> None:
    assert spans(indices) == text


def test_many_spans_are_counted() -> None:
    assert brief_spans((3, 5, 7, 9, 11, 13, 15, 17)) == "3, 5, 7, 9, 11, 13, 15, 17"
    assert brief_spans((19, 3, 5, 7, 9, 11, 13, 15, 17, 3)) == "9 of 3–19"
    assert brief_spans(range(90)) == "0–89"
    assert brief_spans(number for number in range(9) if number != 4) == "0–3, 5–8"


def test_long_values_are_cut_to_the_limit() -> None:
    assert short(None) == "none"
    assert short({"é": [1, "a"]}) == '{"é": [1, "a"]}'
    assert short("x" * 58) == f'"{"x" * 58}"'
    assert short("x" * 59) == f'"{"x" * 58}…'
    assert len(short("x" * 99, limit=9)) == 9


def test_cells_of_markdown_stay_in_their_table() -> None:
    table = markdown_table(["a", "b"], [["1 | 2", "<b>&\nc"]], right=[False, True])
    assert table == "| a | b |\n| --- | ---: |\n| 1 \\| 2 | &lt;b>&amp; c |\n"


def test_an_unknown_format_names_the_others() -> None:
    check_format("csv")
    with pytest.raises(ResultsError, match=r"'xml'\. Allowed: table, markdown, csv, json"):
        check_format("xml")
