"""The policy ``remote`` against a real WebSocket server."""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from policies.interface import PlanRequest
from policies.registry import PolicyConfig
from policies.remote.connection import ServerError, shorten_traceback
from policies.remote.policy import RemotePolicy
from tasks.errors import ConfigError, HarnessError, SpecMismatchError
from tasks.protocols import get_protocol
from tests.policies.remote.server import (
    HORIZON,
    HOSTILE,
    TRACEBACK,
    PolicyServer,
    answer,
    broken,
    plan_for,
    sends,
    write_array,
)
from tests.policies.remote.test_mapping import seen


def build(port: int, **options: Any) -> RemotePolicy:
    quick = {"host": "127.0.0.1", "port": port, "timeout": 5, "retries": 1, "wait": 0.5}
    policy = PolicyConfig(name="remote", options={**quick, **options}).build()
    assert isinstance(policy, RemotePolicy)
    return policy


def request(height: float = 0.3) -> PlanRequest:
    observation = seen(64)
    observation["ee_pos"] = np.array([0.0, 0.0, height])
    return PlanRequest(window=[observation], instruction="open it", seed=0)


def heights(plans: list[np.ndarray]) -> list[float]:
    return [round(float(plan[0, 0]), 3) for plan in plans]


def test_plans_come_from_the_server_in_the_order_of_the_requests() -> None:
    with PolicyServer() as server:
        policy = build(server.port)
        assert (policy.spec.horizon, policy.spec.exec_horizon, policy.spec.history) == (10, 5, 1)
        assert policy.spec.cameras == ("agentview", "wrist")
        plans = policy.plan([request(0.1), request(0.2), request(-0.3)])
        assert heights(plans) == [0.1, 0.2, -0.3]
        assert {(plan.shape, plan.dtype) for plan in plans} == {((HORIZON, 7), np.dtype(float))}
        np.testing.assert_allclose(plans[0][:, 1:], plan_for(server.requests[1])[:, 1:])
        assert server.connections == 1
        first, asked = server.requests[0], server.requests[1]
        assert {key: np.shape(value) for key, value in first.items()} == {
            key: np.shape(value) for key, value in asked.items()
        }
        assert asked["prompt"] == "open it"
        assert asked["observation/image"].shape == (224, 224, 3)
        assert policy.provenance["policy_server"] == {
            "uri": f"ws://127.0.0.1:{server.port}",
            "metadata": {"model": "pi0_libero", "sizes": [0, 1]},
        }
        assert policy.provenance["policy_mapping"]["gripper_range"] == "signed"


def test_a_known_horizon_and_another_size_of_images() -> None:
    with PolicyServer() as server:
        policy = build(server.port, horizon=HORIZON, image_size=96)
        assert server.requests == []  # nothing had to be found out
        policy.plan([request()])
        assert server.requests[0]["observation/wrist_image"].shape == (96, 96, 3)
        with pytest.raises(SpecMismatchError, match=r"plan of 10 steps, 8 were expected.*horizon"):
            build(server.port, horizon=8).plan([request()])


def test_lists_of_numbers_are_plans() -> None:
    for plan in ([[0, 1] + [0.5] * 5] * 10, [write_array(np.eye(7)[0])] * 10):
        with PolicyServer(usual=sends({"actions": plan})) as server:
            read = build(server.port).plan([request()])[0]
        assert (read.shape, read.dtype) == ((10, 7), np.dtype(float))
        assert read[9, :2].tolist() in ([0, 1], [1, 0])


def test_a_plan_under_another_name() -> None:
    message = {"action": write_array(np.zeros((10, 7)))}
    with PolicyServer(usual=sends(message)) as server:
        with pytest.raises(SpecMismatchError, match=r"but \['action'\].*--option.actions-key"):
            build(server.port)
        assert build(server.port, actions_key="action").spec.horizon == 10


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_clipped(value: float) -> None:
    plan = np.zeros((HORIZON, 7), np.float32)
    plan[7, 6] = value
    with PolicyServer(answer, sends({"actions": write_array(plan)})) as server:
        policy = build(server.port, gripper_threshold=0.5)
        with pytest.raises(ServerError, match=rf"{value} in row 7, column 6"):
            policy.plan([request()])
        assert heights(policy.plan([request(0.2)])) == [0.2]  # other episodes go on


