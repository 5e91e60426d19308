"""vla-eval's conversation, and messages that the clients of others wrote."""

import io
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from PIL import Image
from websockets.sync.client import ClientConnection, connect

from harness.serving.rdt_service import open_loop_actions
from policies.rdt.policy import RDTPolicy
from policies.remote.codec import unpack
from tasks.actions import action_to
from tasks.observation import Observation
from tasks.rotations import axisangle_to_matrix, axisangle_to_quat, matrix_to_rot6d
from tests.harness.serving.served import SIZE, Served, serving, tiny_policy
from tests.training.tiny import HORIZON

RECORDED = Path(__file__).parent / "recorded"
"""Frames that the named clients sent: noise of 32 pixels, a state, "open it"."""

STATE = np.array([0.1, -0.2, 0.3, 3.0, 0.2, -0.1, 0.04, -0.04])


@pytest.fixture(scope="module")
def policy() -> RDTPolicy:
    return tiny_policy(layout="hand-velocity")


def open_socket(served: Served, path: str = "/vla-eval") -> ClientConnection:
    return connect(served.uri(path), compression=None, proxy=None)


def picture(kind: str = "png", size: int = SIZE, mode: str = "RGB") -> dict[str, Any]:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, format=kind)
    return {"__image__": True, "format": kind, "data": buffer.getvalue(), "shape": [size, size, 3]}


def array(values: np.ndarray) -> dict[str, Any]:
    shape = list(values.shape)
    return {
        "__ndarray__": True,
        "data": values.tobytes(),
        "dtype": values.dtype.str,
        "shape": shape,
    }


def observation(**changes: Any) -> dict[str, Any]:
    images = {"agentview": picture(), "wrist": picture("jpeg")}
    usual = {"images": images, "states": array(STATE), "task_description": "open it"}
    return {**usual, **changes}


def send(socket: ClientConnection, kind: str, payload: Any, seq: Any = 1) -> None:
    message = {"type": kind, "payload": payload, "seq": seq, "timestamp": 0.0}
    socket.send(msgpack.packb(message))


def ask(socket: ClientConnection, kind: str, payload: Any, seq: Any = 1) -> tuple[str, Any]:
    send(socket, kind, payload, seq)
    answer = msgpack.unpackb(socket.recv(timeout=20))
    assert set(answer) == {"type", "payload", "seq", "timestamp"}
    assert answer["seq"] == (seq if isinstance(seq, int) else 0)
    return answer["type"], answer["payload"]


def test_the_server_says_what_it_needs(policy: RDTPolicy) -> None:
    with serving(policy) as served, open_socket(served) as socket:
        kind, hello = ask(socket, "hello", {"harness_version": "0.8.0", "protocol_version": 1})
    assert (kind, hello["protocol_version"]) == ("hello", 1)
    assert hello["observation_params"] == {
        "send_wrist_image": True,
        "send_state": True,
        "quat_no_antipodal": True,
    }
    assert hello["action_spec"]["gripper"]["format"] == "binary_close_positive"


def test_a_plan_is_executed_row_by_row_and_an_episode_begins_anew(policy: RDTPolicy) -> None:
    with serving(policy, exec_horizon=3) as served, open_socket(served) as socket:
        actions = [ask(socket, "observation", observation(), n)[1]["actions"] for n in range(7)]
        assert served.server.batches == {1: 3}
        send(socket, "episode_start", {"task": {"name": "open it"}})
        ask(socket, "observation", observation())
        assert served.server.batches == {1: 4}
    assert np.array(actions).shape == (7, 7)
    assert len({tuple(action) for action in actions}) == 7


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        ("observation", observation(states=array(STATE[:7])), "Allowed lengths"),
        ("observation", observation(images={}), "no image of 'agentview'"),
        ("observation", observation(images=7), "no image of 'agentview'"),
        ("observation", observation(images={"agentview": picture("bmp")}), "cannot be decoded"),
        ("observation", observation(images={"agentview": picture(mode="L")}), "is L of"),
        ("observation", observation(images={"agentview": picture(size=2100)}), "2048 pixels"),
        ("observation", observation(states={**array(STATE), "shape": [1 << 40]}), "bytes"),
        ("observation", observation(states={"__ndarray__": True}), "lacks its data"),
        ("observation", {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {}}}}}}}}}}, "deep"),
        ("dance", {}, "type 'dance'"),
        ("observation", [1], "its payload is none"),
    ],
)
def test_what_cannot_be_answered_gets_an_error_and_the_connection_goes_on(
    policy: RDTPolicy, kind: str, payload: Any, words: str
) -> None:
    with serving(policy) as served, open_socket(served) as socket:
        answer, told = ask(socket, kind, payload)
        assert answer == "error" and words in told["message"]
        assert ask(socket, "observation", observation())[0] == "action"


def test_messages_that_other_clients_wrote(policy: RDTPolicy) -> None:
    with serving(policy) as served:
        with open_socket(served, "/") as socket:
            assert isinstance(unpack(socket.recv()), dict)  # type: ignore[arg-type]
            socket.send((RECORDED / "openpi-client-0.1.2.bin").read_bytes())
            answer = unpack(socket.recv(timeout=20))  # type: ignore[arg-type]
            assert answer["actions"].shape == (HORIZON, 7)
        with open_socket(served) as socket:
            socket.send((RECORDED / "vla-eval-0.8.0-start.bin").read_bytes())
            socket.send((RECORDED / "vla-eval-0.8.0-observation.bin").read_bytes())
            answer = msgpack.unpackb(socket.recv(timeout=20))
            assert answer["type"] == "action" and len(answer["payload"]["actions"]) == 7


def test_goals_become_deltas_along_the_plan() -> None:
    """A hand that covers a tenth of each delta, simulated on its own, is asked for the same."""
    now = Observation(ee_pos=np.array([0.1, 0.2, 0.3]), ee_quat=axisangle_to_quat(np.zeros(3)))
    turns = np.array([[0.0, 0.0, 0.02 * step] for step in range(6)])
    goals = np.zeros((6, 10))
    goals[:, :3] = now["ee_pos"] + np.outer(np.arange(6), [0.01, 0.0, -0.002])
    goals[:, 3:9] = matrix_to_rot6d(axisangle_to_matrix(turns))
    goals[:, 9] = 1
    actions = open_loop_actions(goals, now, 0.1)
    assert actions.shape == (6, 7) and (actions[:, 6] == 1).all()
    position, angle = now["ee_pos"].copy(), 0.0
    for goal, turn, action in zip(goals, turns, actions, strict=True):
        pose = position, axisangle_to_matrix(np.array([0, 0, angle]))
        np.testing.assert_allclose(action, action_to(goal, *pose), atol=1e-12)
        np.testing.assert_allclose(action[:3], (goal[:3] - position) / 0.05, atol=1e-12)
        np.testing.assert_allclose(action[5], (turn[2] - angle) / 0.5, atol=1e-12)
        position = position + 0.1 * 0.05 * action[:3]
        angle += 0.1 * 0.5 * action[5]


def test_actions_stay_as_they_are() -> None:
    plan = np.random.default_rng(0).uniform(-1, 1, (5, 7))
    assert open_loop_actions(plan, Observation(), 0.265) is plan
