"""``libero-bench report``: which runs it takes, what it writes, and what it refuses."""

import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

from harness.cli import main
from results.folder import find_runs
from tasks.errors import ResultsError
from tests.harness.sweep import OUTCOMES, make_sweep

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("runs") / "sweep"
    make_sweep(home / "deep")
    return home


@pytest.mark.slow
def test_runs_are_found_at_any_depth_and_once(sweep: Path) -> None:
    runs = find_runs([sweep])
    assert [run.name for run in runs] == ["h16-act", "h16-none", "h8-none"]
    assert find_runs([runs[2], sweep, runs[0]]) == [runs[2], runs[0], runs[1]]
    assert find_runs([runs[0] / ".." / "h8-none"]) == [runs[0] / ".." / "h8-none"]
    for nothing, words in [(runs[0] / "videos", "holds no run"), (sweep / "no", "is no folder")]:
        with pytest.raises(ResultsError, match=words):
            find_runs([sweep, nothing])


@pytest.mark.slow
def test_the_folder_is_complete_by_itself(sweep: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "page"
    assert main(["report", str(sweep), "--out", str(out), "--title", "A <b>sweep</b>"]) == 0
    assert str(out / "index.html") in " ".join(capsys.readouterr().err.split())
    moved = tmp_path / "elsewhere"
    out.rename(moved)
    html = (moved / "index.html").read_text()
    assert "A &lt;b&gt;sweep&lt;/b&gt;" in html
    videos = [moved / unquote(unescape(s)) for s in re.findall(r'<video src="([^"]*)"', html)]
    letters = "".join(OUTCOMES.values())
    assert len(videos) == letters.count("s") + letters.count("f")
    assert all(video.resolve().is_relative_to(moved.resolve()) for video in videos)
    assert all(video.stat().st_size > 1000 for video in videos)
    assert html.count('preload="none"') == len(videos)


def test_it_tells_machines_what_it_wrote_and_replaces_its_own_page(
    sweep: Path, tmp_path: Path, capsys
) -> None:
    run = sweep / "deep" / "h8-none"
    for title in ("first", "second"):
        words = ["report", str(run), "--out", str(tmp_path), "--title", title, "--json"]
        assert main(words) == 0
        said = json.loads(capsys.readouterr().out)
        assert said == {"page": str(tmp_path / "index.html"), "runs": [str(run)]}
    html = (tmp_path / "index.html").read_text()
    assert "second" in html
    assert "first<" not in html
    assert 'id="pairs"' not in html


@pytest.mark.parametrize("trouble", ["foreign", "file", "no run", "damaged", "no out"])
def test_what_it_refuses(sweep: Path, tmp_path: Path, capsys, trouble: str) -> None:
    run, out = tmp_path / "run", tmp_path / "page"
    shutil.copytree(sweep / "deep" / "h8-none", run)
    words = ["report", str(run), "--out", str(out)]
    expected = {
        "foreign": "was not made by libero-bench",
        "file": "is a file",
        "no run": "holds no run",
        "damaged": "is damaged",
        "no out": "--out",
    }[trouble]
    if trouble == "foreign":
        out.mkdir()
        (out / "index.html").write_text("<h1>My thesis</h1>")
    elif trouble == "file":
        out.write_text("precious")
    elif trouble == "no run":
        (run / "run.json").unlink()
    elif trouble == "damaged":
        (run / "run.json").write_text('{"schema_version": 1')
    else:
        words = words[:2]
    before = sorted(tmp_path.rglob("*"))
    assert main(words) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("libero-bench: ")
    assert expected in message
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize("ci", ["true", ""])
def test_a_missing_browser_is_named_and_fails_on_ci(tmp_path: Path, ci: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root could have installed it")
    options = ["-rs", "-k", "sorted", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/harness/test_report_browser.py"],
        cwd=ROOT,
        env=os.environ | {"PATH": str(tmp_path), "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "apt-get install --no-install-recommends chromium chromium-driver" in done.stdout
    assert done.returncode == (1 if ci else 0)
    assert ("1 skipped" in done.stdout) == (not ci)
