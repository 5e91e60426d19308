"""Clients of both protocols, polite and hostile, against a server in this process."""

import asyncio
import http.client
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from harness.evaluation.config import EvaluationConfig
from harness.serving.config import ServedPolicy, ServingConfig
from harness.serving.rdt_service import RDTService
from harness.serving.server import PolicyServer
from policies.interface import PlanRequest
from policies.rdt.policy import RDTPolicy
from policies.registry import PolicyConfig
from policies.remote.codec import pack, unpack
from tasks.errors import ConfigError, PrerequisiteError
from tasks.observation import FloatArray
from tests.harness.serving.served import SIZE, Served, serving, tiny_policy
from tests.policies.remote.test_mapping import seen
from tests.training.tiny import HORIZON

JOINTS = np.linspace(-0.5, 0.5, 7)
STATE = np.concatenate([[0.1, -0.2, 0.3], [0.1, -0.3, 0.2, 0.9], [0.04, -0.04], JOINTS])


@pytest.fixture(scope="module")
def policy() -> RDTPolicy:
    return tiny_policy()


def frame(value: int = 0, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(value).integers(0, 255, (size, size, 3), dtype=np.uint8)


def message(**changes: Any) -> dict[str, Any]:
    usual = {
        "observation/image": frame(0),
        "observation/wrist_image": frame(1),
        "observation/state": STATE,
        "prompt": "open it",
        "seed": 5,
    }
    return {key: value for key, value in {**usual, **changes}.items() if value is not None}


def open_socket(served: Served, path: str = "/", **more: Any) -> ClientConnection:
    return connect(served.uri(path), compression=None, proxy=None, **more)


def ask(socket: ClientConnection, request: Any) -> Any:
    socket.send(pack(request))
    answer = socket.recv(timeout=20)
    return answer if isinstance(answer, str) else unpack(answer)


def expected(policy: RDTPolicy, *, seed: int = 5, earlier: Sequence[np.ndarray] = ()) -> FloatArray:
    """The plan of the policy itself, for what ``message`` says."""
    now = seen(SIZE, quat=(0.1, -0.3, 0.2, 0.9))
    now |= {"agentview": frame(0), "wrist": frame(1), "joint_pos": JOINTS}
    now |= {"ee_pos": STATE[:3], "gripper_qpos": STATE[7:9]}
    window = [{**now, "agentview": each} for each in earlier] or [now]
    request = PlanRequest(window=[*window, now], instruction="open it", seed=seed)  # type: ignore[list-item]
    return policy.plan([request])[0]


def test_an_openpi_client_gets_the_policys_own_plan(policy: RDTPolicy) -> None:
    with serving(policy) as served, open_socket(served) as socket:
        metadata = unpack(socket.recv())
        assert (metadata["server"], metadata["horizon"]) == ("libero-bench", HORIZON)
        assert metadata["state"]["16"] == "pos+quat+fingers+joints"
        answer = ask(socket, message())
        assert answer["actions"].shape == (HORIZON, 7)
        assert answer["server_timing"]["batch"] == 1
        again = ask(socket, message(**{"observation/image": frame(0).transpose(2, 0, 1)}))
        np.testing.assert_array_equal(again["actions"], answer["actions"])
        other = ask(socket, message(seed=6))["actions"]
        assert not np.array_equal(other, answer["actions"])


def test_actions_are_passed_on_bit_for_bit() -> None:
    policy = tiny_policy(layout="eef-velocity")
    with serving(policy) as served, open_socket(served) as socket:
        socket.recv()
        np.testing.assert_array_equal(ask(socket, message())["actions"], expected(policy))
        sent = {f"observation/{key}/history": frame(9)[None] for key in ("image", "wrist_image")}
        answer = ask(socket, message(**sent))
        assert not np.array_equal(answer["actions"], expected(policy))


def test_our_own_client_sends_seeds_history_and_joints() -> None:
    policy = tiny_policy(layout="eef-velocity")
    window = []
    for value in (3, 4):
        observation = seen(SIZE, quat=(0.1, -0.3, 0.2, 0.9))
        observation |= {"agentview": frame(value), "wrist": frame(value + 9), "joint_pos": JOINTS}
        window.append(observation)
    for part in (window, window[1:]):
        request = PlanRequest(window=part, instruction="open it", seed=1 << 62)
        with serving(policy) as served:
            options = {"host": "127.0.0.1", "port": served.port, "server": "libero-bench"}
            remote = PolicyConfig(name="remote", options={**options, "horizon": HORIZON}).build()
            assert remote.spec.history == 2
            plan = remote.plan([request])[0]  # type: ignore[union-attr]
            del remote  # closes its connection
        np.testing.assert_array_equal(plan, policy.plan([request])[0])


def test_earlier_frames_are_repeated_or_kept(policy: RDTPolicy) -> None:
    asked: list[PlanRequest] = []

    class Watched(RDTService):
        def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
            asked.extend(requests)
            return super().plan(requests)

    for history in ("repeated", "kept"):
        service = Watched(policy, max_batch=1)
        with serving(policy, service, history=history) as served, open_socket(served) as socket:
            socket.recv()
            for value in (0, 7):
                ask(socket, message(**{"observation/image": frame(value)}))
    images = [[each["agentview"] for each in request.window] for request in asked]
    seen_first = [[np.array_equal(image, frame(0)) for image in window] for window in images]
    assert seen_first == [[True, True], [False, False], [True], [True, False]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"observation/image": None}, "no image of 'agentview'"),
        ({"observation/image": frame(0).astype(np.float32)}, r"outside \[0, 1\]"),
        ({"observation/image": frame(0)[..., :2]}, r"is \(16, 16, 2\)"),
        ({"observation/image": "x" * 100}, "is str"),
        ({"observation/image": np.zeros((1, 3000, 3), np.uint8)}, "2048 pixels a side"),
        ({"observation/state": STATE[:8]}, "needs joint positions"),
        ({"observation/state": STATE[:5]}, "Allowed lengths: 8: pos"),
        ({"observation/state": STATE * np.nan}, "not finite"),
        ({"observation/state": [[1, 2], [3]]}, "Allowed lengths"),
        ({"observation/state": STATE * np.r_[1, 1, 1, 0, 0, 0, 0, np.ones(9)]}, "quaternion"),
        ({"prompt": ""}, "instruction"),
        ({"prompt": "word " * 30}, "words"),
        ({"prompt": 7}, "instruction is int"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": True}, "seed is a bool"),
        ({"observation/image/history": frame(0)[None]}, "earlier images"),
        ({f"observation/{k}/history": np.stack([frame(0)] * 5) for k in ("image", "wrist_image")},
         "Allowed: up to 1"),
    ],
)  # fmt: skip
def test_a_bad_message_costs_its_sender_the_connection_and_nobody_else(
    policy: RDTPolicy, changes: dict[str, Any], words: str
) -> None:
    with serving(policy) as served, open_socket(served) as good, open_socket(served) as bad:
        good.recv(), bad.recv()
        with pytest.raises(AssertionError, match=words):
            raise AssertionError(ask(bad, message(**changes)))
        with pytest.raises(ConnectionClosed):
            bad.recv(timeout=5)
        assert ask(good, message())["actions"].shape == (HORIZON, 7)


