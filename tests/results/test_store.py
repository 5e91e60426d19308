import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from results.folder import load_run, read_info
from results.records import EpisodeRecord, RunInfo
from results.store import RunStore
from tasks.errors import ResultsError

Info = Callable[..., RunInfo]
Episode = Callable[..., EpisodeRecord]


def test_a_run_reads_back_as_written(
    tmp_path: Path, make_info: Info, make_episode: Episode
) -> None:
    with RunStore.open(tmp_path / "a" / "run", make_info()) as store:
        store.append(make_episode(0))
        store.append(make_episode(1, "failure"))
        store.finish()
    info, records = load_run(tmp_path / "a" / "run")
    assert info.status == "complete"
    assert info.tasks == {"libero_90": (1,)}
    assert records == [make_episode(0), make_episode(1, "failure")]


def test_resuming_skips_what_is_done_and_retries_errors(
    tmp_path: Path, make_info: Info, make_episode: Episode
) -> None:
    with RunStore.open(tmp_path, make_info()) as store:
        store.append(make_episode(0))
        store.append(make_episode(1, "error"))
    assert load_run(tmp_path)[0].status == "interrupted"

    with RunStore.open(tmp_path, make_info()) as store:
        assert store.info.status == "running"
        assert store.finished() == {make_episode(0).key}
        assert store.finished(keep_errors=True) == {make_episode(0).key, make_episode(1).key}
        assert store.next_attempt(make_episode(1).key) == 2
        assert store.next_attempt(make_episode(2).key) == 1
        store.append(make_episode(1, attempt=2))
    records = load_run(tmp_path)[1]
    assert [(r.init_state, r.outcome, r.attempt) for r in records] == [
        (0, "success", 1),
        (1, "success", 2),
    ]


def begin(folder: Path, info: RunInfo, record: EpisodeRecord, **pinned: list[str]) -> None:
    with RunStore.open(folder, info, **pinned) as store:
        store.append(record)


def test_another_configuration_is_refused_with_the_difference(
    tmp_path: Path, make_info: Info, make_episode: Episode
) -> None:
    policy = {"name": "rdt-small", "exec_horizon": 16, "fusion": "none"}
    begin(tmp_path, make_info(policy=policy), make_episode(1))
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(ResultsError, match=r"exec_horizon: 16 here, 8 asked.*another --out"):
        RunStore.open(tmp_path, make_info())
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_run_without_an_episode_that_counts_gives_way(
    tmp_path: Path, make_info: Info, make_episode: Episode
) -> None:
    folder = tmp_path / "run"
    broken = make_episode(0, outcome="error", error="no EGL", first_success_step=None)
    begin(folder, make_info(), broken)
    (folder / "logs").mkdir()
    (folder / "logs" / "worker-0.log").write_text("no EGL")
    other = make_info(policy={"name": "random"})
    RunStore.check(folder, other)
    assert load_run(folder)[1] == [broken]  # checking takes nothing
    with RunStore.open(folder, other) as store:
        assert (store.records(keep_errors=True), store.info.resumed) == ([], ())
    assert read_info(folder).policy["name"] == "random"
    assert not (folder / "logs").exists()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ResultsError, match="another configuration"):
        RunStore.open(folder, make_info())


@pytest.mark.parametrize(
    ("name", "text", "free"),
    [
        ("train.json", '{"demos": [], "updates": 3, "batch_size": 2}', True),
        ("recipe.json", '{"title": "x", "evaluate": {}, "entries": []}', True),
        ("train.json", '{"images": []}', False),  # somebody's data set
        ("recipe.json", "not JSON", False),
        ("episodes.jsonl", "", False),
        ("train.jsonl", "", False),
    ],
)
def test_settings_of_other_work_give_way_and_what_is_not_ours_does_not(
    tmp_path: Path, make_info: Info, name: str, text: str, free: bool
) -> None:
    (tmp_path / name).write_text(text)
    if free:
        RunStore.open(tmp_path, make_info()).close()
        assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "episodes.jsonl", "run.json"]
    else:
        with pytest.raises(ResultsError, match=f"no run but holds '{name}'"):
            RunStore.open(tmp_path, make_info())
        assert (tmp_path / name).read_text() == text


def test_what_changes_no_outcome_may_differ(
    tmp_path: Path, make_info: Info, make_episode: Episode
) -> None:
    begin(tmp_path, make_info(), make_episode(1))
    other = make_info(config={"workers": 9, "seed": 7}, provenance={"git": "def", "gl": "llvmpipe"})
    with pytest.raises(ResultsError, match=r"config\.workers: 4 here, 9 asked"):
        RunStore.open(tmp_path, other)
    with RunStore.open(tmp_path, other, volatile=["config.workers"]) as store:
        assert store.info.provenance["git"] == "abc"
        assert store.info.resumed[0].changed == {"git": "def"}


