import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from results.folder import load_run
from results.merging import merge_runs
from results.records import EpisodeRecord, RunInfo
from results.store import RunStore
from tasks.errors import ResultsError
from tests.results.suite_runs import write_suite_run

VOLATILE = ("config.workers", "config.out")
ROOT = Path(__file__).parents[2]


def write_shard(folder: Path, part: str, outcomes: dict[int, str], **changes: Any) -> Path:
    """Write a part of a run of two tasks with four initial states each."""
    fields = {
        "tasks": {"libero_object": (0, 1)},
        "episodes_per_task": 4,
        "expected_episodes": sum(len(letters.replace(".", "")) for letters in outcomes.values()),
        "config": {"shard": part, "out": str(folder), "workers": 2, "seed": 7},
        "name": "whole",
    }
    return write_suite_run(folder, outcomes, **{**fields, **changes})


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    return [
        write_shard(tmp_path / "s1", "1/3", {0: "sfs"}, films=1),
        write_shard(tmp_path / "s2", "2/3", {0: "...f", 1: "ss"}, films=1),
        write_shard(tmp_path / "s3", "3/3", {1: "..fs"}),
    ]


def outcomes(folder: Path) -> dict[tuple[int, int], str]:
    return {(r.task, r.init_state): r.outcome[0] for r in load_run(folder)[1]}


WHOLE = dict(zip([(t, i) for t in (0, 1) for i in range(4)], "sfsfssfs", strict=True))


def test_shards_become_one_run(tmp_path: Path, shards: list[Path]) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    merged = merge_runs(shards, tmp_path / "all", volatile=VOLATILE)
    assert (merged.episodes, merged.expected, merged.complete) == (8, 8, True)
    assert (merged.absent_shards, merged.lost_videos, merged.errors) == ((), 0, 0)
    info, records = load_run(tmp_path / "all")
    assert outcomes(tmp_path / "all") == WHOLE
    assert len(records) == len((tmp_path / "all/episodes.jsonl").read_text().splitlines()) == 8
    assert (info.status, info.expected_episodes, info.name) == ("complete", 8, "whole")
    assert info.config["shard"] is None
    videos = [record.video for record in records if record.video]
    assert videos == ["videos/libero_object-t0-i0-s7.mp4", "videos/libero_object-t1-i0-s7.mp4"]
    assert (tmp_path / "all" / videos[0]).samefile(shards[0] / videos[0])
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "s1", "s2", "s3"]


def test_a_merged_run_goes_on_as_the_whole_run(tmp_path: Path, shards: list[Path]) -> None:
    merge_runs(shards[:2], tmp_path / "all", volatile=VOLATILE)
    asked = load_run(shards[0])[0]
    config = {"shard": None, "out": "all", "workers": 9, "seed": 7}
    whole = RunInfo(
        **{
            **{name: getattr(asked, name) for name in ("name", "policy", "protocol", "tasks")},
            "episodes_per_task": 4,
            "expected_episodes": 8,
            "config": config,
        }
    )
    with RunStore.open(tmp_path / "all", whole, volatile=VOLATILE) as store:
        assert len(store.finished()) == 6


def test_missing_shards_are_said_and_merged_later(tmp_path: Path, shards: list[Path]) -> None:
    out = tmp_path / "all"
    merged = merge_runs([shards[0], shards[2]], out, volatile=VOLATILE)
    assert (merged.episodes, merged.complete, merged.absent_shards) == (5, False, ("2/3",))
    assert load_run(out)[0].status == "interrupted"
    merged = merge_runs(shards, out, volatile=VOLATILE)
    assert (merged.complete, merged.absent_shards) == (True, ())
    assert outcomes(out) == WHOLE
    assert load_run(out)[0].status == "complete"
    text = (out / "episodes.jsonl").read_text()
    merge_runs(shards, out, volatile=VOLATILE)
    assert (out / "episodes.jsonl").read_text() == text


def test_what_a_shard_finishes_later_replaces_an_error(
    tmp_path: Path, make_episode: Callable[..., EpisodeRecord]
) -> None:
    shard = write_shard(tmp_path / "s", "1/2", {0: "ssse"})
    out = tmp_path / "all"
    merged = merge_runs([shard], out, volatile=VOLATILE)
    assert (merged.errors, merged.episodes) == (1, 4)
    info = load_run(shard)[0]
    with RunStore.open(shard, info) as store:
        again = make_episode(3, suite="libero_object", task=0, task_name="task_0", attempt=2)
        store.append(again)
    assert merge_runs([shard], out, volatile=VOLATILE).errors == 0
    assert load_run(out)[1][-1].attempt == 2
    # The other way round nothing is lost either.
    broken = write_shard(tmp_path / "t", "2/2", {0: "...e"})
    assert merge_runs([broken, shard], tmp_path / "both", volatile=VOLATILE).errors == 0