@pytest.mark.parametrize("data", ["text", b"\xc1", pack([1, 2]), b"\xdc\xff\xff"])
def test_what_is_no_message_is_refused(policy: RDTPolicy, data: str | bytes) -> None:
    with serving(policy) as served, open_socket(served) as socket:
        socket.recv()
        socket.send(data)
        assert "message" in str(socket.recv(timeout=5)).lower()


def test_an_oversized_message_is_not_read(policy: RDTPolicy) -> None:
    with serving(policy, max_message_mb=0.01) as served, open_socket(served) as socket:
        socket.recv()
        socket.send(b"\0" * 20_000)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=5)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


def test_clients_are_planned_for_together_and_a_slow_or_vanished_one_hinders_nobody(
    policy: RDTPolicy,
) -> None:
    begun = threading.Event()

    class Slow(RDTService):
        def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
            begun.set()
            time.sleep(0.05)
            return super().plan(requests)

    with serving(policy, Slow(policy, max_batch=8), max_wait_ms=500) as served:
        idle = open_socket(served)  # connects and never asks
        vanishing = open_socket(served)
        vanishing.recv()
        vanishing.send(pack(message()))
        assert begun.wait(10)
        vanishing.socket.close()
        sockets = [open_socket(served) for _ in range(6)]
        answers: dict[int, list[Any]] = {}

        def talk(number: int) -> None:
            sockets[number].recv()
            answers[number] = [ask(sockets[number], message(seed=number)) for _ in range(3)]

        threads = [threading.Thread(target=talk, args=(number,)) for number in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
        idle.close()
        for socket in sockets:
            socket.close()
    assert sorted(answers) == list(range(6))
    assert (
        max(answer["server_timing"]["batch"] for talks in answers.values() for answer in talks) >= 4
    )
    for number, talks in answers.items():
        alone = policy_actions(policy, number)
        for answer in talks:
            np.testing.assert_allclose(answer["actions"], alone, atol=1e-4)


def policy_actions(policy: RDTPolicy, seed: int) -> FloatArray:
    with serving(policy) as served, open_socket(served) as socket:
        socket.recv()
        actions: FloatArray = ask(socket, message(seed=seed))["actions"]
        return actions


def test_one_request_that_breaks_the_policy_spoils_no_other_of_its_batch(
    policy: RDTPolicy,
) -> None:
    class Fragile(RDTService):
        def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
            if any(request.seed == 13 for request in requests):
                raise FloatingPointError("weights are broken")
            return super().plan(requests)

    service = Fragile(policy, max_batch=2)
    with (
        serving(policy, service, max_batch=2, max_wait_ms=1000) as served,
        open_socket(served) as one,
        open_socket(served) as two,
    ):
        one.recv(), two.recv()
        one.send(pack(message(seed=13)))
        two.send(pack(message(seed=14)))
        assert one.recv(timeout=20) == "FloatingPointError: weights are broken"
        assert unpack(two.recv(timeout=20))["actions"].shape == (HORIZON, 7)  # type: ignore[arg-type]


def get(served: Served, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode().strip()


def test_health_and_unknown_paths(policy: RDTPolicy) -> None:
    with serving(policy) as served:
        assert get(served, "/healthz") == get(served, "/health") == (200, "OK")
        status, text = get(served, "/predict")
        assert status == 404 and "/vla-eval" in text


def test_a_key_is_needed_where_there_is_one(policy: RDTPolicy, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("correct-horse-battery\n")
    right = {"Authorization": "Api-Key correct-horse-battery"}
    with serving(policy, host="0.0.0.0", api_key_file=key) as served:
        for headers in ({}, {"Authorization": "Api-Key wrong"}, {"Authorization": "correct"}):
            with pytest.raises(InvalidStatus, match="401"):
                open_socket(served, additional_headers=headers)
        with pytest.raises(InvalidStatus, match="401"):
            open_socket(served, "/vla-eval")
        with open_socket(served, additional_headers=right) as socket:
            assert unpack(socket.recv())["server"] == "libero-bench"
        assert get(served, "/healthz") == (200, "OK")
    with (
        serving(policy, api_key_file=key, allow_unauthenticated=True) as served,
        open_socket(served, "/vla-eval"),
        pytest.raises(InvalidStatus, match="401"),
    ):
        open_socket(served)


def test_our_own_client_sends_the_key(policy: RDTPolicy, tmp_path: Path) -> None:
    for name, text in (("right", "correct-horse-battery"), ("wrong", "incorrect-horse-battery")):
        (tmp_path / name).write_text(text)
    with serving(policy, api_key_file=tmp_path / "right") as served:

        def build(**options: object) -> object:
            usual = {"host": "127.0.0.1", "port": served.port, "server": "libero-bench", "wait": 9}
            return PolicyConfig(name="remote", options={**usual, **options}).build()

        assert build(api_key_file=tmp_path / "right").spec.horizon == HORIZON  # type: ignore[attr-defined]
        with pytest.raises(ConfigError, match=r"wants a key\. Fix: .*--option.api-key-file"):
            build()
        with pytest.raises(ConfigError, match="wants another key than the given one"):
            build(api_key_file=tmp_path / "wrong")
        with pytest.raises(ConfigError, match=r"--option.api-key-file '.*none' cannot be read"):
            build(api_key_file=tmp_path / "none")


def test_no_more_clients_than_allowed_are_served_and_others_wait(policy: RDTPolicy) -> None:
    options = {"host": "127.0.0.1", "server": "libero-bench", "horizon": HORIZON}
    with serving(policy, max_clients=1) as served:
        options["port"] = served.port
        with open_socket(served) as socket:
            socket.recv()
            with pytest.raises(InvalidStatus, match="503"):
                open_socket(served)
            assert get(served, "/healthz") == (200, "OK")
            with pytest.raises(PrerequisiteError, match=r"no place for another client.*Fix: give"):
                PolicyConfig(name="remote", options={**options, "wait": 0}).build()
            threading.Timer(0.4, socket.close).start()
            waited = PolicyConfig(name="remote", options={**options, "wait": 20}).build()
            assert waited.spec.horizon == HORIZON


@pytest.mark.parametrize(
    ("settings", "text", "words"),
    [
        ({"host": "0.0.0.0"}, None, "lets other machines in"),
        ({"host": "example.org"}, None, "lets other machines in"),
        ({}, "short", "holds 5 characters"),
        ({}, "two\nlines of a key that is long", "one line"),
        ({"exec_horizon": HORIZON + 1}, None, f"1 to {HORIZON}"),
    ],
)
def test_unsafe_or_impossible_settings(
    policy: RDTPolicy, tmp_path: Path, settings: dict[str, Any], text: str | None, words: str
) -> None:
    if text is not None:
        settings = {**settings, "api_key_file": tmp_path / "key"}
        (tmp_path / "key").write_text(text)
    with pytest.raises(ConfigError, match=words), serving(policy, **settings):
        pass


def test_the_policy_computes_with_as_many_threads_as_in_an_evaluation() -> None:
    served = ServingConfig(served=ServedPolicy(checkpoint="x"))
    policy = PolicyConfig(name="noop")
    evaluated = EvaluationConfig(policy=policy, suite="libero_goal", out=Path("x"))
    assert served.threads == evaluated.threads


def test_a_port_in_use_is_named(policy: RDTPolicy) -> None:
    with serving(policy) as served:
        config = ServingConfig(served=ServedPolicy(checkpoint="x"), port=served.port)
        second = PolicyServer(RDTService(policy, max_batch=1), config, checkpoint={})
        with pytest.raises(PrerequisiteError, match="Cannot listen at"):
            asyncio.run(second.run(lambda port: None, asyncio.Event()))
