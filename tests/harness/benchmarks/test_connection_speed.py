"""Clients that replay recorded observations, on a server in this process and in its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.benchmarks import connection_speed
from harness.benchmarks.connection_speed import compare_connections, recorded_requests
from harness.benchmarks.served_policy import FixedTimeService, ServedPolicyProcess
from harness.benchmarks.tables import connection_table
from harness.benchmarks.throughput_config import ConnectionSpeedConfig
from policies.registry import PolicyConfig
from tasks.errors import ConfigError, HarnessError
from tests.harness.serving.served import serving, tiny_policy
from tests.training.demo_files import write_file
from tests.training.tiny import HORIZON


@pytest.fixture
def demos(tmp_path: Path) -> Path:
    return write_file(tmp_path / "open_the_drawer_demo.hdf5", steps=9)


@contextmanager
def here(checkpoint: Any, *, batch_ms: Any, max_batch: int, **_: Any) -> Iterator[Any]:
    policy = tiny_policy()
    seconds = (batch_ms or 1) / 1e3
    service = FixedTimeService(policy, max_batch=max_batch, seconds=seconds)
    with serving(policy, service, max_batch=max_batch, max_wait_ms=100) as served:
        served.batches = lambda: dict(served.server.batches)  # type: ignore[attr-defined]
        yield served


def test_connections_share_the_batches_of_the_double(
    demos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_speed, "ServedPolicyProcess", here)
    told: list[str] = []
    config = ConnectionSpeedConfig(
        demos=demos, connections=(1, 4), seconds=0.4, repeats=1, batch_ms=100
    )
    figures = list(compare_connections(config, told.append))
    double = "double: 100 ms per batch, whatever its size"
    assert told[:2] == [f"{double}, 1 connection", f"{double}, 4 connections"]
    one, four = figures[:2]
    assert (one.server, one.connections, one.ratio) == (double, 1, 1.0)
    assert one.batch == 1.0 and four.batch > 1.5
    assert four.plans_per_s > one.plans_per_s
    assert one.latency.percentile(50) >= 99 and one.latency.failed == 0
    assert [row.connections for row in figures] == [1, 4, 1, 4]
    assert connection_table(figures).row_count == 4


def test_the_double_stands_still_in_place_of_a_policy_of_goals() -> None:
    policy = tiny_policy(layout="eef-goal")
    service = FixedTimeService(policy, max_batch=1, seconds=0.0)
    with serving(policy, service) as served:
        options = {"host": "127.0.0.1", "port": served.port, "server": "libero-bench"}
        remote = PolicyConfig(name="remote", options=options).build()
        assert remote.spec.horizon == HORIZON  # its plans are finite
        del remote


def test_a_client_that_fails_ends_the_measurement(
    demos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, requests: Any) -> Any:
        raise FloatingPointError("weights are broken")

    monkeypatch.setattr(connection_speed, "ServedPolicyProcess", here)
    monkeypatch.setattr(FixedTimeService, "plan", broken)
    config = ConnectionSpeedConfig(demos=demos, seconds=0.1, repeats=1)
    with pytest.raises(HarnessError, match="weights are broken"):
        list(compare_connections(config, lambda what: None))


@pytest.mark.slow
def test_a_server_in_its_own_process_plans_and_counts(demos: Path) -> None:
    limits = {"max_batch": 2, "max_wait_ms": 1.0, "threads": 1}
    with ServedPolicyProcess(None, batch_ms=1.0, **limits) as server:  # type: ignore[arg-type]
        options = {"host": "127.0.0.1", "port": server.port, "server": "libero-bench"}
        remote = PolicyConfig(name="remote", options=options).build()
        (plan,) = remote.plan(recorded_requests(demos)[:1])
        assert plan.shape == (64, 7) and np.isfinite(plan).all()
        assert server.batches() == {1: 2}  # the first was to know the horizon
        del remote
    with (
        pytest.raises(ConfigError, match="nowhere"),
        ServedPolicyProcess("nowhere", **limits),  # type: ignore[arg-type]
    ):
        pass


def test_demonstrations_that_cannot_be_sent(tmp_path: Path) -> None:
    path = write_file(tmp_path / "open_the_drawer_demo.hdf5", steps=2)  # one pair of rows
    with pytest.raises(ConfigError, match=r"no demonstration with joint positions.*Fix: name"):
        recorded_requests(path)
    with pytest.raises(ConfigError, match="--connections 0 is not allowed"):
        ConnectionSpeedConfig(demos=path, connections=(0,))


def test_recorded_requests_are_steps_of_a_demonstration(demos: Path) -> None:
    requests = recorded_requests(demos)
    assert len(requests) == 7 and {len(each.window) for each in requests} == {2}
    first, second = requests[:2]
    np.testing.assert_array_equal(first.window[1]["agentview"], second.window[0]["agentview"])
    assert requests[0].instruction == "open the drawer"
    assert len({each.seed for each in requests}) == 7
