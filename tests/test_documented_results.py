"""Results in the documents: each table is what its command prints from the records beside it."""

import re
import shlex
from pathlib import Path

import pytest

from harness.cli import main

ROOT = Path(__file__).parent.parent

TABLES = {
    "docs/real-time.md": "leaderboard docs/real-time-runs --by-delay --format markdown",
    "docs/study.md": "study docs/eight-claims --report --format markdown",
}
"""Documents, and the command whose tables each shows."""


@pytest.mark.parametrize("page", TABLES)
def test_tables_are_what_their_command_prints(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / page).read_text("utf-8")
    command = TABLES[page]
    assert f"libero-bench {command}" in text
    assert main(shlex.split(command)) == 0
    tables = re.findall(r"(?:^\|.*\n)+", capsys.readouterr().out, re.MULTILINE)
    assert tables
    for table in tables:
        assert table.count("\n") > 3
        assert table in text
