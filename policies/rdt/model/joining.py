"""Joining a new plan to the one before: what is kept of the previous plan, and by which method.

Row 0 of both is the step of the new plan's observation. The first d rows, the committed ones, are
executed before the new plan arrives; from there to the end n of the overlap the previous plan
counts less and less.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from policies.rdt.model.diffusion import Blend, Solver

GuidanceName = Literal["none", "rtc", "rtc-blend", "bid", "inpaint"]
"""Method to keep a new plan consistent with the previous one; see ``sampling.SamplingOptions``."""

Decay = Literal["exponential", "linear", "none"]
"""Decay of the previous plan's weight over the overlap: the steps that both plans have."""

Schedule = Literal["exp", "linear", "ones", "zeros"]
"""The same for real-time chunking, by its names; ``zeros`` keeps the committed rows alone."""

_DECAYS: dict[Schedule, Decay] = {"exp": "exponential", "linear": "linear", "ones": "none"}


@dataclass(frozen=True, kw_only=True)
class PreviousPlans:
    """The remaining steps of previous plans, for B new plans.

    Attributes:
        vectors: (B, T, V) unified vectors of the remaining steps, then arbitrary padding.
        lengths: (B,) int64, remaining steps, the overlap; 0 where there is no previous plan.
        slots: (V,) of 0 and 1, the slots of an action.
        committed: (B,) int64, remaining steps that are executed before the new plan arrives; None
            for none.
        arm_slots: The same as ``slots`` without the gripper's; None for all of them.
    """

    vectors: Tensor
    lengths: Tensor
    slots: Tensor
    committed: Tensor | None = None
    arm_slots: Tensor | None = None

    @property
    def frozen(self) -> Tensor:
        """(B,) int64, the committed steps."""
        return torch.zeros_like(self.lengths) if self.committed is None else self.committed

    def repeated(self, samples: int) -> "PreviousPlans":
        """Return the same for several samples of each plan, those of one plan in succession."""
        return replace(
            self,
            vectors=self.vectors.repeat_interleave(samples, 0),
            lengths=self.lengths.repeat_interleave(samples),
            committed=self.frozen.repeat_interleave(samples),
        )


def stack_previous_plans(
    remainders: Sequence[Tensor | None],
    horizon: int,
    slots: Tensor,
    *,
    committed: Sequence[int] | None = None,
    arm_slots: Tensor | None = None,
) -> PreviousPlans:
    """Stack the remaining steps of previous plans.

    Args:
        remainders: Per plan (n, V) with n up to T, or None.
        horizon: T.
        slots: See ``PreviousPlans``.
        committed: Per plan, the rows that are executed before it arrives; none by default.
        arm_slots: See ``PreviousPlans``.
    """
    vectors = torch.zeros(len(remainders), horizon, len(slots))
    lengths = torch.zeros(len(remainders), dtype=torch.int64)
    for index, remainder in enumerate(remainders):
        if remainder is not None:
            vectors[index, : len(remainder)] = remainder
            lengths[index] = len(remainder)
    return PreviousPlans(
        vectors=vectors,
        lengths=lengths,
        slots=slots,
        committed=None if committed is None else torch.tensor(committed, dtype=torch.int64),
        arm_slots=arm_slots,
    )


def overlap_weights(lengths: Tensor, frozen: Tensor, horizon: int, decay: Decay) -> Tensor:
    """Give the weight of the previous plan at each step.

    The first ``frozen`` steps have full weight. From there to the end n of the overlap,
    c_k = (n − k) / (n − frozen + 1) falls to 0: ``linear`` is c, ``exponential`` is
    c·(eᶜ − 1)/(e − 1).

    Source: Black et al. 2025, "Real-Time Execution of Action Chunking Flow Policies", arXiv
    2506.07339, equation 5.

    Args:
        lengths: (B,) int64, n for each plan.
        frozen: (B,) int64.
        horizon: T.
        decay: The decay; ``none`` keeps full weight to the end of the overlap.

    Returns:
        (B, T) float32 in [0, 1], zero from n on.
    """
    k = torch.arange(horizon, device=lengths.device)[None]
    n, first = lengths[:, None], frozen[:, None]
    fall = ((n - k) / (n - first + 1).clamp(min=1)).clamp(0.0, 1.0)
    if decay == "exponential":
        fall = fall * torch.expm1(fall) / torch.expm1(torch.ones(()))
    if decay == "none":
        fall = torch.ones_like(fall)
    return torch.where(k < first, torch.ones_like(fall), fall) * (k < n)