def test_what_every_outcome_rests_on_must_not_differ(
    tmp_path: Path, make_info: Info, make_episode: Episode
) -> None:
    def told(mujoco: str, **more: object) -> RunInfo:
        packages = {"mujoco": mujoco, "numpy": mujoco}
        return make_info(provenance={"packages": packages, "init_states": {"1": "aa"}, **more})

    pinned = ["packages.mujoco", "packages.robosuite", "init_states"]
    begin(tmp_path, told("3.2.3"), make_episode(1), pinned=pinned)
    with pytest.raises(ResultsError, match=r'packages\.mujoco: "3\.2\.3" here, "3\.3\.0" asked'):
        RunStore.open(tmp_path, told("3.3.0"), pinned=pinned)
    with pytest.raises(ResultsError, match=r'init_states\.1: "aa" here, "bb" asked'):
        RunStore.open(tmp_path, told("3.2.3", init_states={"1": "bb"}), pinned=pinned)
    with RunStore.open(tmp_path, told("3.3.0"), pinned=["init_states"]) as store:
        assert store.info.provenance["packages"]["mujoco"] == "3.2.3"


@pytest.mark.parametrize("cut", [1, 20, 120])
def test_a_torn_last_line_costs_that_line_at_most(
    tmp_path: Path, make_info: Info, make_episode: Episode, cut: int
) -> None:
    with RunStore.open(tmp_path, make_info()) as store:
        for number in range(3):
            store.append(make_episode(number))
    path = tmp_path / "episodes.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    # Only the newline is gone: the record is whole and is kept.
    left = 3 if cut == 1 else 2
    assert len(load_run(tmp_path)[1]) == left
    with RunStore.open(tmp_path, make_info()) as store:
        assert len(store.finished()) == left
        store.append(make_episode(5))
    assert [r.init_state for r in load_run(tmp_path)[1]] == [*range(left), 5]


def test_a_damaged_line_in_the_middle_is_named(
    tmp_path: Path, make_info: Info, make_episode: Episode
) -> None:
    with RunStore.open(tmp_path, make_info()) as store:
        for number in range(3):
            store.append(make_episode(number))
    path = tmp_path / "episodes.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1][:30] + "\n" + lines[2])
    for read in (lambda: load_run(tmp_path), lambda: RunStore.open(tmp_path, make_info())):
        with pytest.raises(ResultsError, match="line 2 is damaged"):
            read()


def test_one_writer_at_a_time(tmp_path: Path, make_info: Info) -> None:
    with RunStore.open(tmp_path, make_info()):
        with pytest.raises(ResultsError, match=f"being written by process {os.getpid()}"):
            RunStore.open(tmp_path, make_info())
        assert load_run(tmp_path)[0].status == "running"
    RunStore.open(tmp_path, make_info()).close()


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from conftest import episode, info
from results.store import RunStore
store = RunStore.open(sys.argv[1], info())
store.append(episode(0))
store.append(episode(1))
os.write(store._file.fileno(), b'{"suite": "libero_90", "ta')
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_in_the_middle_of_a_line(tmp_path: Path, make_info: Info) -> None:
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(here)], cwd=here.parents[1], check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert load_run(tmp_path)[0].status == "running"
    with RunStore.open(tmp_path, make_info()) as store:
        assert {key.init_state for key in store.finished()} == {0, 1}
    assert (tmp_path / "episodes.jsonl").read_bytes().endswith(b"}\n")


def test_a_start_cut_short_can_be_started_again(tmp_path: Path, make_info: Info) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / "run.json.tmp").write_text("{")
    RunStore.open(tmp_path, make_info()).close()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path, make_info: Info) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ResultsError, match=r"thesis\.tex.*new folder"):
        RunStore.open(tmp_path, make_info())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_episode_of_another_task_is_refused(
    tmp_path: Path, make_info: Info, make_episode: Episode
) -> None:
    with (
        RunStore.open(tmp_path, make_info()) as store,
        pytest.raises(ResultsError, match="task 3 in run"),
    ):
        store.append(make_episode(task=3))


def test_what_is_no_run_is_said_clearly(tmp_path: Path, make_info: Info) -> None:
    with pytest.raises(ResultsError, match="There is no run folder"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(ResultsError, match="is no run"):
        load_run(tmp_path)
    RunStore.open(tmp_path, make_info()).close()
    path = tmp_path / "run.json"
    whole = path.read_text()
    for damaged in (whole[:100], "[]", "{}", whole.replace('"name"', '"nome"', 1)):
        path.write_text(damaged)
        with pytest.raises(ResultsError, match="is damaged") as caught:
            load_run(tmp_path)
        assert "\n" not in str(caught.value)
    path.write_text(json.dumps({**json.loads(whole), "schema_version": 3, "new": 1}))
    with pytest.raises(ResultsError, match=r"schema 3.*update libero-bench"):
        load_run(tmp_path)
