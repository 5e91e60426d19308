"""Normalisations laid over layouts, in contracts, and undone by the policy."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from policies.rdt.actions.layout_file import get_layout, shipped_layouts
from policies.rdt.actions.normalisation import Normalisation, SlotScales, action_slots, state_slots
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.model.sampling import PlanSampler
from policies.rdt.policy import RDTPolicy
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import RobotState
from tests.policies.rdt.test_policy import ask

LAYOUT = get_layout("eef-velocity")


def some(layout=LAYOUT, seed: int = 0) -> Normalisation:
    rng = np.random.default_rng(seed)

    def scales(slots: tuple[int, ...]) -> SlotScales:
        count = len(slots)
        return SlotScales(
            slots=slots,
            offset=tuple(rng.normal(size=count).tolist()),
            scale=tuple(rng.uniform(0.01, 2.0, count).tolist()),
        )

    state, action = scales(state_slots(layout)), scales(action_slots(layout))
    return Normalisation(method="meanstd", state=state, action=action)


def robot(steps: int = 6) -> RobotState:
    rng = np.random.default_rng(1)
    quaternions = rng.normal(size=(steps, 4))
    return RobotState(
        joint_pos=rng.normal(size=(steps, 7)),
        ee_pos=rng.normal(size=(steps, 3)),
        ee_quat=quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True),
        gripper_qpos=np.tile([0.03, -0.03], (steps, 1)),
    )


def by_hand(vectors: np.ndarray, scales: SlotScales) -> np.ndarray:
    expected = vectors.astype(np.float64)
    for slot, offset, scale in zip(scales.slots, scales.offset, scales.scale, strict=True):
        expected[:, slot] = (vectors[:, slot] - offset) / scale
    return expected


@pytest.mark.parametrize("name", shipped_layouts())
def test_what_a_layout_writes_is_shifted_and_scaled(name: str) -> None:
    layout = get_layout(name)
    normalisation = some(layout)
    laid = normalisation.applied_to(layout)
    actions = np.random.default_rng(2).uniform(-1, 1, (6, 7))
    plain, found = layout.encode_state(robot()), laid.encode_state(robot())
    np.testing.assert_allclose(found, by_hand(plain, normalisation.state), rtol=1e-5, atol=1e-4)
    plain, found = (each.targets(actions, robot(), tail=2) for each in (layout, laid))
    np.testing.assert_allclose(found, by_hand(plain, normalisation.action), rtol=1e-5, atol=1e-4)
    start = {key: value[0] for key, value in robot().items()}
    read, again = layout.decode_actions(plain, start), laid.decode_actions(found, start)
    np.testing.assert_allclose(again, read, atol=1e-4)
    assert set(np.unique(again[:, -1])) <= {-1.0, 1.0}
    assert np.array_equal(laid.mask, layout.mask)


def test_the_gripper_is_left_as_it_is() -> None:
    normalisation = some()
    assert 10 not in (*normalisation.state.slots, *normalisation.action.slots)
    with pytest.raises(SpecMismatchError, match=r"slots 10 of the action.*Fix"):
        scales = SlotScales(slots=(10,), offset=(0.0,), scale=(1.0,))
        replace(normalisation, action=scales).applied_to(LAYOUT)


def test_units_are_those_of_the_layout() -> None:
    normalisation = some()
    units = normalisation.action_units
    assert units[list(normalisation.action.slots)] == pytest.approx(normalisation.action.scale)
    assert units[10] == units[30] == 1.0


def test_a_contract_carries_the_numbers(network: RDTPolicyNetwork) -> None:
    contract = Contract.describe(network, normalisation=some())
    again = Contract.from_json(contract.to_json())
    assert again == contract
    assert again.normalisation == some()
    assert again.mapping.hash == some().applied_to(LAYOUT).hash != again.plain_layout.hash
    again.check_layout(LAYOUT)  # the layout is the same, whatever is laid over it
    plain = Contract.describe(network)
    assert json.loads(plain.to_json())["normalisation"] == "none"
    assert Contract.from_json(plain.to_json()).mapping == LAYOUT


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"action": {"slots": [39], "offset": [0.0], "scale": [0.0]}}, "greater than 0"),
        ({"action": {"slots": [39], "offset": [0.0], "scale": []}}, "one offset and one scale"),
        ({"action": {"slots": [39, 39], "offset": [0, 0], "scale": [1, 1]}}, "each slot once"),
        ({"method": "zscore"}, "quantile"),
        ({"method": "none"}, "none without slots"),
        ({"state": {"slots": [99], "offset": [0.0], "scale": [1.0]}}, "slots 99 of the state"),
    ],
)
def test_contracts_with_impossible_numbers_are_refused(
    network: RDTPolicyNetwork, change: dict[str, object], word: str
) -> None:
    raw = json.loads(Contract.describe(network, normalisation=some()).to_json())
    raw["normalisation"] |= change
    with pytest.raises((ConfigError, SpecMismatchError), match=word):
        Contract.from_json(json.dumps(raw))


def test_a_policy_sees_normalised_states_and_gives_real_actions(
    network: RDTPolicyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    normalisation = some()
    contract = Contract.describe(network, render_size=48, normalisation=normalisation)
    policy = RDTPolicy(network, contract, batch_size=1)
    vectors = torch.randn(1, 8, 128, generator=torch.Generator().manual_seed(0))
    states = []

    def sample(sampler, conditions, noise, previous):
        states.append(conditions)
        return vectors

    monkeypatch.setattr(network, "condition", lambda batch: batch["state"])
    monkeypatch.setattr(PlanSampler, "sample", sample)
    request = ask(1)
    (plan,) = policy.plan([request])
    expected = vectors[0].double().numpy()
    slots = list(normalisation.action.slots)
    real = expected[:, slots] * normalisation.action.scale + normalisation.action.offset
    np.testing.assert_allclose(plan[:, :6], real.clip(-1, 1), atol=1e-6)
    np.testing.assert_array_equal(plan[:, 6], np.where(expected[:, 10] > 0.5, -1, 1))
    now = {key: request.window[-1][key] for key in robot()}
    plain = LAYOUT.encode_state(now)
    wanted = by_hand(plain[None], normalisation.state)
    np.testing.assert_allclose(states[0].numpy(), wanted, rtol=1e-5, atol=1e-4)
