"""Joining plans on a model whose Jacobian is known, against formulas written out in NumPy."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.model.diffusion import SOLVERS, DDPMSolver, SolverName, alphas_cumprod
from policies.rdt.model.joining import (
    PreviousPlans,
    guidance_gain,
    nearest,
    schedule_weights,
    stack_previous_plans,
)
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.model.sampling import PlanSampler, SamplingOptions
from policies.rdt.model.transformer import Conditioning
from policies.rdt.policy import RDTPolicy
from tasks.errors import ConfigError
from tests.policies.rdt.test_policy import ask

T, V, STEPS = 6, 3, 5
SLOTS = torch.tensor([1.0, 1.0, 1.0])
ARM = torch.tensor([1.0, 1.0, 0.0])
"""The last slot is the gripper's."""


class GaussianModel:
    """Predicts exactly, for plans that are Gaussian: mean μ, covariance Σ over the steps.

    x̂₀ = μ + K(x − αμ) with K = αΣ(α²Σ + σ²I)⁻¹, so the Jacobian ∂x̂₀/∂x is K in every slot.
    """

    def __init__(self, prediction: str) -> None:
        rng = np.random.default_rng(5)
        root = rng.normal(size=(T, T))
        self.covariance = root @ root.T / T + 0.1 * np.eye(T)
        self.mean = rng.normal(size=(T, V))
        self.prediction = prediction
        self.alphas = alphas_cumprod()

    def solver(self, steps: int | None = None, name: SolverName = "dpm-solver++") -> Any:
        return SOLVERS[name](self.alphas, steps or STEPS, self.prediction)  # type: ignore[arg-type]

    def shares(self, t: int) -> tuple[float, float]:
        """α and σ of a timestep."""
        signal = float(self.alphas[t])
        return math.sqrt(signal), math.sqrt(1 - signal)

    def jacobian(self, t: int) -> np.ndarray:
        alpha, sigma = self.shares(t)
        inner = alpha**2 * self.covariance + sigma**2 * np.eye(T)
        return alpha * self.covariance @ np.linalg.inv(inner)

    def denoise(self, conditions: Conditioning, x: Tensor, t: Tensor) -> Tensor:
        (at,) = t.tolist()
        alpha, sigma = self.shares(at)
        mean = torch.tensor(self.mean)
        clean = mean + torch.tensor(self.jacobian(at)) @ (x.double() - alpha * mean)
        if self.prediction == "epsilon":
            clean = (x.double() - alpha * clean) / sigma
        return clean.to(x.dtype)


def conditions(rows: int) -> Conditioning:
    return Conditioning(
        keys_values=(),
        state=torch.zeros(rows, 1, 1, dtype=torch.float64),
        action_mask=torch.ones(rows, 1, V),
        ctrl_freqs=torch.zeros(rows),
        lang_mask=None,
    )


class Before(NamedTuple):
    """A plan before, its length and its committed rows."""

    rows: np.ndarray
    committed: int


def weights_by_hand(n: int, d: int, schedule: str) -> np.ndarray:
    """W_i as real-time chunking has it: 1, then c(eᶜ − 1)/(e − 1), then 0."""
    weights = np.zeros((T, V))
    for i in range(n):
        c = (n - i) / (n - d + 1)
        behind = {
            "exp": c * (math.exp(c) - 1) / (math.e - 1),
            "linear": c,
            "ones": 1.0,
            "zeros": 0.0,
        }[schedule]
        weights[i, :2] = 1.0 if i < d else behind
    return weights


