"""Guidance by the plan before, against loops that write the formulas out."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from policies.rdt.actions.layout_file import get_layout
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.model.diffusion import DPMSolver, alphas_cumprod
from policies.rdt.model.joining import (
    PreviousPlans,
    nearest,
    overlap_weights,
    stack_previous_plans,
)
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.model.sampling import PlanSampler, SamplingOptions
from policies.rdt.model.transformer import Conditioning
from policies.rdt.policy import RDTPolicy
from tasks.errors import ConfigError
from tests.policies.rdt.test_policy import ask

HORIZON, SIZE = 8, 128


@pytest.fixture
def conditions(network: RDTPolicyNetwork) -> Conditioning:
    torch.manual_seed(3)
    mask = torch.from_numpy(get_layout().mask).expand(3, -1)
    return network.eval().condition(
        {
            "images": torch.randint(0, 256, (3, 2, 2, 3, 32, 32), dtype=torch.uint8),
            "token_ids": torch.randint(1, 9, (3, 12)),
            "token_mask": torch.ones(3, 12, dtype=torch.bool),
            "state": torch.randn(3, SIZE) * mask,
            "action_mask": mask,
        }
    )


def previous_plans(*lengths: int) -> PreviousPlans:
    torch.manual_seed(4)
    slots = torch.from_numpy(get_layout().action_mask)
    remainders = [torch.randn(n, SIZE) * slots if n else None for n in lengths]
    return stack_previous_plans(remainders, HORIZON, slots)


def sample(
    network: RDTPolicyNetwork,
    conditions: Conditioning,
    noise: Tensor,
    before: PreviousPlans | None = None,
    **options: Any,
) -> Tensor:
    return PlanSampler(network.rdt, SamplingOptions(**options), "cpu").sample(
        conditions, noise, before
    )


@pytest.mark.parametrize("decay", ["exponential", "linear", "none"])
@pytest.mark.parametrize(("n", "frozen"), [(0, 0), (1, 0), (5, 0), (5, 2), (3, 6), (7, 7)])
def test_overlap_weights(decay: Any, n: int, frozen: int) -> None:
    wanted = []
    for k in range(HORIZON):
        c = (n - k) / (n - frozen + 1) if k >= frozen else 1.0
        if decay == "exponential" and k >= frozen:
            c = c * (math.exp(c) - 1) / (math.e - 1)
        wanted.append(0.0 if k >= n else 0.8 * (1.0 if decay == "none" else c))
    (given,) = overlap_weights(torch.tensor([n]), torch.tensor([frozen]), HORIZON, decay)
    np.testing.assert_allclose(0.8 * given.numpy(), wanted, atol=1e-6)


def test_inpainting_blends_what_was_planned_at_every_level_of_noise(
    network: RDTPolicyNetwork, conditions: Conditioning
) -> None:
    before, noise = previous_plans(5, 0, 3), torch.randn(3, 1, HORIZON, SIZE)
    frozen = torch.ones(3, dtype=torch.int64)
    weights = overlap_weights(before.lengths, frozen, HORIZON, "exponential")
    solver, x, previous = DPMSolver(alphas_cumprod(), 4), noise[:, 0], None
    levels = [*(solver.sigmas.tolist()), 0.0][:5]
    for index, sigma in enumerate(levels):
        signal, scale = 1 / math.sqrt(sigma**2 + 1), sigma / math.sqrt(sigma**2 + 1)
        known = signal * before.vectors + scale * noise[:, 0]
        x = x.clone()
        for row in range(3):
            for k in range(HORIZON):
                w = weights[row, k] * before.slots
                x[row, k] = w * known[row, k] + (1 - w) * x[row, k]
        if index < 4:
            t = torch.tensor([solver.timesteps[index]])
            with torch.no_grad():
                out = network.rdt.denoise(conditions, x, t)
            x, previous = solver.step(index, out, x, previous)
    given = sample(
        network,
        conditions,
        noise,
        before,
        guidance="inpaint",
        inpaint_frozen=1,
        solver_steps=4,
    )
    torch.testing.assert_close(given, x * conditions.action_mask, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(given[0, 0], before.vectors[0, 0] + given[0, 0] * (1 - before.slots))
    plain = sample(network, conditions, noise, solver_steps=4)
    assert torch.equal(given[1], plain[1])
    assert not torch.equal(given[0, 6:], plain[0, 6:])  # the rest follows what is given


def test_inpainting_without_weight_or_precedent_is_plain_sampling(
    network: RDTPolicyNetwork, conditions: Conditioning
) -> None:
    noise = torch.randn(3, 1, HORIZON, SIZE)
    plain = sample(network, conditions, noise)
    assert torch.equal(sample(network, conditions, noise, guidance="inpaint"), plain)
    unheard = sample(
        network, conditions, noise, previous_plans(5, 2, 7), guidance="inpaint", inpaint_weight=0.0
    )
    torch.testing.assert_close(unheard, plain, rtol=0, atol=1e-6)


def test_bid_takes_the_nearest_of_all_samples(
    network: RDTPolicyNetwork, conditions: Conditioning
) -> None:
    before, noise = previous_plans(5, 0, 3), torch.randn(3, 6, HORIZON, SIZE)
    given = sample(network, conditions, noise, before, guidance="bid", samples=6, bid_decay=0.7)
    each = [sample(network, conditions, noise[:, [s]]) for s in range(6)]
    chosen = []
    for row in range(3):
        distances = []
        for plan in each:
            apart = (plan[row] - before.vectors[row]).numpy() * before.slots.numpy()
            n = int(before.lengths[row])
            distances.append(sum(0.7**k * float(np.sum(apart[k] ** 2)) for k in range(n)))
        chosen.append(int(np.argmin(distances)))
        torch.testing.assert_close(given[row], each[chosen[-1]][row], rtol=1e-4, atol=1e-5)
    assert chosen[1] == 0
    assert set(chosen) != {0}


def test_nearest_heeds_only_told_steps_and_the_slots_of_an_action() -> None:
    slots = torch.tensor([1.0, 0.0])
    before = PreviousPlans(vectors=torch.zeros(1, 3, 2), lengths=torch.tensor([2]), slots=slots)
    far_where_told = torch.tensor([[2.0, 0], [0, 0], [0, 0]])
    far_elsewhere = torch.tensor([[1.0, 50], [0, 50], [99, 50]])
    samples = torch.stack([far_where_told, far_elsewhere])[None]
    assert torch.equal(nearest(samples, before, 0.5)[0], far_elsewhere)
    late, early = torch.zeros(3, 2), torch.zeros(3, 2)
    late[1, 0], early[0, 0] = 1.2, 1.0
    pair = torch.stack([early, late])[None]
    assert torch.equal(nearest(pair, before, 0.5)[0], late)
    assert torch.equal(nearest(pair, before, 1.0)[0], early)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"guidance": "inpaint"},
        {"guidance": "bid", "samples": 3},
        {"guidance": "rtc"},
        {"guidance": "rtc-blend", "solver": "ddpm"},
        {"guidance": "bid", "samples": 3, "solver": "ddpm"},
    ],
)
@pytest.mark.parametrize("layout", ["eef-velocity", "eef-pose"])
def test_a_guided_policy_heeds_the_plan_before_and_no_neighbour(
    network: RDTPolicyNetwork, contract: Contract, options: dict[str, Any], layout: str
) -> None:
    contract = Contract.describe(network, render_size=48, layout=layout)
    policy = RDTPolicy(network, contract, batch_size=2, sampling=SamplingOptions(**options))
    first = policy.plan([ask(0)])[0]
    flipped = -first[2:]
    requests = [ask(0, previous=first[2:]), ask(1), ask(0, previous=flipped), ask(0)]
    together = policy.plan(requests)
    for request, plan in zip(requests, together, strict=True):
        np.testing.assert_array_equal(policy.plan([request])[0], plan)
    np.testing.assert_array_equal(together[3], first)
    if options["guidance"] in ("rtc", "rtc-blend"):
        assert np.abs(together[0] - first).max() > 1e-5
        assert np.abs(together[2] - together[0]).max() > 1e-5
    if options["guidance"] == "inpaint":
        np.testing.assert_allclose(together[0][0], first[2], atol=0.25)
        assert np.abs(together[2] - together[0]).max() > 0.1


def test_bid_begins_with_the_sample_of_plain_planning(
    network: RDTPolicyNetwork, contract: Contract
) -> None:
    (plain,) = RDTPolicy(network, contract, batch_size=1).plan([ask(5)])
    options = SamplingOptions(guidance="bid", samples=4)
    (guided,) = RDTPolicy(network, contract, batch_size=1, sampling=options).plan([ask(5)])
    np.testing.assert_allclose(guided, plain, atol=1e-5)


def test_contradictions_are_refused(network: RDTPolicyNetwork, contract: Contract) -> None:
    with pytest.raises(ConfigError, match="samples is 1"):
        SamplingOptions(guidance="bid")
    with pytest.raises(ConfigError, match=r"samples 4 is of guidance 'bid'.*Fix"):
        SamplingOptions(samples=4)
    with pytest.raises(ConfigError, match="inpaint_frozen 2 is of guidance 'inpaint'"):
        SamplingOptions(guidance="bid", samples=2, inpaint_frozen=2)
    joints = Contract.describe(network, render_size=48, layout="joints")
    with pytest.raises(ConfigError, match="cannot hold LIBERO's actions"):
        RDTPolicy(network, joints, sampling=SamplingOptions(guidance="inpaint"))