def schedule_weights(previous: PreviousPlans, horizon: int, schedule: Schedule) -> Tensor:
    """Give the weights of real-time chunking, (B, T, V), zero in all slots but the arm's.

    The gripper's command is a decision: between an open and a closed hand there is nothing to
    pull to.
    """
    lengths, frozen = previous.lengths, previous.frozen
    if schedule == "zeros":
        weights = overlap_weights(lengths.minimum(frozen), frozen, horizon, "none")
    else:
        weights = overlap_weights(lengths, frozen, horizon, _DECAYS[schedule])
    slots = previous.slots if previous.arm_slots is None else previous.arm_slots
    return weights[..., None] * slots


def inpainting(
    previous: PreviousPlans,
    weights_BT: Tensor,
    solver: Solver,
    noise: Tensor,
) -> Blend:
    """Give the function that blends previous plans into a sample, noised to the sample's level.

    Args:
        previous: The previous plans.
        weights_BT: Their weight at each step.
        solver: The solver of the sample.
        noise: (B, T, V), the start of the sample.
    """
    weights_BTV = (weights_BT[..., None] * previous.slots).to(noise.device)
    clean = previous.vectors.to(noise)

    def blend(index: int, x: Tensor) -> Tensor:
        known = solver.noised(index, clean, noise)
        return torch.lerp(x.float(), known.float(), weights_BTV).to(x.dtype)

    return blend


Estimate = Callable[[Tensor], Tensor]
"""Maps noisy actions (B, T, V) to the denoised estimate x̂₀, (B, T, V)."""


def pulled(estimate: Estimate, x: Tensor, target: Tensor, weights: Tensor, gain: Tensor) -> Tensor:
    """Return the estimate x̂₀ guided towards previous plans, as real-time chunking does.

    x̂₀ + gain·Jᵀ[W ⊙ (Y − x̂₀)] with J = ∂x̂₀/∂x_t, the Jacobian of the network, whose product is
    computed by going back through it once.

    Args:
        estimate: The network.
        x: (B, T, V), the noisy actions x_t.
        target: (B, T, V), the previous plans Y.
        weights: (B, T, V), W.
        gain: 0-dim; see ``guidance_gain``.

    Returns:
        (B, T, V) in the dtype of the estimate.
    """
    with torch.enable_grad():
        variable = x.detach().requires_grad_()
        clean = estimate(variable)
        error = weights * (target - clean.detach().float())
        (product,) = torch.autograd.grad(clean, variable, error.to(clean.dtype))
    return (clean.detach().float() + gain * product.float()).to(clean.dtype)


def guidance_gain(alpha: Tensor, sigma: Tensor, beta: float) -> Tensor:
    """Return the step of the guidance, min(β·σ, 1/α), for x_t = α·x₀ + σ·ε with α² + σ² = 1.

    Real-time chunking steps by min(β, (1 − τ)/(τ·r²)) in the velocity of a flow, whose x̂₀ moves by
    1 − τ times that. With σ for 1 − τ, α for τ and r² = σ² it is the same step for a diffusion.

    Args:
        alpha: 0-dim, the signal's share α.
        sigma: 0-dim, the noise's share σ.
        beta: The largest step in the velocity, β.
    """
    return torch.minimum(beta * sigma, 1.0 / alpha)


def nearest(samples: Tensor, previous: PreviousPlans, decay: float) -> Tensor:
    """Choose the sample of each plan that is nearest to the previous plan: (B, T, V).

    The distance is Σ_k ρᵏ·‖a_k − b_k‖² over the overlap, in the slots of an action (bidirectional
    decoding); the committed steps count fully, and k is counted from their end. Without a previous
    plan, and between equals, the first sample is taken.

    Args:
        samples: (B, S, T, V).
        previous: The previous plans.
        decay: ρ, in (0, 1].
    """
    steps = torch.arange(samples.shape[2], device=samples.device)
    overlap = steps[None] < previous.lengths.to(samples.device)[:, None]
    behind = previous.frozen.to(samples.device)[:, None]
    weights_BT = decay ** (steps[None] - behind).clamp(min=0).float() * overlap
    errors = (samples.float() - previous.vectors.to(samples.device)[:, None]).square()
    errors_BST = (errors * previous.slots.to(samples.device)).sum(-1)
    chosen = (errors_BST * weights_BT[:, None]).sum(-1).argmin(1)
    return samples[torch.arange(len(samples), device=samples.device), chosen]
