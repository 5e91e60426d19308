import io

import pytest
from rich.console import Console

from harness import display
from harness.display import Lines, progress_bar


def captured(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> io.StringIO:
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=200, color_system=None)
    monkeypatch.setattr(display, "console", console)
    return written


def test_a_log_gets_a_line_at_first_now_and_then_and_at_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = captured(monkeypatch, terminal=False)
    now = [0.0]
    lines = Lines("Evaluating x", None, "step", lambda: now[0])
    for done in range(100):
        lines.at(done, total=200, note="success 1/2", rate=3.0, left_s=75.4)
        now[0] += 1.0
    lines.close()
    said = written.getvalue().splitlines()
    assert [line.split(",")[0].split()[-1] for line in said] == [
        "0/200", "30/200", "60/200", "90/200", "99/200",
    ]  # fmt: skip
    assert said[1] == (
        "Evaluating x: 30/200, success 1/2, 3.00 step/s, 0:00:30 elapsed, 0:01:15 left"
    )


def test_a_log_says_each_state_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = captured(monkeypatch, terminal=False)
    with progress_bar("Training", 5, "update") as bar:
        bar.at(5)
    assert written.getvalue() == "Training: 5/5, 0:00:00 elapsed\n"


def test_a_terminal_shows_the_time_left_that_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    written = captured(monkeypatch, terminal=True)
    with progress_bar("Evaluating x", None, "step") as bar:
        bar.at(3, total=9, note="success 2/3, 1 error", rate=12.5, left_s=61.0)
    shown = written.getvalue()
    for words in ("Evaluating x", "3/9", "12.50 step/s", "success 2/3, 1 error", "0:01:01"):
        assert words in shown
