"""A served policy plays the episodes that it plays without a server."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.evaluation.environments import LiberoSpec
from harness.evaluation.run import evaluate
from policies.interface import PlanRequest, Policy, PolicySpec
from policies.registry import PolicyConfig
from tasks.observation import FloatArray
from tasks.protocols import get_protocol
from tests.harness.evaluation.runs import make, outcome
from tests.harness.serving.served import serving, tiny_policy
from tests.training.tiny import HORIZON

SIZE, STEPS, EVERY = 32, 24, HORIZON - 1


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """As eval and serve compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Both:
    """Asks two policies for every plan; the first one's is executed."""

    def __init__(self, alone: Policy, served: Policy) -> None:
        self._policies = alone, served
        self.plans: dict[int, tuple[FloatArray, FloatArray]] = {}

    @property
    def spec(self) -> PolicySpec:
        alone, served = (policy.spec for policy in self._policies)
        assert (alone.history, alone.cameras) == (served.history, served.cameras)
        return replace(alone, name="both")

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        alone, served = (policy.plan(requests) for policy in self._policies)
        for request, *plans in zip(requests, alone, served, strict=True):
            self.plans[request.step] = plans[0], plans[1]
        return alone


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.usefixtures("_one_thread")
def test_every_plan_of_an_episode_is_the_same_behind_a_server(tmp_path: Path) -> None:
    """Bit for bit, so the episode is, too: it follows from its start and its plans."""
    policy = tiny_policy(layout="eef-velocity", render_size=SIZE)
    protocol = replace(get_protocol(resolution=SIZE), max_steps={"libero_object": STEPS})
    with serving(policy) as server:
        options = {"host": "127.0.0.1", "port": server.port, "server": "libero-bench"}
        remote = PolicyConfig(name="remote", options=options).build()
        assert isinstance(remote, Policy)
        both = Both(policy, remote)
        settings = {"episodes": 1, "tasks": (0,), "workers": 1, "exec_horizon": EVERY}
        config = make(tmp_path / "run", **settings, resolution=SIZE)
        environments = LiberoSpec(suite="libero_object", protocol=protocol)
        (record,) = outcome(evaluate(config, policy=both, environments=environments)).values()
        del remote, both._policies  # closes the connection
    assert (record.outcome, record.steps) == ("failure", STEPS)
    assert list(both.plans) == list(range(0, STEPS, EVERY))
    for alone, served in both.plans.values():
        np.testing.assert_array_equal(served, alone)
    assert not np.array_equal(both.plans[0][0], both.plans[EVERY][0])