def sampled_by_hand(
    model: GaussianModel,
    noise: np.ndarray,
    before: Before,
    *,
    method: str,
    schedule: str,
    beta: float = 5.0,
    draws: np.ndarray | None = None,
) -> np.ndarray:
    """Sample one plan, every coefficient from its definition; the Jacobian is the model's own."""
    n, d = len(before.rows), before.committed
    weights = weights_by_hand(n, d, schedule)
    target = np.zeros((T, V))
    target[:n] = before.rows
    times = np.linspace(0, 999, STEPS + 1).round()[::-1][:-1].astype(int)
    shares = [*map(model.shares, times), (1.0, 0.0)]
    logs = [math.log(a / s) if s else math.inf for a, s in shares]
    x, old = noise, None
    for i, t in enumerate(times):
        (alpha, sigma), (after_alpha, after_sigma) = shares[i], shares[i + 1]
        jacobian = model.jacobian(int(t))
        clean = model.mean + jacobian @ (x - alpha * model.mean)
        error = weights * (target - clean)
        if method == "rtc":
            clean = clean + min(beta * sigma, 1 / alpha) * jacobian.T @ error
        elif method == "rtc without the Jacobian":
            clean = clean + min(beta * sigma, 1 / alpha) * error
        elif method == "rtc-blend":
            clean = clean + error
        if draws is not None:
            a = alpha**2 / after_alpha**2
            left = 1 - alpha**2
            x = (
                after_alpha * (1 - a) / left * clean
                + math.sqrt(a) * (1 - after_alpha**2) / left * x
                + (math.sqrt((1 - after_alpha**2) / left * (1 - a)) * draws[i] if i < 4 else 0)
            )
            continue
        h = logs[i + 1] - logs[i]
        gain = after_alpha * (math.exp(-h) - 1)
        after = after_sigma / sigma * x - gain * clean
        if old is not None and i + 1 < STEPS:
            after -= 0.5 * gain * (h / (logs[i] - logs[i - 1])) * (clean - old)
        x, old = after, clean
    return x


BEFORE = Before(np.random.default_rng(8).normal(size=(4, V)), 2)


def sampled(
    model: GaussianModel, noise: np.ndarray, before: Before | None, **options: Any
) -> np.ndarray:
    previous = None
    if before is not None:
        rows = torch.tensor(before.rows, dtype=torch.float64).float()
        previous = stack_previous_plans(
            [rows], T, SLOTS, committed=[before.committed], arm_slots=ARM
        )
    sampler = PlanSampler(model, SamplingOptions(solver_steps=STEPS, **options), "cpu")  # type: ignore[arg-type]
    with torch.no_grad():
        (plan,) = sampler.sample(conditions(1), torch.tensor(noise)[None], previous)
    return plan.double().numpy()


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
@pytest.mark.parametrize("schedule", ["exp", "linear", "ones", "zeros"])
@pytest.mark.parametrize("method", ["rtc", "rtc-blend"])
@pytest.mark.parametrize("solver", ["dpm-solver++", "ddpm"])
def test_guided_plans_are_those_of_the_formula(
    prediction: str, schedule: str, method: str, solver: str
) -> None:
    model = GaussianModel(prediction)
    noise = np.random.default_rng(9).normal(size=(STEPS, T, V))
    ddpm = solver == "ddpm"
    given = sampled(
        model,
        noise if ddpm else noise[:1],
        BEFORE,
        guidance=method,
        rtc_schedule=schedule,
        solver=solver,
    )
    how = {"method": method, "schedule": schedule, "draws": noise[1:] if ddpm else None}
    wanted = sampled_by_hand(model, noise[0], BEFORE, **how)  # type: ignore[arg-type]
    np.testing.assert_allclose(given, wanted, rtol=1e-3, atol=1e-3)
    # Without guidance the plan is another one, in the overlap more than behind it.
    plain = sampled(model, noise if ddpm else noise[:1], None, solver=solver)
    assert np.abs(given - plain)[:2, :2].max() > 0.1