def test_records_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    one = write_shard(tmp_path / "one", "1/2", {0: "ssff"})
    same = write_shard(tmp_path / "same", "2/2", {0: "..ff"}, films=4)
    other = write_shard(tmp_path / "other", "2/2", {0: "..fs"})
    with pytest.raises(ResultsError, match=r"initial state 3, seed 7 has outcome failure in .*one"):
        merge_runs([one, other], tmp_path / "all", volatile=VOLATILE)
    assert not (tmp_path / "all").exists()
    merge_runs([one, same], tmp_path / "all", volatile=VOLATILE)
    # Of two equal records the one with a video is kept.
    filmed = [record.video is not None for record in load_run(tmp_path / "all")[1]]
    assert filmed == [False, False, True, True]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"policy": {"name": "rdt-small", "exec_horizon": 16, "fusion": "none"}}, "exec_horizon"),
        ({"protocol": {"name": "openvla", "hash": "ffff"}}, r"protocol\.hash"),
        ({"config": {"shard": "2/2", "seed": 8, "workers": 2, "out": ""}}, r"config\.seed: 7"),
        ({"provenance": {"packages": {"mujoco": "3.3.7"}}}, r"packages\.mujoco"),
        ({"demos": "50 human"}, "demos"),
    ],
)
def test_other_configurations_are_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    usual = {"packages": {"mujoco": "3.2.3"}, "machine": "a"}
    one = write_shard(tmp_path / "one", "1/2", {0: "ssff"}, provenance=usual)
    other = write_shard(tmp_path / "other", "2/2", {1: "ssff"}, **changes)
    with pytest.raises(ResultsError, match=f"not parts of one run.*{words}"):
        merge_runs([one, other], tmp_path / "all", volatile=VOLATILE, pinned=["packages.mujoco"])
    assert not (tmp_path / "all").exists()


def test_other_machines_are_noted_once(tmp_path: Path) -> None:
    one = write_shard(tmp_path / "one", "1/2", {0: "ssff"}, provenance={"machine": "a", "git": 1})
    other = write_shard(
        tmp_path / "other", "2/2", {1: "ssff"}, provenance={"machine": "b", "git": 1}
    )
    for _ in range(2):
        merge_runs([one, other], tmp_path / "all", volatile=VOLATILE)
    info = load_run(tmp_path / "all")[0]
    assert info.provenance == {"machine": "a", "git": 1}
    assert [again.changed for again in info.resumed if again.changed] == [{"machine": "b"}]


def test_videos_of_one_name_keep_apart(
    tmp_path: Path, make_info: Callable[..., RunInfo], make_episode: Callable[..., EpisodeRecord]
) -> None:
    for place in (0, 1):
        folder = tmp_path / f"s{place}"
        with RunStore.open(folder, make_info(episodes_per_task=2)) as store:
            (folder / "videos").mkdir()
            (folder / "videos/film.mp4").write_text(f"film {place}")
            store.append(make_episode(1 - place, video="videos/film.mp4"))
    for order in ([1], [0, 1]):
        merge_runs([tmp_path / f"s{place}" for place in order], tmp_path / "all")
    shown = {
        record.init_state: (tmp_path / "all" / str(record.video)).read_text()
        for record in load_run(tmp_path / "all")[1]
    }
    assert shown == {0: "film 1", 1: "film 0"}


def test_a_lost_video_is_counted_and_found_later(tmp_path: Path, shards: list[Path]) -> None:
    film = shards[0] / "videos/libero_object-t0-i0-s7.mp4"
    elsewhere = film.rename(tmp_path / "elsewhere.mp4")
    assert merge_runs(shards, tmp_path / "all", volatile=VOLATILE).lost_videos == 1
    elsewhere.rename(film)
    assert merge_runs(shards, tmp_path / "all", volatile=VOLATILE).lost_videos == 0
    assert (tmp_path / "all/videos" / film.name).samefile(film)


def test_other_folders_are_left_alone(tmp_path: Path, shards: list[Path]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").touch()
    with pytest.raises(ResultsError, match=r"thesis\.tex.*new folder"):
        merge_runs(shards, tmp_path / "mine", volatile=VOLATILE)
    with pytest.raises(ResultsError, match="is a file"):
        merge_runs(shards, tmp_path / "mine/thesis.tex", volatile=VOLATILE)
    for runs, out in (([], "all"), ([shards[0], shards[0]], "all"), (shards, "s1")):
        with pytest.raises(ResultsError, match="another folder for --out"):
            merge_runs(runs, tmp_path / out, volatile=VOLATILE)
    (tmp_path / "empty").mkdir()
    assert merge_runs(shards, tmp_path / "empty", volatile=VOLATILE).complete
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


KILLED = """
import os, signal, sys
from pathlib import Path
from results import merging
from results.store import RunStore
append, count = RunStore.append, 0
def dying(self, record):
    global count
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    append(self, record)
RunStore.append = dying
root = Path(sys.argv[1])
merging.merge_runs([root / f"s{n}" for n in sys.argv[3]], root / "all", volatile=sys.argv[4:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 3])
def test_a_killed_merge_shows_nothing_and_is_done_again(
    tmp_path: Path, shards: list[Path], after: int
) -> None:
    words = [str(tmp_path), str(after), "123", *VOLATILE]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "all").exists()
    assert not any("merging" in str(path) for path in tmp_path.glob("*/run.json"))
    assert merge_runs(shards, tmp_path / "all", volatile=VOLATILE).complete
    assert outcomes(tmp_path / "all") == WHOLE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "s1", "s2", "s3"]


def test_a_merge_killed_while_adding_keeps_what_was_there(
    tmp_path: Path, shards: list[Path]
) -> None:
    out = tmp_path / "all"
    merge_runs(shards[:1], out, volatile=VOLATILE)
    words = [str(tmp_path), "2", "123", *VOLATILE]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(load_run(out)[1]) == 5
    assert load_run(out)[0].status == "running"
    assert merge_runs(shards, out, volatile=VOLATILE).complete
    assert outcomes(out) == WHOLE
