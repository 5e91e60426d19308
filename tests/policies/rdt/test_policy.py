"""RDT as a policy."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import policies.rdt
from policies.interface import PlanRequest, Policy
from policies.rdt.checkpoint.contract import ANY_SIZE, Contract
from policies.rdt.checkpoint.storage import save_checkpoint
from policies.rdt.encoders.images import BACKGROUND
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.model.presets import build_network
from policies.rdt.model.sampling import SamplingOptions
from policies.rdt.policy import RDTOptions, RDTPolicy
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import FloatArray, Observation


def observe(seed: int, side: int = 48) -> Observation:
    random = np.random.RandomState(seed)
    return {
        "agentview": random.randint(0, 256, (side, side, 3), dtype=np.uint8),
        "wrist": random.randint(0, 256, (side, side, 3), dtype=np.uint8),
        "joint_pos": random.randn(7),
        "ee_pos": random.randn(3),
        "ee_quat": random.randn(4),
        "gripper_qpos": np.array([0.02, -0.02]),
        "instruction": "open the drawer",
    }


def load_policy(folder: Path, batch_size: int = 1, **options: Any) -> RDTPolicy:
    return RDTOptions(
        checkpoint=str(folder), device="cpu", batch_size=batch_size, **options
    ).build()


def ask(which: int, **changes: Any) -> PlanRequest:
    given: dict[str, Any] = {
        "window": [observe(which), observe(which + 100)],
        "instruction": ["open the drawer", "put the bowl on the plate"][which % 2],
        "seed": which,
        **changes,
    }
    return PlanRequest(**given)


@pytest.fixture
def policy(network: RDTPolicyNetwork, contract: Contract) -> RDTPolicy:
    return RDTPolicy(network, contract, batch_size=4)


def test_spec_and_plans(policy: RDTPolicy) -> None:
    assert isinstance(policy, Policy)
    assert policy.spec.name == "rdt"
    assert (policy.spec.horizon, policy.spec.history) == (8, 2)
    assert policy.spec.cameras == ("agentview", "wrist")
    (plan,) = policy.plan([ask(1)])
    assert plan.shape == (8, 7)
    assert plan.dtype == np.float64
    assert np.abs(plan).max() <= 1.0
    assert set(np.unique(plan[:, 6])) <= {-1.0, 1.0}
    assert policy.plan([]) == []


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_plan_does_not_depend_on_its_neighbours(
    network: RDTPolicyNetwork, contract: Contract, batch_size: int
) -> None:
    policy = RDTPolicy(network, contract, batch_size=batch_size)
    requests = [ask(seed) for seed in range(6)]
    together = policy.plan(requests)
    for request, plan in zip(requests, together, strict=True):
        (alone,) = policy.plan([request])
        np.testing.assert_array_equal(alone, plan)
    for request, plan in zip(requests, policy.plan(requests[::-1])[::-1], strict=True):
        np.testing.assert_array_equal(plan, together[request.seed])


@pytest.mark.slow
def test_plans_of_rdt_small_are_the_same_alone_and_in_company() -> None:
    """The shapes that are evaluated, where kernels of other sizes come into play."""
    network = build_network("rdt-small")
    contract = Contract.describe(network, render_size=128)
    policy = RDTPolicy(network, contract, batch_size=4, sampling=SamplingOptions(solver_steps=2))
    requests = [ask(which, window=[observe(which, 128), observe(9, 128)]) for which in range(6)]
    alone = [policy.plan([request])[0] for request in requests]
    for order in ([0, 1, 2, 3, 4, 5], [5, 3, 1, 4, 2, 0], [2, 2, 2], [4, 0]):
        plans = policy.plan([requests[which] for which in order])
        for which, plan in zip(order, plans, strict=True):
            np.testing.assert_array_equal(plan, alone[which])


def test_a_plan_depends_on_seed_images_state_and_words(policy: RDTPolicy) -> None:
    (base,) = policy.plan([ask(0)])
    others = [
        ask(0, seed=5),
        ask(0, window=[observe(0), observe(7)]),
        ask(0, instruction="close the drawer"),
    ]
    for other in policy.plan(others):
        assert not np.array_equal(base, other)


def test_the_first_frame_repeats_before_the_start(policy: RDTPolicy) -> None:
    now = observe(3)
    short, repeated, longer = policy.plan(
        [ask(3, window=[now]), ask(3, window=[now, now]), ask(3, window=[observe(9), now, now])]
    )
    np.testing.assert_array_equal(short, repeated)
    np.testing.assert_array_equal(short, longer)


def test_a_saved_policy_plans_the_same(
    tmp_path: Path, policy: RDTPolicy, network: RDTPolicyNetwork, contract: Contract
) -> None:
    folder = save_checkpoint(tmp_path / "ckpt", network, contract)
    loaded = load_policy(folder, batch_size=4)
    np.testing.assert_array_equal(loaded.plan([ask(2)]), policy.plan([ask(2)]))


def test_the_configured_solver_steps_are_the_default(
    network: RDTPolicyNetwork, contract: Contract
) -> None:
    def plan(steps: int | None) -> FloatArray:
        sampling = SamplingOptions(solver_steps=steps)
        return RDTPolicy(network, contract, batch_size=1, sampling=sampling).plan([ask(0)])[0]

    configured = network.config.noise_scheduler.num_inference_timesteps
    np.testing.assert_array_equal(plan(None), plan(configured))
    for steps in (configured - 1, configured + 1):
        assert not np.array_equal(plan(None), plan(steps))


def test_images_of_another_size_or_none_are_refused(policy: RDTPolicy) -> None:
    with pytest.raises(SpecMismatchError, match=r"\(64, 64, 3\).*\(48, 48, 3\)"):
        policy.plan([ask(0, window=[observe(0, side=64)])])
    blind = observe(0)
    del blind["wrist"]
    with pytest.raises(SpecMismatchError, match="'wrist' gave no image"):
        policy.plan([ask(0, window=[blind])])
    with pytest.raises(SpecMismatchError, match="no observation"):
        policy.plan([ask(0, window=[])])
    with pytest.raises(ConfigError, match="13 words"):
        policy.plan([ask(0, instruction="word " * 13)])


@pytest.mark.parametrize("size", [48, ANY_SIZE])
def test_a_missing_camera_is_not_asked_for_and_shows_the_background(
    network: RDTPolicyNetwork, size: int
) -> None:
    both = Contract.describe(network, render_size=size)
    one = replace(both, missing_cameras=("agentview",))
    assert Contract.from_json(one.to_json()) == one
    blind = RDTPolicy(network, one, batch_size=2)
    assert blind.spec.cameras == ("wrist",)
    asked, gray = ask(4), ask(4)
    for seen in asked.window:
        del seen["agentview"]
    for seen in gray.window:
        seen["agentview"] = np.full((48, 48, 3), BACKGROUND, np.uint8)
    (plan,) = blind.plan([asked])
    np.testing.assert_array_equal(plan, RDTPolicy(network, both, batch_size=2).plan([gray])[0])
    assert not np.array_equal(plan, RDTPolicy(network, both, batch_size=2).plan([ask(4)])[0])
    with pytest.raises(SpecMismatchError, match="missing_cameras"):
        one.check({"missing_cameras": ()})
    for wrong in (["agentview", "wrist"], ["front"]):
        text = json.dumps(json.loads(one.to_json()) | {"missing_cameras": wrong})
        with pytest.raises(ConfigError, match="missing_cameras"):
            Contract.from_json(text)


@pytest.mark.parametrize("name", policies.rdt.__all__)
def test_public_names_are_imported_when_asked_for(name: str) -> None:
    assert getattr(policies.rdt, name).__name__ == name


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'RDT'"):
        getattr(policies.rdt, "RDT")  # noqa: B009


def test_batch_size_must_be_positive(network: RDTPolicyNetwork, contract: Contract) -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        RDTPolicy(network, contract, batch_size=0)
