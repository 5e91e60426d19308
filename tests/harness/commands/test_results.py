"""The commands that read runs: what they print, and what they refuse with one line."""

import csv
import io
import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.evaluation.config import VOLATILE
from results.folder import load_run
from tests.results.suite_runs import write_suite_run


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    a = write_suite_run(tmp_path / "runs/a", {0: "ssss", 1: "ssff"}, films=4)
    b = write_suite_run(tmp_path / "runs/b", {0: "sfss", 1: "ffff"}, films=4)
    return str(a), str(b)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    return line


def test_compare(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *runs]) == 0
    text = capsys.readouterr().out
    for part in ("8 episodes", "B − A: −37.5 points", "p = 0.25", f"{runs[0]}/videos/libero"):
        assert part in text
    assert main(["compare", *runs, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)[0]["pairs"][0]["flips"]) == 3
    assert main(["compare", *runs, "--format", "csv"]) == 0
    assert len(list(csv.reader(io.StringIO(capsys.readouterr().out)))) == 4
    assert main(["compare", *runs, "--format", "markdown", "--flips", "1"]) == 0
    assert "2 more end differently: --flips 3 shows all." in capsys.readouterr().out


def test_compare_refuses(
    tmp_path: Path, runs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "two or more" in refused(["compare", runs[0]], capsys)
    assert "flips" in refused(["compare", *runs, "--flips", "-1"], capsys)
    other = write_suite_run(
        tmp_path / "other", {0: "ssss"}, protocol={"name": "lerobot", "hash": "cccc"}
    )
    assert "--force" in refused(["compare", runs[0], str(other)], capsys)
    assert main(["compare", runs[0], str(other), "--force"]) == 0
    assert "Different protocols" in capsys.readouterr().out


def test_leaderboard_with_published_numbers(
    tmp_path: Path, runs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leaderboard", str(tmp_path / "runs")]) == 0
    alone = capsys.readouterr().out
    assert "letter" in alone
    assert "OpenVLA" not in alone
    assert main(["leaderboard", *runs, "--published"]) == 0
    own, theirs = capsys.readouterr().out.split("Published by others")
    assert ("OpenVLA" in own, "OpenVLA" in theirs) == (False, True)
    assert "--format json" in refused(
        ["leaderboard", *runs, "--published", "--format", "csv"], capsys
    )


def test_merge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = {"tasks": {"libero_object": (0, 1)}, "episodes_per_task": 4}
    for number, outcomes in ((1, {0: "sfss"}), (2, {1: "ssff"})):
        folder = tmp_path / f"shards/{number}"
        # What VOLATILE names may differ: evaluations on other machines differ in it.
        config = {"shard": f"{number}/2", "out": str(folder), "workers": number, "seed": 7}
        assert {"config.out", "config.workers"} <= set(VOLATILE)
        write_suite_run(folder, outcomes, config=config, **whole)
    out = tmp_path / "shards/whole"
    assert main(["merge", str(tmp_path / "shards/1"), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert "4 of 8 episodes" in captured.err
    assert "not given: shards 2/2; incomplete" in " ".join(captured.err.split())
    assert "incomplete 4/8" in " ".join(captured.out.split())
    assert main(["merge", str(tmp_path / "shards"), "--out", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    assert "8 of 8 episodes" in captured.err
    (row,) = json.loads(captured.out)
    assert (row["successes"], row["rank"]) == (5, 1)
    assert load_run(out)[0].status == "complete"
    assert "another folder" in refused(["merge", str(out), "--out", str(out)], capsys)


def test_export(tmp_path: Path, runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", runs[0], "--format", "lerobot"]) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["overall"]["pc_success"] == 75.0
    out = tmp_path / "eval_info.json"
    assert main(["export", runs[0], "--format", "lerobot", "--out", str(out)]) == 0
    assert out.read_text() == text
    capsys.readouterr()
    card = tmp_path / "README.md"
    card.write_text("# Mine\n")
    words = ["export", runs[0], "--format", "model-index", "--out", str(card)]
    assert "--overwrite" in refused(words, capsys)
    assert card.read_text() == "# Mine\n"
    assert main([*words, "--overwrite"]) == 0
    assert "success_rate" in card.read_text()
