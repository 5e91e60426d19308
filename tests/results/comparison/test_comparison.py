import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from results.comparison.comparison import compare_runs
from results.comparison.text import render_comparison
from results.records import EpisodeRecord, RunInfo
from results.statistics.intervals import tango_interval, wilson_interval
from results.statistics.significance import mcnemar
from results.store import RunStore
from tasks.errors import ResultsError
from tests.results.suite_runs import write_suite_run

FLIPPED = {0: "sssssssssf", 1: "ssssssssff"}
"""Against BASE: 7 episodes that only it wins, 1 that it loses."""

BASE = {0: "ssssffffff", 1: "sssssssffs"}


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return [
        write_suite_run(tmp_path / "base", BASE, films=6),
        write_suite_run(tmp_path / "better", FLIPPED, films=5),
    ]


def test_two_runs_on_the_episodes_they_share(two: list[Path]) -> None:
    (found,) = compare_runs(two)
    a, b = found.runs
    assert (found.suite, len(found.keys)) == ("libero_object", 20)
    assert [(run.tag, run.name, run.successes) for run in (a, b)] == [
        ("A", "base", 12),
        ("B", "better", 17),
    ]
    assert b.interval == (*wilson_interval(17, 20), "Wilson")
    (pair,) = found.pairs
    counts = pair.contrast.counts
    assert counts == (11, 1, 6, 2)
    assert counts.difference == 0.25
    assert pair.contrast.p == pair.contrast.adjusted == mcnemar(1, 6)
    assert pair.interval == (*tango_interval(counts), "Tango")
    assert not pair.contrast.different
    assert pair.detectable is not None
    assert pair.detectable > 0.25
    assert pair.needed_shared is not None
    assert pair.needed_independent is not None
    assert 20 < pair.needed_shared < pair.needed_independent
    assert [(task.task, task.counts) for task in pair.tasks] == [
        (0, (4, 0, 5, 1)),
        (1, (7, 1, 1, 1)),
    ]
    assert found.warnings == ()


def test_flips_come_with_both_videos(two: list[Path]) -> None:
    (pair,) = compare_runs(two)[0].pairs
    flips = {(flip.key.task, flip.key.init_state): flip for flip in pair.flips}
    assert set(flips) == {(0, 4), (0, 5), (0, 6), (0, 7), (0, 8), (1, 7), (1, 9)}
    assert {key for key, flip in flips.items() if flip.winner == 0} == {(1, 9)}
    seen = flips[0, 4]
    assert seen.videos == tuple(run / "videos/libero_object-t0-i4-s7.mp4" for run in two)
    assert seen.steps == (400, 120)
    half = flips[0, 5].videos
    assert (half[0] is None, half[1]) == (False, None)


def test_errors_and_missing_episodes_are_left_out_and_said(tmp_path: Path) -> None:
    runs = [
        write_suite_run(tmp_path / "a", {0: "ssse", 1: "ssss"}),
        write_suite_run(tmp_path / "b", {0: "sfss", 1: "s.ff"}),
    ]
    (found,) = compare_runs(runs)
    assert len(found.keys) == 6
    assert found.pairs[0].contrast.counts == (3, 3, 0, 0)
    said = " ".join(found.warnings)
    assert "A is incomplete: 7 of 8 episodes, 1 broke." in said
    assert "B is incomplete: 7 of 8 episodes." in said
    assert "1 episodes of A are left out" in said


