"""Evaluations of a policy that is served over the network."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.sync.server import ServerConnection

from harness.cli import main
from harness.evaluation import plan as evaluation_plan
from harness.evaluation import workload
from results.folder import load_run
from tests.harness.doubles import EchoSpec
from tests.policies.remote.server import (
    HORIZON,
    PolicyServer,
    answer,
    broken,
    drop,
    plan_for,
    sends,
    write_array,
)
from tests.policies.remote.starvla_server import CHUNK, StarVLAServer


@pytest.fixture(autouse=True)
def _no_libero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})
    monkeypatch.setattr(workload, "LiberoSpec", lambda **_: EchoSpec())


def words(out: Path, port: int, **changes: str) -> list[str]:
    options = {"host": "127.0.0.1", "port": str(port), "retries": "0", "wait": "0"} | changes
    command = ["eval", "--policy", "remote", "--suite", "libero_object", "--tasks", "0"]
    command += ["--episodes", "3", "--workers", "2", "--out", str(out), "--json"]
    for name, value in options.items():
        command += [f"--option.{name}", value]
    return command


@pytest.mark.slow
def test_a_served_policy_is_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with PolicyServer() as server:
        assert main(words(tmp_path / "run", server.port)) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["label"], row["episodes"], row["exec_horizon"]) == ("remote", 3, 5)
    info, records = load_run(tmp_path / "run")
    assert info.provenance["policy_server"]["metadata"]["model"] == "pi0_libero"
    # One request to learn the horizon, then one for each plan of each episode.
    assert len(server.requests) == 1 + sum(record.plans for record in records)
    assert {request["prompt"] for request in server.requests[1:]} == {"do task 0"}
    assert info.latency is not None and row["latency"]["requests"] == info.latency.requests
    assert info.latency.requests == sum(record.plans for record in records)


@pytest.mark.slow
def test_a_starvla_server_is_evaluated_with_the_requests_that_wait_in_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with StarVLAServer() as server:
        assert main(words(tmp_path / "run", server.port, server="starvla")) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["episodes"], row["exec_horizon"]) == (3, CHUNK)
    info, records = load_run(tmp_path / "run")
    assert info.provenance["policy_server"]["metadata"]["env"] == "starvla_policy_server"
    asked = [len(message["payload"]["examples"]) for message in server.messages[1:]]
    assert sum(asked) == sum(record.plans for record in records)


@pytest.mark.slow
def test_a_server_that_breaks_on_one_request_costs_at_most_a_retry(tmp_path: Path) -> None:
    with PolicyServer(answer, broken) as server:
        assert main(words(tmp_path / "run", server.port)) == 0
    records = load_run(tmp_path / "run")[1]
    assert sorted(record.attempt for record in records) == [1, 1, 2]
    assert {record.outcome for record in records} == {"failure"}
    with PolicyServer(answer, usual=broken) as server:
        assert main(words(tmp_path / "all", server.port)) == 1
    records = load_run(tmp_path / "all")[1]
    assert {record.outcome for record in records} == {"error"}
    assert "KeyError: 'state' (policy.py, line 72, in infer)" in (records[0].error or "")


@pytest.mark.slow
def test_a_server_that_goes_away_ends_the_run_which_goes_on_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with PolicyServer(*[answer] * 15, usual=drop) as server:
        assert main(words(out, server.port)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("libero-bench: The policy server at")
    assert "the same command goes on" in error
    info, before = load_run(out)
    assert info.status == "interrupted"
    with PolicyServer() as server:
        assert main(words(out, server.port, timeout="9", retries="2")) == 0
    info, records = load_run(out)
    assert (info.status, len(records)) == ("complete", 3)
    assert records[: len(before)] == before
    assert "policy_server" in info.resumed[0].changed
    with PolicyServer() as server:
        assert main(words(out, server.port, image_size="96")) == 2
    assert "another configuration (policy.options.image_size" in capsys.readouterr().err


def test_nothing_is_left_where_there_is_no_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with PolicyServer() as server:
        pass
    assert main(words(tmp_path / "run", server.port)) == 2
    assert "There is no policy server at" in capsys.readouterr().err
    with PolicyServer(usual=sends({"actions": []})) as server:
        assert main(words(tmp_path / "run", server.port)) == 2
    assert "actions of shape (0,)" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def opening(server: PolicyServer, socket: ServerConnection, request: dict[str, Any]) -> None:
    """Answer in the convention of Open X-Embodiment: 1 opens the gripper, 0 closes it."""
    plan = plan_for(request)
    plan[:, :6] = np.random.default_rng(0).uniform(-0.2, 0.2, (HORIZON, 6))
    plan[:, 6] = request["observation/state"][0] < 20  # which the double counts steps in
    sends({"actions": plan.tolist()})(server, socket, request)


@pytest.mark.slow
def test_a_gripper_from_0_to_1_is_reported_and_mapped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with PolicyServer(usual=opening) as server:
        assert main(words(tmp_path / "as-it-is", server.port)) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1  # nothing of it on standard output
    (record,) = caplog.records
    warning = record.getMessage()
    assert warning.startswith("WARNING: The gripper's column never left [0, 1] in ")
    assert "--option.gripper-range unit" in warning
    info = load_run(tmp_path / "as-it-is")[0]
    assert ["WARNING: " + each for each in info.provenance["warnings"]] == [warning]
    caplog.clear()
    mapping = {"gripper-range": "unit", "gripper-high": "open"}
    with PolicyServer(usual=opening) as server:
        assert main(words(tmp_path / "mapped", server.port, **mapping)) == 0
        assert main(words(tmp_path / "as-it-is", server.port, **mapping)) == 2
    assert caplog.records == []
    info = load_run(tmp_path / "mapped")[0]
    assert "warnings" not in info.provenance
    assert info.policy["options"]["gripper_range"] == "unit"
    assert info.provenance["policy_mapping"]["gripper_high"] == "open"
    assert "policy.options.gripper" in capsys.readouterr().err


@pytest.mark.slow
def test_infinite_actions_are_errors_not_failures(tmp_path: Path) -> None:
    plan = np.full((HORIZON, 7), np.inf)
    with PolicyServer(answer, usual=sends({"actions": write_array(plan)})) as server:
        assert main(words(tmp_path / "run", server.port)) == 1
    records = load_run(tmp_path / "run")[1]
    assert {record.outcome for record in records} == {"error"}
    assert "NaN or infinity (inf in row 0, column 0)" in (records[0].error or "")
    with PolicyServer(usual=sends({"actions": write_array(plan)})) as server:
        assert main(words(tmp_path / "first", server.port)) == 2
    assert not (tmp_path / "first").exists()
