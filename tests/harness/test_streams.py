"""What is printed breaks neither the terminal nor the work, whatever is printed and wherever to."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from harness import display
from harness.cli import main
from tasks.errors import Finding
from tests.results.suite_runs import write_suite_run
from tests.training.demo_files import write_file

HOSTILE = "[red]:boom:[/b] \x1b[31m\x1b]0;t\x07\x9b\x7f\u202e\x08"
SHOWN = r"[red]:boom:[/b] \x1b[31m\x1b]0;t\x07\u009b\u007f\u202e\x08"

ROOT = Path(__file__).parents[2]


def harmless(text: str) -> bool:
    return not any(c in text for c in "\x1b\x07\x08\x7f\x9b\u202e")


@pytest.fixture
def demos(tmp_path: Path) -> Path:
    path = write_file(tmp_path / f"{HOSTILE.replace('/', '')}_demo.hdf5")
    with h5py.File(path, "a") as file:
        data = file["data"]
        data.attrs["problem_info"] = json.dumps({"language_instruction": HOSTILE})
        data.attrs["provenance"] = json.dumps({"by": HOSTILE})
        file.move("data/demo_1", f"data/demo_1{HOSTILE.replace('/', '')}")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "how"),
    [("info", []), ("info", ["--json"]), ("check", []), ("preview", [])],
)
@pytest.mark.filterwarnings("error")
def test_hostile_demo_files(tmp_path: Path, demos: Path, capsys, command, how) -> None:
    out = ["--out", str(tmp_path / "out"), "--no-overview"] if command == "preview" else []
    main(["demos", command, str(demos), *out, *how])
    said = capsys.readouterr()
    assert harmless(said.out + said.err)
    assert r"\u202e" in said.out + said.err
    if how and said.out:
        json.loads(said.out)


@pytest.mark.parametrize("command", ["leaderboard", "compare"])
@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json"])
def test_hostile_runs(tmp_path: Path, capsys, command: str, form: str) -> None:
    write_suite_run(tmp_path / "a", {0: "ss"}, name=HOSTILE)
    write_suite_run(tmp_path / "b", {0: "sf"}, name=f"{HOSTILE}2")
    assert main([command, str(tmp_path / "a"), str(tmp_path / "b"), "--format", form]) == 0
    said = capsys.readouterr().out
    assert harmless(said)
    if form == "json":
        plain = json.loads(said)
        first = plain[0] if command == "leaderboard" else plain[0]["runs"][0]
        assert first["label"] == HOSTILE
    elif command == "leaderboard":
        assert SHOWN in said


@pytest.mark.parametrize(
    "words",
    [
        ["demos", "info", f"/nowhere/{HOSTILE}\nlibero-bench: fine"],
        ["leaderboard", f"/nowhere/{HOSTILE}"],
        ["eval", "--policy", HOSTILE, "--suite", "libero_goal", "--out", "x"],
        ["eval", "--policy", "random", "--suite", HOSTILE, "--out", "x"],
        ["run", HOSTILE],
        [f"--{HOSTILE}"],
        [HOSTILE],
    ],
)
def test_hostile_words_in_errors(capsys, words: list[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert harmless(said)
    assert r"\x1b" in said
    assert len(said.splitlines()) == 1


def test_messages_and_bars_show_foreign_text_as_it_is(capsys) -> None:
    display.console.print(f"Written: {HOSTILE}", soft_wrap=True)
    finding = Finding(name="file", status="failed", detail=HOSTILE, fix=HOSTILE)
    display.console.print(display.findings_table([finding]), soft_wrap=True)
    assert capsys.readouterr().err.count(SHOWN) == 3
    screen = io.StringIO()
    terminal = display.VisibleConsole(file=screen, force_terminal=True, width=300)
    terminal.print(HOSTILE, style="red")
    assert SHOWN in screen.getvalue()
    assert "\x1b[31m[red]" in screen.getvalue()  # our own colour works


def test_a_bar_shows_foreign_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = display.VisibleConsole(file=screen, force_terminal=True, width=300)
    monkeypatch.setattr(display, "console", terminal)
    with display.progress_bar(HOSTILE, 2, "step") as bar:
        bar.at(1, note=HOSTILE)
    assert screen.getvalue().count(SHOWN) >= 2


def stdout_of(encoding: str) -> tuple[io.TextIOWrapper, io.BytesIO]:
    raw = io.BytesIO()
    return io.TextIOWrapper(raw, encoding=encoding), raw


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_terminals_without_unicode(tmp_path: Path, monkeypatch, encoding: str) -> None:
    name = "Café → 桌 \U0001f600"
    a, b = (str(write_suite_run(tmp_path / x, {0: y}, name=name)) for x, y in ("as", "bf"))
    demos = write_file(tmp_path / "demos/桌_demo.hdf5")
    for words in (
        ["leaderboard", a, b, "--published"],
        ["compare", a, b],
        ["compare", a, b, "--format", "markdown"],
        ["demos", "info", str(demos)],
        ["demos", "check", str(demos)],
        ["leaderboard", "/nowhere/桌"],
        ["eval", "--help"],
        ["leaderboard", a, b, "--json"],
    ):
        (out, raw), (errors, _) = stdout_of(encoding), stdout_of(encoding)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", errors)
        assert main(words) in (0, 1, 2)
        out.flush()
    assert json.loads(raw.getvalue().decode(encoding))[0]["label"] == name


@pytest.mark.parametrize(
    "words", [["policies", "noop"], ["policies", "noop", "--json"], ["--help"], ["--version"]]
)
def test_a_reader_that_goes_away(monkeypatch, words: list[str], capfd) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        assert main(words) == 141
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="of Linux")
@pytest.mark.parametrize(
    "words", [["policies", "noop"], ["policies", "noop", "--json"], ["--help"], ["--version"]]
)
def test_a_full_disk(monkeypatch, words: list[str], capfd) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "No space left" in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="of Linux")
def test_messages_that_nobody_keeps_stop_no_work(monkeypatch, tmp_path: Path, capfd) -> None:
    run = str(write_suite_run(tmp_path / "a", {0: "ss"}))
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert main(["export", run, "--format", "lerobot", "--out", str(tmp_path / "x.json")]) == 0
        assert main(["leaderboard", "/nowhere"]) == 2
    assert (tmp_path / "x.json").exists()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_process_whose_reader_goes_away_ends_quietly() -> None:
    command = f"{sys.executable} -m harness.cli policies noop | head -0; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (141, "", "")
