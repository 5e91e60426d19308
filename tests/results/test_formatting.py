"""Foreign text cannot speak to the terminal."""

import json

import pytest

from results.formatting import visible


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
