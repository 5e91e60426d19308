"""An evaluation that is killed again and again ends as one that was left alone."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from results.folder import load_run
from results.records import EpisodeKey, EpisodeRecord
from tests.harness.conftest import ROOT

pytestmark = pytest.mark.slow

KILLS = 20

# One process imports everything and forks one evaluation for each line it reads, so that the kills
# fall into evaluations and not into imports.
FORKS = """
import os, sys, time
from pathlib import Path
from harness.evaluation import plan as evaluation_plan
from harness.evaluation.run import EvaluationConfig, evaluate
from policies.registry import PolicyConfig
from tests.harness.doubles import EchoSpec, RecordingPolicy

class Slow(RecordingPolicy):
    def plan(self, requests):
        time.sleep(seconds_per_plan)
        return super().plan(requests)

def run(out):
    os.dup2(os.open(out + ".log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    config = EvaluationConfig(
        policy=PolicyConfig(name="random"), suite="libero_object", out=Path(out), workers=2,
        episodes=40, exec_horizon=8, record=1,
    )
    evaluate(config, policy=Slow(), environments=EchoSpec(states=40))

evaluation_plan.collect_provenance = lambda renderer: {}
for line in sys.stdin:
    seconds_per_plan = float(line.split()[0])
    child = os.fork()
    if child == 0:
        run(line.split()[1])
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forks:
    """Evaluations in processes of their own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def start(self, out: Path, *, seconds_per_plan: float = 0.0) -> int:
        assert self.process.stdin is not None
        print(seconds_per_plan, out, file=self.process.stdin, flush=True)
        return int(self._plan_requests())

    def ended(self) -> int:
        return int(self._plan_requests())

    def _plan_requests(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture
def forks() -> Iterator[Forks]:
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield Forks(process)
    process.kill()
    process.communicate()


def outcomes(folder: Path) -> dict[EpisodeKey, EpisodeRecord]:
    records = load_run(folder)[1]
    return {r.key: dataclasses.replace(r, wall_s=0.0) for r in records}


def lines_of(folder: Path) -> list[str]:
    path = folder / "episodes.jsonl"
    return path.read_text().splitlines(keepends=True) if path.exists() else []


def wait_for_more(folder: Path, than: int) -> None:
    deadline = time.monotonic() + 60
    while len(lines_of(folder)) <= than:
        assert time.monotonic() < deadline, folder.with_suffix(".log").read_text()[-2000:]
        time.sleep(0.01)


def test_twenty_kills_change_nothing(tmp_path: Path, forks: Forks) -> None:
    moments = random.Random(20)
    run = tmp_path / "run"
    grown = 0
    seen: list[str] = []
    for number in range(KILLS):
        child = forks.start(run, seconds_per_plan=0.02)
        if number % 4:  # the others die while they start
            wait_for_more(run, len(seen))
        time.sleep(moments.uniform(0.0, 0.3))
        os.kill(child, signal.SIGKILL)
        assert forks.ended() == -signal.SIGKILL
        lines = lines_of(run)
        assert lines[: len(seen)] == seen  # what was on record stays
        grown += len(lines) > len(seen)
        seen = [line for line in lines if line.endswith("\n")]
    forks.start(run)
    assert forks.ended() == 0
    assert grown >= KILLS // 2
    assert len(lines_of(run)) == 3 * 40
    assert load_run(run)[0].status == "complete"
    assert len(load_run(run)[0].resumed) >= KILLS // 2

    forks.start(tmp_path / "calm")
    assert forks.ended() == 0
    assert outcomes(run) == outcomes(tmp_path / "calm")
    assert sorted(p.name for p in (run / "videos").iterdir()) == [
        f"libero_object-t{task}-i0-s7.mp4" for task in range(3)
    ]