@pytest.mark.parametrize("beta", [0.5, 5.0, 50.0])
def test_the_jacobian_is_the_networks(beta: float) -> None:
    model, noise = GaussianModel("sample"), np.random.default_rng(9).normal(size=(1, T, V))
    given = sampled(model, noise, BEFORE, guidance="rtc", rtc_beta=beta)
    how: Any = {"schedule": "exp", "beta": beta}
    with_it = sampled_by_hand(model, noise[0], BEFORE, method="rtc", **how)
    without = sampled_by_hand(model, noise[0], BEFORE, method="rtc without the Jacobian", **how)
    np.testing.assert_allclose(given, with_it, rtol=1e-3, atol=1e-3)
    assert np.abs(without - with_it).max() > 0.1


def test_the_gripper_is_left_out_of_real_time_chunking() -> None:
    model = GaussianModel("sample")
    noise = np.random.default_rng(9).normal(size=(1, T, V))
    plain = sampled(model, noise, None)
    for method in ("rtc", "rtc-blend"):
        joined = sampled(model, noise, BEFORE, guidance=method)
        np.testing.assert_allclose(joined[:, 2], plain[:, 2], atol=1e-6)
        assert np.abs(joined[:, :2] - plain[:, :2]).max() > 0.1


def test_without_a_plan_before_all_methods_sample_as_without_them() -> None:
    model = GaussianModel("epsilon")
    noise = np.random.default_rng(9).normal(size=(1, T, V))
    plain = sampled(model, noise, None)
    empty = Before(np.zeros((0, V)), 0)
    for method in ("rtc", "rtc-blend", "inpaint"):
        np.testing.assert_array_equal(sampled(model, noise, None, guidance=method), plain)
        np.testing.assert_allclose(sampled(model, noise, empty, guidance=method), plain, atol=1e-5)
    nothing = Before(BEFORE.rows, 0)
    for method in ("rtc", "rtc-blend"):
        kept = sampled(model, noise, nothing, guidance=method, rtc_schedule="zeros")
        np.testing.assert_allclose(kept, plain, atol=1e-5)


def test_committed_rows_are_inpainted_at_full_weight() -> None:
    model = GaussianModel("sample")
    noise = np.random.default_rng(9).normal(size=(1, T, V))
    joined = sampled(model, noise, BEFORE, guidance="inpaint")
    np.testing.assert_allclose(joined[:2], BEFORE.rows[:2], atol=1e-6)
    assert np.abs(joined[2] - BEFORE.rows[2]).max() > 1e-3
    longer = sampled(model, noise, BEFORE, guidance="inpaint", inpaint_frozen=3)
    np.testing.assert_allclose(longer[:3], BEFORE.rows[:3], atol=1e-6)


def test_weights_of_rows_with_other_delays_stand_side_by_side() -> None:
    rows = [torch.ones(n, V) for n in (5, 3, 1)]
    previous = stack_previous_plans(rows, T, SLOTS, committed=[1, 3, 0], arm_slots=ARM)
    given = schedule_weights(previous, T, "exp").numpy()
    for row, (n, d) in enumerate([(5, 1), (3, 3), (1, 0)]):
        np.testing.assert_allclose(given[row], weights_by_hand(n, d, "exp"), atol=1e-6)


def test_the_step_of_the_guidance_is_that_of_a_flow() -> None:
    """In a flow x = τ·x₀ + (1 − τ)·ε the paper steps by min(β, (1 − τ)/(τ·r²)) in the velocity."""
    for alpha in (0.02, 0.3, 0.7, 0.999):
        sigma = math.sqrt(1 - alpha**2)
        r2 = sigma**2 / (alpha**2 + sigma**2)
        wanted = sigma * min(5.0, sigma / (alpha * r2))
        given = guidance_gain(torch.tensor(alpha), torch.tensor(sigma), 5.0)
        assert float(given) == pytest.approx(wanted, rel=1e-5)


