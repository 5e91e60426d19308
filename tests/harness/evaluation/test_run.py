"""Whole evaluations with worker processes, on environments that need no LIBERO."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.evaluation import plan as evaluation_plan
from harness.evaluation.config import PINNED, VOLATILE
from harness.evaluation.run import evaluate
from harness.evaluation.scheduler import EvaluationStatus
from policies.registry import PolicyConfig
from results.folder import load_run
from results.leaderboard.rows import rows_from_runs
from results.merging import merge_runs
from results.records import EpisodeKey, EpisodeRecord
from tasks.errors import ConfigError, ResultsError, SpecMismatchError
from tasks.protocols import get_protocol
from tests.harness.conftest import ROOT
from tests.harness.doubles import EchoSpec, RecordingPolicy, Trouble
from tests.harness.evaluation.runs import make, outcome


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})


@pytest.mark.slow
def test_outcomes_do_not_depend_on_workers_or_order(tmp_path: Path) -> None:
    one = evaluate(make(tmp_path / "one"), environments=EchoSpec())
    two = evaluate(make(tmp_path / "two", workers=2), environments=EchoSpec())
    states = (3, 2, 1, 0)
    turned = make(tmp_path / "turned", episodes=None, init_states=states, tasks=(2, 1, 0))
    three = evaluate(turned, environments=EchoSpec())
    assert outcome(one) == outcome(two) == outcome(three)
    assert len(outcome(one)) == 12
    assert {r.outcome for r in outcome(one).values()} == {"success", "failure"}
    info = load_run(one)[0]
    assert info.status == "complete"
    assert info.config["init_states"] == [0, 1, 2, 3]
    assert info.policy["exec_horizon"] == 8


@pytest.mark.slow
def test_a_finished_run_is_left_alone_and_an_unfinished_one_goes_on(tmp_path: Path) -> None:
    config = make(tmp_path / "run", tasks=(0,))
    evaluate(config, environments=EchoSpec())
    lines = (tmp_path / "run" / "episodes.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "episodes.jsonl").write_text("".join(lines[:2]))
    seen: list[EvaluationStatus] = []
    evaluate(dataclasses.replace(config, workers=2), environments=EchoSpec(), progress=seen.append)
    again = (tmp_path / "run" / "episodes.jsonl").read_text().splitlines(keepends=True)
    assert again[:2] == lines[:2]
    assert len(again) == 4
    assert (seen[0].done, seen[-1].done, seen[-1].total) == (2, 4, 4)
    evaluate(config, environments=EchoSpec(unbuildable=True))  # nothing left: nothing built
    with pytest.raises(ResultsError, match="exec_horizon"):
        evaluate(dataclasses.replace(config, exec_horizon=4), environments=EchoSpec())


@pytest.mark.slow
def test_shards_are_a_run_in_parts(tmp_path: Path) -> None:
    whole = outcome(evaluate(make(tmp_path / "whole"), environments=EchoSpec()))
    parts: dict[EpisodeKey, EpisodeRecord] = {}
    for shard in ("1/2", "2/2"):
        folder = tmp_path / shard[0]
        part = outcome(evaluate(make(folder, shard=shard, workers=1), environments=EchoSpec()))
        assert not part.keys() & parts.keys()
        parts |= part
        info = load_run(folder)[0]
        assert (info.config["shard"], info.status, len(part)) == (shard, "complete", 6)
        (row,) = rows_from_runs([load_run(folder)])
        assert (row.episodes, row.expected, row.rank) == (6, 12, None)
    assert parts == whole
    merged = merge_runs(
        [tmp_path / "1", tmp_path / "2"],
        tmp_path / "merged",
        volatile=VOLATILE,
        pinned=PINNED,
    )
    assert merged.complete
    assert outcome(tmp_path / "merged") == whole
    again = evaluate(make(tmp_path / "merged"), environments=EchoSpec(unbuildable=True))
    assert outcome(again) == whole  # nothing left to run
    assert load_run(tmp_path / "whole")[0].config["shard"] is None
    with pytest.raises(ResultsError, match=r'config\.shard: "1/2" here, "2/2" asked'):
        evaluate(make(tmp_path / "1", shard="2/2"), environments=EchoSpec())


@pytest.mark.slow
def test_a_run_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real provenance
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "weights").write_bytes(b"1")
    policy = PolicyConfig(name="mine", checkpoint=str(checkpoint))
    config = make(tmp_path / "run", policy=policy, tasks=(0, 2), episodes=1)
    own = RecordingPolicy(cameras=())
    evaluate(config, policy=own, environments=EchoSpec())
    info = load_run(tmp_path / "run")[0]
    digest = hashlib.sha256(b"1").hexdigest()
    assert info.schema_version == 2
    assert "policy" not in info.config
    assert info.provenance["checkpoint_files"] == {"weights": digest}
    assert info.provenance["init_states"] == {"0": "f" * 64, "2": "f" * 64}
    assert {"git", "python", "packages", "machine", "gl_renderer"} <= info.provenance.keys()
    assert {"mujoco", "robosuite", "torch"} <= info.provenance["packages"].keys()
    assert info.protocol["hash"] == get_protocol().hash
    assert (info.config["seed"], info.config["resolution"]) == (7, 256)
    assert info.config["workers"] >= 1
    evaluate(config, policy=own, environments=EchoSpec())
    (checkpoint / "weights").write_bytes(b"2")
    with pytest.raises(ResultsError, match=r"policy\.checkpoint_sha256"):
        evaluate(config, policy=own, environments=EchoSpec())


def test_settings_are_refused_before_anything_starts(tmp_path: Path) -> None:
    def refused(match: str, **changes: Any) -> None:
        with pytest.raises(ConfigError, match=match):
            evaluate(make(tmp_path / "run", **changes), environments=EchoSpec())
        assert not (tmp_path / "run").exists()

    refused(r"exec_horizon is 65\. Allowed: 1 to 64", exec_horizon=65)
    refused("exec_horizon is 0", exec_horizon=0)
    refused("Unknown fusion 'averge'", fusion="averge")
    refused("Unknown protocol", protocol="openvle")
    refused("suite", suite="libero_objekt")
    refused(r"Tasks \[7\].*0 to 2", tasks=(7,))
    refused("Initial state 10 .*0 to 9", episodes=11)
    refused("Both episodes", init_states=(1,))
    refused("init_states names 1 twice", episodes=None, init_states=(1, 1))
    refused("given twice", tasks=(1, 1))
    refused("Unknown policy", policy=PolicyConfig(name="rdtt"))
    with pytest.raises(ValidationError):
        make(tmp_path, episode_per_task=3)


@pytest.mark.slow
def test_a_policy_made_for_other_conditions_is_refused(tmp_path: Path) -> None:
    class Contract:
        demos: dict[str, Any] = {"label": "12 scripted demos"}  # noqa: RUF012

        def check(self, given: dict[str, Any]) -> None:
            if given["render_size"] != 128:
                raise SpecMismatchError(f"render_size is {given['render_size']}, needed 128")

    policy = RecordingPolicy()
    policy.contract = Contract()  # type: ignore[attr-defined]
    with pytest.raises(SpecMismatchError, match="needed 128"):
        evaluate(make(tmp_path / "run"), policy=policy, environments=EchoSpec())
    assert not (tmp_path / "run").exists()
    config = make(tmp_path / "run", resolution=128, tasks=(0,), episodes=1)
    run = evaluate(config, policy=policy, environments=EchoSpec())
    assert load_run(run)[0].demos == "12 scripted demos"


@pytest.mark.slow
def test_videos_are_made_of_the_first_episodes(tmp_path: Path) -> None:
    places = EchoSpec(folder=str(tmp_path), troubles={(0, 0): Trouble()})
    run = evaluate(make(tmp_path / "run", tasks=(0, 1), episodes=2, record=1), environments=places)
    files = {path.name for path in (run / "videos").iterdir()}
    assert files == {"libero_object-t0-i0-s7.mp4", "libero_object-t1-i0-s7.mp4"}
    for record in outcome(run).values():
        assert (record.video is not None) == (record.init_state == 0)


SCRIPT = """
import signal, sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from harness.evaluation import plan as evaluation_plan
from harness.evaluation.run import EvaluationConfig, evaluate
from policies.registry import PolicyConfig
from tests.harness.doubles import EchoSpec, RecordingPolicy
from tests.harness.evaluation.runs import make, outcome

