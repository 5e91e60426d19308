"""StarVLA's protocol: what is sent, what is read, what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies.interface import PlanRequest
from policies.remote.connection import ServerError
from policies.remote.mapping import ServerMapping
from tasks.errors import ConfigError, PrerequisiteError, SpecMismatchError
from tests.policies.remote.server import PolicyServer, broken
from tests.policies.remote.starvla_server import CHUNK, StarVLAServer, predict, slow
from tests.policies.remote.test_mapping import seen
from tests.policies.remote.test_policy import build


def bright(level: int, episode: str = "") -> PlanRequest:
    observation = seen(64, quat=(0.1, -0.3, 0.2, 0.9))
    observation["agentview"] = np.full((64, 64, 3), level, np.uint8)
    observation["wrist"] = np.full((64, 64, 3), 7, np.uint8)
    return PlanRequest(window=[observation], instruction="Open It", seed=0, episode=episode)


def levels(plans: list[np.ndarray]) -> list[int]:
    return [round(255 * float(plan[0, 0])) for plan in plans]


def test_requests_of_several_episodes_are_examples_of_one_message() -> None:
    with StarVLAServer() as server:
        policy = build(server.port, server="starvla")
        assert (policy.spec.horizon, policy.spec.exec_horizon) == (CHUNK, CHUNK)
        plans = policy.plan([bright(level) for level in (10, 200, 30)])
    assert levels(plans) == [10, 200, 30]
    assert {plan.shape for plan in plans} == {(CHUNK, 7)}
    assert {float(plan[0, 6]) for plan in plans} == {-1.0}  # 1 opens there, −1 here
    probe, asked = server.messages
    assert set(asked) == {"type", "request_id", "payload"} and asked["type"] == "infer"
    assert asked["request_id"] != probe["request_id"]
    payload = asked["payload"]
    assert {key: payload[key] for key in payload if key != "examples"} == {
        "unnorm_key": None,
        "do_sample": False,
        "use_ddim": True,
        "num_ddim_steps": 10,
    }
    assert len(probe["payload"]["examples"]) == 1 and len(payload["examples"]) == 3
    example = payload["examples"][1]
    assert set(example) == {"image", "lang"} and example["lang"] == "Open It"
    assert [image.shape for image in example["image"]] == [(224, 224, 3)] * 2
    assert [int(image.max()) for image in example["image"]] == [200, 7]


def test_a_message_holds_no_more_than_asked_and_connections_share_the_rest() -> None:
    with StarVLAServer() as server:
        policy = build(server.port, server="starvla", batch=2, horizon=CHUNK)
        assert levels(policy.plan([bright(level) for level in range(5)])) == [0, 1, 2, 3, 4]
        sizes = [len(each["payload"]["examples"]) for each in server.messages]
        assert sizes == [2, 2, 1]
        server.messages.clear()
        policy = build(server.port, server="starvla", connections=3, horizon=CHUNK)
        assert levels(policy.plan([bright(level) for level in range(5)])) == [0, 1, 2, 3, 4]
        assert sorted(len(each["payload"]["examples"]) for each in server.messages) == [1, 2, 2]


def test_states_cameras_and_data_sets_that_are_asked_for() -> None:
    options = {"state": "pos+axisangle+fingers", "state_dtype": "float32", "wrist_key": "none"}
    keys = {"available_unnorm_keys": ["bridge", "libero"], "default_unnorm_key": None}
    with StarVLAServer(**keys) as server:
        policy = build(
            server.port, server="starvla", unnorm_key="libero", prompt_case="lower", **options
        )
        policy.plan([bright(3)])
        with pytest.raises(SpecMismatchError, match=r"bridge, libero.*--option.unnorm-key"):
            build(server.port, server="starvla")
        with pytest.raises(ConfigError, match=r"'libera'.*Did you mean 'libero'"):
            build(server.port, server="starvla", unnorm_key="libera")
    payload = server.messages[-1]["payload"]
    (example,) = payload["examples"]
    assert payload["unnorm_key"] == "libero" and example["lang"] == "open it"
    assert (example["state"].shape, example["state"].dtype) == ((1, 8), np.float32)
    assert len(example["image"]) == 1
    assert policy.provenance["policy_mapping"]["unnorm_key"] == "libero"
    assert policy.spec.cameras == ("agentview",)


def test_an_error_of_the_network_costs_a_request_and_not_the_connection() -> None:
    def fragile(examples: list[dict[str, Any]], **more: Any) -> Any:
        if any(example["image"][0].max() == 13 for example in examples):
            raise ValueError("token\nout of range")
        return predict(examples, **more)

    with StarVLAServer(predict=fragile) as server:
        policy = build(server.port, server="starvla")
        with pytest.raises(ServerError, match=r"^The policy server broke: token out of range$"):
            policy.plan([bright(12), bright(13)])
        assert levels(policy.plan([bright(12)])) == [12]
        latency = policy.latency()
        assert (latency.requests, latency.failed, latency.resent) == (1, 2, 0)


@pytest.mark.parametrize(
    ("twist", "words"),
    [
        (lambda answer: {**answer, "request_id": "x"}, "answered request 'x', asked was"),
        (lambda answer: {**answer, "data": {"normalized_actions": []}}, "normalized_actions.*Fix"),
        (lambda answer: {**answer, "data": {"actions": np.zeros((2, 8, 7))}}, "2 plans for 1 exam"),
        (lambda answer: {**answer, "data": {"actions": np.zeros(())}}, "no plans for 1 examples"),
        (lambda answer: {**answer, "data": {"actions": 7}}, "no plans for 1 examples"),
        (lambda answer: {**answer, "data": {"actions": np.zeros((1, 8, 6))}}, r"shape \(8, 6\)"),
        (lambda answer: {**answer, "data": {"actions": [[["a"] * 7]]}}, "cannot be read"),
        (lambda answer: {**answer, "data": None}, "no actions, but NoneType"),
        (
            lambda answer: {"actions": np.zeros((8, 7))},
            "none of StarVLA's, but .*--option.protocol",
        ),
        (lambda answer: [1], "none of StarVLA's, but list"),
        (lambda answer: {**answer, "ok": False, "error": "late"}, "broke: late"),
        (lambda answer: {**answer, "ok": 1}, "broke: None"),
        (lambda answer: {**answer, "data": {"actions": np.full((1, 8, 7), np.nan)}}, "NaN"),
    ],
)
def test_an_answer_that_is_none_of_starvlas(twist: Any, words: str) -> None:
    with StarVLAServer(twist=twist) as server, pytest.raises(SpecMismatchError, match=words):
        build(server.port, server="starvla")


def test_a_server_of_the_other_protocol_is_recognised() -> None:
    with StarVLAServer() as server, pytest.raises(SpecMismatchError, match="server starvla"):
        build(server.port)
    with (
        PolicyServer(usual=broken) as other,  # as openpi's does for want of a state
        pytest.raises(SpecMismatchError, match=r"KeyError: 'state'.* first request"),
    ):
        build(other.port, server="starvla")


def test_a_server_that_computes_for_too_long_is_named_with_its_health() -> None:
    with StarVLAServer(predict=slow(1.5)) as server:
        policy = build(server.port, server="starvla", horizon=CHUNK, timeout=0.3, retries=0)
        with pytest.raises(PrerequisiteError, match=r"no answer within 0.3 s\. It answers a ping"):
            policy.plan([bright(1)])
    assert policy.latency().failed == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"history": 2}, "history 2 given with protocol starvla"),
        ({"seed_key": "seed"}, "seed_key seed given with protocol starvla"),
        ({"image_key": "front"}, "Allowed: observation/image or none"),
        ({"actions_key": "plan"}, "actions_key plan"),
        ({"server": "openpi", "unnorm_key": "franka"}, "unnorm_key 'franka' given with protocol"),
    ],
)
def test_options_that_its_messages_have_no_place_for(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ServerMapping(**{"server": "starvla", **options})


def test_openpis_messages_under_its_conventions_stay_possible() -> None:
    mapping = ServerMapping(server="starvla", protocol="openpi")
    assert mapping.conventions["gripper_threshold"] == 0.5
    assert "protocol" not in mapping.conventions
    assert ServerMapping(server="starvla").conventions["protocol"] == "starvla"
    message = mapping.request(replace(bright(1), instruction="open it"))
    assert set(message) == {"observation/image", "observation/wrist_image", "prompt"}
