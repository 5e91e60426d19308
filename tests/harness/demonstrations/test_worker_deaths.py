"""Workers that die while they collect: others go on, and nothing counts twice."""

import os
import signal
from pathlib import Path

import pytest

from harness.demonstrations import collection
from harness.demonstrations.attempts import Attempt
from harness.demonstrations.config import CollectionConfig
from harness.processes import WorkerDiedError
from tasks.suites import Task

pytestmark = pytest.mark.slow


def _attempt(config: CollectionConfig, task: Task, parts: Path, index: int) -> Attempt:
    """Note what is finished, as the real one does, and die as often as is asked for."""
    note = parts / f"attempt_{index:05d}.json"
    if index == 1 and not note.exists():
        deaths = config.out / "deaths"
        left = int(deaths.read_text())
        if left:
            deaths.write_text(str(left - 1))
            os.kill(os.getpid(), signal.SIGKILL)
    note.write_text("{}")
    return Attempt(index=index, kept=index != 0, reason="" if index else "unlucky")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CollectionConfig:
    monkeypatch.setattr(collection, "attempt_demo", _attempt)
    monkeypatch.setattr(collection, "merge_demos", lambda *_: None)
    return CollectionConfig(suite="libero_object", tasks=(0,), demos=2, out=tmp_path, workers=1)


def test_others_go_on_where_a_worker_died(config: CollectionConfig) -> None:
    (config.out / "deaths").write_text("2")
    told: list[int] = []
    (done,) = collection.collect(config, lambda task, attempt: told.append(attempt.index))
    assert (config.out / "deaths").read_text() == "0"
    assert told == [0, 1, 2]
    assert (done.kept, done.tried, done.rejected) == (2, 3, {"unlucky": 1})


def test_workers_that_die_every_time_end_the_collection(config: CollectionConfig) -> None:
    (config.out / "deaths").write_text("99")
    with pytest.raises(WorkerDiedError, match="Finished work is kept"):
        collection.collect(config)
    assert int((config.out / "deaths").read_text()) == 99 - 4