class Slow(RecordingPolicy):
    def plan(self, requests):
        time.sleep(0.05)
        return super().plan(requests)

if __name__ == "__main__":
    # A shell that starts the tests in the background has its children ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    evaluation_plan.collect_provenance = lambda renderer: {{}}
    config = EvaluationConfig(
        policy=PolicyConfig(name="random"), suite="libero_object", out=Path(sys.argv[1]), workers=2,
        episodes=10,
    )
    evaluate(config, policy=Slow(), environments=EchoSpec())
"""


def start_script(tmp_path: Path) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Start a slow evaluation; return it with its workers' ids once it has some results."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(root=ROOT))
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "run")],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    episodes = tmp_path / "run" / "episodes.jsonl"
    while not (episodes.exists() and episodes.read_text().count("\n") >= 2):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process, workers_of(process.pid)


def workers_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return [int(child) for child, command in commands.items() if b"spawn_main" in command]


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "interrupted"), (signal.SIGKILL, "running")],
)
def test_ending_the_parent_keeps_results_and_ends_workers(
    tmp_path: Path, number: signal.Signals, status: str
) -> None:
    process, workers = start_script(tmp_path)
    assert len(workers) == 2
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    assert process.wait(20) != 0
    deadline = time.monotonic() + 10
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    info, records = load_run(tmp_path / "run")
    assert info.status == status
    assert len(records) >= 2
    for line in (tmp_path / "run" / "episodes.jsonl").read_text().splitlines():
        json.loads(line)