def test_other_protocols_are_refused_unless_forced(tmp_path: Path) -> None:
    other = {"name": "lerobot", "hash": "cccc2222", "steps": {"libero_object": 300}}
    runs = [
        write_suite_run(tmp_path / "a", {0: "sf"}),
        write_suite_run(tmp_path / "b", {0: "ss"}, protocol=other),
    ]
    with pytest.raises(ResultsError, match=r'name: A "openvla", B "lerobot".*--force'):
        compare_runs(runs)
    (found,) = compare_runs(runs, force=True)
    assert found.warnings[0].startswith("Different protocols (A openvla aaaa1111, B lerobot")
    assert "protocol.steps.libero_object" in {each.name for each in found.conditions.settings}
    for format in ("table", "markdown"):
        assert "Different protocols" in render_comparison([found], format)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"packages": {"mujoco": "3.2.3"}}, {"packages": {"mujoco": "3.3.7"}}, "mujoco A"),
        ({"packages": {"robosuite": "1.4.0"}}, {"packages": {}}, "robosuite A"),
        ({"packages": {"hf-libero": "1"}}, {"packages": {"libero": "1"}}, "hf-libero A"),
        ({"gl_renderer": "llvmpipe"}, {"gl_renderer": "NVIDIA"}, 'gl_renderer A "llvmpipe"'),
        ({"init_states": {"0": "aa"}}, {"init_states": {"0": "bb"}}, "init_states.0 A"),
        ({"gl_renderer": "llvmpipe"}, {}, None),
        ({"packages": {"torch": "2.1"}}, {"packages": {"torch": "2.2"}}, None),
        ({"machine": {"cores": 2}}, {"machine": {"cores": 4}}, None),
    ],
)
def test_other_simulators_are_marked(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any], words: str | None
) -> None:
    runs = [
        write_suite_run(tmp_path / "a", {0: "sf"}, provenance=one),
        write_suite_run(tmp_path / "b", {0: "ss"}, provenance=other),
    ]
    (found,) = compare_runs(runs)
    if words is None:
        assert found.warnings == ()
    else:
        assert f"Different simulators: {words}" in found.warnings[0]
    names = {each.name for each in found.conditions.settings}
    assert ("provenance.packages.torch" in names) == ("torch" in str(one))
    assert "provenance.machine.cores" not in names


def test_demos_checkpoints_and_settings_that_differ_are_shown(tmp_path: Path) -> None:
    policy = {"name": "rdt", "exec_horizon": 8, "checkpoint_sha256": "1" * 64}
    runs = [
        write_suite_run(tmp_path / "a", {0: "sf"}, policy=policy, demos="50 human"),
        write_suite_run(
            tmp_path / "b",
            {0: "ss"},
            policy={**policy, "exec_horizon": 16, "checkpoint_sha256": "2" * 64},
            demos="12 scripted",
        ),
    ]
    (found,) = compare_runs(runs)
    assert found.warnings == ('Trained on different demos: A "50 human", B "12 scripted".',)
    assert {each.name: each.values for each in found.conditions.settings} == {
        "policy.exec_horizon": (8, 16),
        "policy.checkpoint_sha256": ("1" * 64, "2" * 64),
        "demos": ("50 human", "12 scripted"),
    }
    assert "12 scripted" in render_comparison([found])


def test_other_scenes_under_the_same_name_are_marked(
    tmp_path: Path, make_info: Callable[..., RunInfo], make_episode: Callable[..., EpisodeRecord]
) -> None:
    for name, scenes in (("a", "xxx"), ("b", "xyx")):
        with RunStore.open(tmp_path / name, make_info(expected_episodes=3)) as store:
            for state, scene in enumerate(scenes):
                store.append(make_episode(state, scene_hash=scene))
    (found,) = compare_runs([tmp_path / "a", tmp_path / "b"])
    assert "1 of 3 shared episodes began in different scenes" in found.warnings[0]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    a = write_suite_run(tmp_path / "a", {0: "sf"})
    other = write_suite_run(tmp_path / "b", {0: "sf"}, suite="libero_goal")
    seed = write_suite_run(tmp_path / "c", {0: "sf"}, seed=8)
    broken = write_suite_run(tmp_path / "d", {0: "ee"})
    for runs, words in (
        ([a, other], r'share no suite \(A "libero_object", B "libero_goal"\)'),
        ([a, seed], r"A has tasks 0, initial states 0, 1 and seeds 7; B has .* seeds 8.*--seed"),
        ([a, broken], "B has no episode that counts"),
        ([a, a], "give two or more, each once"),
        ([a], "give two or more"),
        ([a, tmp_path / "nowhere"], "no run folder"),
    ):
        with pytest.raises(ResultsError, match=words):
            compare_runs(runs)


