import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

from results.report.page import write_page
from tasks.errors import ResultsError

MakeRun = Callable[..., Path]
HOSTILE = '<script>alert("x")</script>'


def sources(page: Path) -> list[Path]:
    found = re.findall(r'<video src="([^"]*)"', page.read_text())
    return [page.parent / unquote(unescape(source)) for source in found]


def test_rows_and_videos_of_every_run(tmp_path: Path, make_run: MakeRun) -> None:
    runs = [
        make_run("h8", "ssssssssfs", videos=2),
        make_run("h16", "ssfe", videos=1, policy={"name": "rdt", "exec_horizon": 16}),
    ]
    page = write_page(tmp_path / "page", runs, title="Two runs", recipe="libero-bench eval\nagain")
    html = page.read_text()
    for part in ("Two runs", "h16", "90.0 %", "59.6–98.2", "incomplete 3/10", "libero-bench eval"):
        assert part in html
    assert "<svg" in html
    assert len(sources(page)) == 3
    assert all(path.is_file() for path in sources(page))
    assert all(path.is_relative_to(tmp_path / "page") for path in sources(page))
    assert sources(page)[0].stat().st_nlink == 2


def test_videos_below_the_page_stay_where_they_are(tmp_path: Path, make_run: MakeRun) -> None:
    page = write_page(tmp_path, [make_run("h8", "s", videos=1)], title="Here")
    assert sources(page) == [tmp_path / "h8/videos/e 0#1.mp4"]
    assert sources(page)[0].is_file()
    assert not (tmp_path / "videos").exists()


def test_runs_of_the_same_folder_name_keep_their_own_videos(
    tmp_path: Path, make_run: MakeRun
) -> None:
    runs = [make_run("a/run", "s", videos=1), make_run("b/run", "s", videos=1)]
    for _ in range(2):
        page = write_page(tmp_path / "page", runs, title="Twice")
    assert len(set(sources(page))) == 2


def test_nothing_is_fetched_from_elsewhere(tmp_path: Path, make_run: MakeRun) -> None:
    html = write_page(tmp_path / "p", [make_run("h8", "sf", videos=1)], title="Alone").read_text()
    assert "http" not in html
    assert "@import" not in html
    assert not re.findall(r"""(?:src|href)=["']//""", html)


def test_hostile_names_are_text(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(
        "h8", "sf", videos=1, name=HOSTILE, task_name=HOSTILE, demos=HOSTILE, config={"a": HOSTILE}
    )
    html = write_page(tmp_path / "page", [run], title=HOSTILE, recipe=HOSTILE).read_text()
    assert HOSTILE not in html
    assert html.count("<script>") == 1
    assert "&lt;script&gt;" in html


def test_a_missing_video_is_said_and_not_shown(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run("h8", "sf", videos=2)
    (run / "videos/e 0#1.mp4").unlink()
    page = write_page(tmp_path / "page", [run], title="Lost")
    assert len(sources(page)) == 1
    assert "1 recorded video was not found" in page.read_text()


def test_empty_and_absent_runs(tmp_path: Path, make_run: MakeRun) -> None:
    assert (
        "incomplete 0/10" in write_page(tmp_path / "p", [make_run("e", "")], title="0").read_text()
    )
    write_page(tmp_path / "none", [], title="No run yet")
    with pytest.raises(ResultsError, match="no run folder"):
        write_page(tmp_path / "q", [tmp_path / "nowhere"], title="1")
    assert not (tmp_path / "q").exists()
