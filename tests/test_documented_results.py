"""Results in the documents: each table is what its command prints from the records beside it."""

import shlex
from pathlib import Path

import pytest

from harness.cli import main

ROOT = Path(__file__).parent.parent

TABLES = {
    "docs/real-time.md": "leaderboard docs/real-time-runs --by-delay --format markdown",
}
"""Documents, and the command whose table each shows."""


@pytest.mark.parametrize("page", TABLES)
def test_a_table_is_what_its_command_prints(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / page).read_text("utf-8")
    command = TABLES[page]
    assert f"libero-bench {command}" in text
    assert main(shlex.split(command)) == 0
    printed = capsys.readouterr().out.strip()
    assert printed.count("\n") > 2
    assert printed in text
