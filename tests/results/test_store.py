import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from results.folder import load_run
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
with open(store.folder / "episodes.jsonl", "ab") as file:
    file.write(b'{"suite": "libero_90", "ta')
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
