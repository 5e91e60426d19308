"""Evaluations in LIBERO itself."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.evaluation.environments import LiberoSpec
from harness.evaluation.run import EvaluationConfig, evaluate
from policies.interface import PlanRequest, PolicySpec
from policies.registry import PolicyConfig
from results.folder import load_run
from results.records import EpisodeKey, EpisodeRecord
from tasks.observation import FloatArray
from tasks.protocols import get_protocol
from tests.harness.conftest import ROOT

pytestmark = [pytest.mark.sim, pytest.mark.slow]


def outcome(folder: Path) -> dict[EpisodeKey, EpisodeRecord]:
    records = load_run(folder)[1]
    return {r.key: dataclasses.replace(r, wall_s=0.0, video=None) for r in records}


def test_workers_order_and_videos_do_not_change_the_expert(tmp_path: Path) -> None:
    """Steps to success are as sensitive to the trajectory as an outcome can be."""
    config = EvaluationConfig(
        policy=PolicyConfig(name="expert", options={"noise": 0.15}),
        suite="libero_90",
        out=tmp_path / "one",
        tasks=(1,),
        init_states=(0, 1),
        resolution=64,
        workers=1,
    )
    one = outcome(evaluate(config))
    turned = dataclasses.replace(
        config, out=tmp_path / "two", init_states=(1, 0), workers=2, record=1
    )
    two = outcome(evaluate(turned))
    assert one == two
    assert len({record.scene_hash for record in one.values()}) == 2
    assert {record.outcome for record in one.values()} != {"error"}


def test_random_actions_on_two_tasks(tmp_path: Path) -> None:
    config = EvaluationConfig(
        policy=PolicyConfig(name="random"),
        suite="libero_spatial",
        out=tmp_path / "one",
        tasks=(0, 3),
        episodes=1,
        workers=1,
    )
    one = outcome(evaluate(config))
    two = outcome(
        evaluate(dataclasses.replace(config, out=tmp_path / "two", tasks=(3, 0), workers=2))
    )
    assert one == two
    assert [record.outcome for record in one.values()] == ["failure", "failure"]
    assert {record.steps for record in one.values()} == {220}


class Witness:
    """An RDT with random weights that remembers what it was shown and what it answered."""

    def __init__(self, batch_size: int) -> None:
        import torch

        from policies.rdt.checkpoint.contract import Contract
        from policies.rdt.model.presets import build_network
        from policies.rdt.policy import RDTPolicy

        torch.manual_seed(3)
        network = build_network("rdt-small")
        contract = Contract.describe(network, render_size=128)
        self.policy = RDTPolicy(network, contract, batch_size=batch_size)
        self.contract = contract
        self.seen: dict[int, list[bytes]] = {}

    @property
    def spec(self) -> PolicySpec:
        return self.policy.spec

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        plans = self.policy.plan(requests)
        for request, plan in zip(requests, plans, strict=True):
            shown = [
                np.asarray(seen[name]).tobytes()  # type: ignore[literal-required]
                for seen in request.window
                for name in sorted(seen.keys() - {"instruction"})
            ]
            self.seen[request.seed] = [*shown, request.instruction.encode(), plan.tobytes()]
        return plans


def test_pictures_states_and_plans_of_rdt_depend_on_nothing_else(tmp_path: Path) -> None:
    """One worker, two workers, another order: every number that goes to and fro is the same."""
    protocol = get_protocol("openvla", resolution=128)
    short = dataclasses.replace(protocol, max_steps={"libero_object": 24})
    places = LiberoSpec(suite="libero_object", protocol=short)
    one, two = Witness(batch_size=2), Witness(batch_size=2)
    config = EvaluationConfig(
        policy=PolicyConfig(name="rdt"),
        suite="libero_object",
        out=tmp_path / "one",
        tasks=(0, 3),
        episodes=2,
        resolution=128,
        exec_horizon=8,
        workers=1,
    )
    first = outcome(evaluate(config, policy=one, environments=places))
    turned = dataclasses.replace(
        config, out=tmp_path / "two", tasks=(3, 0), episodes=None, init_states=(1, 0), workers=2
    )
    assert outcome(evaluate(turned, policy=two, environments=places)) == first
    assert one.seen == two.seen
    assert len(one.seen) == 4 * 3


EVAL = (
    "eval --policy expert --option.noise 0.15 --suite libero_object --tasks 0,1 --episodes 2 "
    "--workers 2 --out"
)


def start(out: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "harness.cli", *EVAL.split(), str(out)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_kills_lose_no_episode_and_change_none(tmp_path: Path) -> None:
    moments = random.Random(2)
    episodes = tmp_path / "run" / "episodes.jsonl"
    for kept in (0, 1, 2):
        process = start(tmp_path / "run")
        deadline = time.monotonic() + 120
        while not (episodes.exists() and len(episodes.read_text().splitlines()) >= kept):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(moments.uniform(0.0, 0.5))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert len(load_run(tmp_path / "run")[1]) >= kept
    assert start(tmp_path / "run").wait(300) == 0
    assert start(tmp_path / "calm").wait(300) == 0
    assert len(episodes.read_text().splitlines()) == 4
    assert outcome(tmp_path / "run") == outcome(tmp_path / "calm")