def test_actions_are_clipped_as_the_controller_does() -> None:
    wild = np.full((HORIZON, 7), 3.0)
    with PolicyServer(usual=sends({"actions": write_array(wild)})) as server:
        np.testing.assert_array_equal(build(server.port).plan([request()])[0], 1.0)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"actions": write_array(np.zeros((10, 8)))}, r"shape \(10, 8\).*\(steps, 7\)"),
        ({"actions": write_array(np.zeros(7))}, r"shape \(7,\)"),
        ({"actions": write_array(np.zeros((0, 7)))}, r"shape \(0, 7\)"),
        ({"actions": [[0.0] * 7, [0.0] * 6]}, "'actions' cannot be read .*inhomogeneous"),
        ({"actions": [[True] * 7]}, "'actions' cannot be read .*bool"),
        ({"actions": [["0.5"] * 7]}, "'actions' cannot be read .*<U3"),
        ({"actions": [[None] * 7]}, "'actions' cannot be read .*object"),
        ({"actions": {"x": [0.0] * 7}}, "'actions' cannot be read .*dict of object"),
        ({"actions": []}, r"shape \(0,\)"),
        ({"actions": write_array(np.ones((10, 7), bool))}, "'actions' cannot be read .*bool"),
        ({"actions": write_array(np.zeros((5000, 7)))}, r"shape \(5000, 7\).*1 to 4096"),
        ({"actions": write_array(np.zeros((1, 10, 7)))}, r"shape \(1, 10, 7\)"),
        ({"plan": 1, "timing": 2}, r"no array 'actions', but \['plan', 'timing'\]"),
        ([1, 2], "no array 'actions', but list"),
        (5, "no array 'actions', but int"),
        (b"\xc1", "1 bytes that are no message"),
        ('{"actions": [[0, 0, 0, 0, 0, 0, 0]]}', "answers in text, it seems in JSON"),
        ({"actions": b"\0" * 56}, "'actions' cannot be read .*bytes of"),
        ({"actions": None}, "'actions' cannot be read .*NoneType of object"),
        ({"actions": [[2**64 - 1, -1] + [0.5] * 5] * 5000}, r"shape \(5000, 7\)"),
    ],
)
def test_an_answer_that_is_no_plan(message: Any, words: str) -> None:
    with PolicyServer(usual=sends(message)) as server, pytest.raises(SpecMismatchError) as caught:
        build(server.port)
    assert caught.match(words)
    with PolicyServer(answer, usual=sends(message)) as server:
        policy = build(server.port)
        with pytest.raises(SpecMismatchError, match=words):
            policy.plan([request()])


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next() -> None:
    def twice(server: PolicyServer, socket: Any, asked: dict[str, Any]) -> None:
        answer(server, socket, asked)
        answer(server, socket, asked)
        server.patience.set()

    with PolicyServer(answer, twice) as server:
        policy = build(server.port)
        policy.plan([request(0.1)])
        assert server.patience.wait(5)
        time.sleep(0.1)  # for it to arrive
        with pytest.raises(SpecMismatchError, match="a message that nobody asked for"):
            policy.plan([request(0.2)])


def test_what_a_server_says_of_itself_is_kept_whatever_it_is() -> None:
    nested: Any = "deep"
    for _ in range(900):
        nested = [nested]
    said = {"nested": nested, "nan": float("nan"), b"raw": b"\xff", "eye": write_array(np.eye(2))}
    with PolicyServer(metadata=msgpack.packb(said)) as server:
        kept = build(server.port).provenance["policy_server"]["metadata"]
    assert (kept["eye"], kept["b'raw'"]) == ([[1, 0], [0, 1]], "b'\\xff'")
    assert json.dumps(kept).count("[") < 30