def test_nearest_counts_committed_rows_fully_and_decays_behind_them() -> None:
    zero = torch.zeros(1, T, V)
    before = PreviousPlans(
        vectors=zero, lengths=torch.tensor([5]), slots=SLOTS, committed=torch.tensor([3])
    )
    first, third, fourth = (torch.zeros(T, V) for _ in range(3))
    first[0, 0], third[2, 0], fourth[3, 0] = 1.0, 1.01, 1.02
    pair = torch.stack([third, first])[None]
    assert torch.equal(nearest(pair, before, 0.5)[0], first)
    fifth = torch.zeros(T, V)
    fifth[4, 0] = 1.2  # of half the weight of row 3
    assert torch.equal(nearest(torch.stack([fourth, fifth])[None], before, 0.5)[0], fifth)


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
def test_ancestral_sampling_equals_diffusers(prediction: str) -> None:
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=prediction,
        clip_sample=False,
    )
    ours = DDPMSolver(alphas_cumprod(), STEPS, prediction)  # type: ignore[arg-type]
    theirs.set_timesteps(timesteps=list(ours.timesteps))
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(STEPS, 2, T, V, generator=torch.Generator().manual_seed(4))
    outputs = torch.randn(STEPS, 2, T, V, generator=generator)
    x = y = noise[0]
    # Diffusers draws from a generator; have it draw what we are given.
    again = torch.Generator().manual_seed(5)
    for index, t in enumerate(theirs.timesteps):
        state = again.get_state()
        y = theirs.step(outputs[index], t, y, generator=again).prev_sample
        drawn = torch.randn(2, T, V, generator=_restored(state))
        x = ours.advance(index, ours.denoised(index, outputs[index], x), x, None, drawn)
        torch.testing.assert_close(x, y, rtol=2e-3, atol=2e-3)


def _restored(state: Tensor) -> torch.Generator:
    generator = torch.Generator()
    generator.set_state(state)
    return generator


@pytest.mark.parametrize(
    "options",
    [
        {"guidance": "rtc"},
        {"guidance": "rtc-blend", "rtc_schedule": "linear"},
        {"guidance": "inpaint"},
        {"guidance": "bid", "samples": 2},
        {"guidance": "rtc", "solver": "ddpm"},
    ],
)
@pytest.mark.parametrize("layout", ["eef-velocity", "eef-goal"])
def test_committed_rows_of_a_plan_are_those_of_the_plan_before(
    network: RDTPolicyNetwork, options: dict[str, Any], layout: str
) -> None:
    contract = Contract.describe(network, render_size=48, layout=layout)
    policy = RDTPolicy(network, contract, sampling=SamplingOptions(**options), batch_size=2)
    before = RDTPolicy(network, contract).plan([ask(0)])[0][2:]
    before[:, -1] = -before[:, -1]  # the gripper's command is taken from it, too
    joined, other = policy.plan(
        [ask(1, previous=before, committed=3), ask(1, previous=before, committed=1)]
    )
    np.testing.assert_array_equal(joined[:3], before[:3])
    np.testing.assert_array_equal(other[:1], before[:1])
    assert not np.array_equal(other[1:3], before[1:3])


def test_other_options_share_the_weights(network: RDTPolicyNetwork, contract: Contract) -> None:
    policy = RDTPolicy(network, contract)
    joined = policy.with_options({"guidance": "rtc", "rtc_beta": 2})
    assert joined.network is policy.network
    assert (joined.sampling.guidance, joined.sampling.rtc_beta) == ("rtc", 2)
    assert policy.sampling.guidance == "none"
    with pytest.raises(ConfigError, match="rtc_beta"):
        policy.with_options({"guidance": "rtc", "rtc_beta": -1})


def test_contradictions_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"goes back through the network.*Fix"):
        SamplingOptions(guidance="rtc", cuda_graphs=True)
    with pytest.raises(ConfigError, match=r"rtc_beta 3\.0 is of guidance 'rtc'"):
        SamplingOptions(guidance="rtc-blend", rtc_beta=3)
    with pytest.raises(ConfigError, match="rtc_schedule ones is of guidance 'rtc'"):
        SamplingOptions(rtc_schedule="ones")