def test_runs_that_agree_in_everything(tmp_path: Path) -> None:
    runs = [write_suite_run(tmp_path / name, {0: "ssf", 1: "sss"}) for name in "ab"]
    (found,) = compare_runs(runs)
    (pair,) = found.pairs
    assert (pair.contrast.p, pair.needed_shared, pair.flips) == (1.0, None, ())
    assert pair.interval.low < 0 < pair.interval.high
    text = render_comparison([found])
    assert "They are not told apart: p = 1.00" in text
    assert "B − A: 0.0 points" in text


def test_many_runs_get_letters_and_holms_correction(tmp_path: Path) -> None:
    outcomes = {
        "good": {0: "s" * 20, 1: "s" * 18 + "ff"},
        "fair": {0: "s" * 20, 1: "s" * 14 + "f" * 6},
        "poor": {0: "s" * 10 + "f" * 10, 1: "s" * 12 + "f" * 8},
    }
    runs = [write_suite_run(tmp_path / name, tasks) for name, tasks in outcomes.items()]
    (found,) = compare_runs(runs)
    assert [run.letters for run in found.runs] == ["a", "a", "b"]
    p = {(pair.contrast.a, pair.contrast.b): pair.contrast for pair in found.pairs}
    assert p[0, 1].p == p[0, 1].adjusted == mcnemar(0, 4)
    assert p[0, 2].adjusted == pytest.approx(3 * mcnemar(0, 16))
    assert p[1, 2].adjusted == pytest.approx(2 * mcnemar(0, 12))
    text = render_comparison([found], "markdown")
    for part in ("| letter |", "Holm-corrected for 3 pairs", "| C − A | −40.0 |", "| yes |"):
        assert part in text


def test_text_for_people(two: list[Path]) -> None:
    found = compare_runs(two)
    for format in ("table", "markdown"):
        text = render_comparison(found, format)
        for part in (
            "20 episodes that all runs have",
            "95 % interval",
            "64.0–94.8 Wilson",
            "B − A: +25.0 points, 95 % Tango",
            "They are not told apart: p = 0.12",
            "Only A succeeds in 1 episodes, only B in 6; both in 11, neither in 2.",
            "better/videos/libero_object-t0-i4-s7.mp4",
            "6 of these were not filmed by both",
        ):
            assert part in text
        # The episode that both runs filmed comes first.
        few = render_comparison(found, format, flips=1)
        assert "libero_object-t0-i4-s7.mp4" in few
        assert "libero_object-t0-i5-s7.mp4" not in few
        assert "6 more end differently: --flips 7 shows all." in few
    with pytest.raises(ResultsError, match="Allowed: table, markdown, csv, json"):
        render_comparison(found, "xml")  # type: ignore[arg-type]


def test_numbers_for_machines(two: list[Path]) -> None:
    found = compare_runs(two)
    (data,) = json.loads(render_comparison(found, "json", flips=0))
    (pair,) = data["pairs"]
    assert (pair["a"], pair["b"], pair["difference"], pair["p"]) == ("A", "B", 0.25, mcnemar(1, 6))
    assert len(pair["flips"]) == 7
    assert pair["flips"][0]["videos"][1].endswith("better/videos/libero_object-t0-i4-s7.mp4")
    assert [run["rate"] for run in data["runs"]] == [0.6, 0.85]
    lines = list(csv.DictReader(io.StringIO(render_comparison(found, "csv"))))
    assert [(line["task"], line["only_a"], line["only_b"]) for line in lines] == [
        ("", "1", "6"),
        ("0", "0", "5"),
        ("1", "1", "1"),
    ]


def test_square_brackets_are_not_markup(tmp_path: Path) -> None:
    runs = [write_suite_run(tmp_path / name, {0: "sf"}, name="[bold]x") for name in "ab"]
    assert "[bold]x" in render_comparison(compare_runs(runs))