def test_what_the_server_broke_on_is_said_shortly_and_spares_the_next_request() -> None:
    with PolicyServer(answer, broken) as server:
        policy = build(server.port)
        with pytest.raises(ServerError) as caught:
            policy.plan([request(0.1)])
        assert str(caught.value) == (
            "The policy server broke: KeyError: 'state' (policy.py, line 72, in infer)"
        )
        assert not isinstance(caught.value, HarnessError)  # one episode's trouble, not the run's
        assert heights(policy.plan([request(0.2)])) == [0.2]
        assert len(server.requests) == 3  # it was not asked the same again
    with (
        PolicyServer(usual=broken) as server,
        pytest.raises(SpecMismatchError, match=r"KeyError: 'state'.*first request.*Fix"),
    ):
        build(server.port)


def test_shortened_tracebacks() -> None:
    assert shorten_traceback(TRACEBACK) == "KeyError: 'state' (policy.py, line 72, in infer)"
    assert shorten_traceback(" out of\n memory ") == "out of memory"
    assert shorten_traceback("") == "it did not say why"
    assert len(shorten_traceback(TRACEBACK + "ValueError: " + "x" * 5000)) <= 400


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_another_kind_of_server() -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(SpecMismatchError, match=r"is no WebSocket server \(.*404"):
            build(server.server_port, wait=0.1)
        server.shutdown()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": 0}, "port: 0 given"),
        ({"port": "http"}, "port: 'http' given"),
        ({"port": 8000.0}, "port: 8000.0 given"),
        ({"retries": True}, "retries: True given"),
        ({"image_size": "224"}, "image_size: '224' given"),
        ({"timeout": 0}, "timeout: 0 given"),
        ({"timeout": float("inf")}, "timeout: inf given"),
        ({"retries": -1}, "retries: -1 given"),
        ({"image_size": 4}, "image_size: 4 given"),
        ({"horizon": 10**9}, "horizon: 1000000000 given"),
        ({"server": "openpie"}, "server: 'openpie' given"),
        ({"gripper_range": "0-1"}, "gripper_range: '0-1' given; input should be 'signed' or"),
        ({"gripper_threshold": "half"}, "gripper_threshold.*: 'half' given"),
        ({"state": "pos+euler"}, "part of the state 'euler'"),
        ({"host": "http://here"}, "host 'http://here' given"),
        ({"hots": "here"}, "Did you mean 'host'"),
    ],
)
def test_bad_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PolicyConfig(name="remote", options=options).build()


def test_images_as_rendered_are_refused() -> None:
    with PolicyServer() as server:
        policy = build(server.port, horizon=HORIZON)
        policy.check_protocol(get_protocol("openpi"))
        with pytest.raises(SpecMismatchError, match=r"upside down.*--protocol openpi"):
            policy.check_protocol(get_protocol("libero"))


CLIENT = """
import resource, sys
from policies.registry import PolicyConfig
from policies.remote.connection import ServerError
from tasks.errors import HarnessError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

options = {"host": "127.0.0.1", "port": int(sys.argv[1]), "timeout": 20, "retries": 0, "wait": 0}
policy = PolicyConfig(name="remote", options={**options, "horizon": 1})
before = policy.build() and peak()
for _ in range(int(sys.argv[2])):
    try:
        PolicyConfig(name="remote", options=options).build()
        print("built", peak() - before)
    except HarnessError as error:
        print(peak() - before, error)
"""


@pytest.mark.slow
def test_a_hostile_server_fills_no_memory() -> None:
    """Both sides are processes of their own, so that the peak is of the client alone."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    here = str(Path(__file__).with_name("server.py"))
    command = [sys.executable, here]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, **quiet) as server:
        assert server.stdout is not None
        port = server.stdout.readline().decode().strip()
        command = [sys.executable, "-c", CLIENT, port, str(len(HOSTILE))]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        server.kill()
    assert done.returncode == 0, done.stderr
    said = dict(zip(HOSTILE, done.stdout.splitlines(), strict=True))
    for what, line in said.items():
        grown, _, error = line.partition(" ")
        assert grown.isdigit(), (what, line)
        assert int(grown) < 100_000, (what, line)  # KiB
        assert "Fix: " in error, (what, line)
    for what in list(HOSTILE)[:3]:
        assert "sent a message of more than 4 MiB" in said[what], (what, said[what])
    for what in list(HOSTILE)[5:]:
        assert "that are no message of openpi's protocol" in said[what], (what, said[what])
