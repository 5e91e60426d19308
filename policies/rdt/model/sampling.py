"""Sampling plans from an RDT: the options, consistency with the previous plan, the sampler."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.utils._pytree import tree_map

from policies.rdt.model.diffusion import Blend, DPMSolver
from policies.rdt.model.torch_runtime import choose_execution
from policies.rdt.model.transformer import Conditioning, RDTModel
from tasks.errors import ConfigError
from tasks.settings import settings

GuidanceName = Literal["none", "bid", "inpaint"]
"""Method to keep a new plan consistent with the previous one; see ``SamplingOptions``."""

Decay = Literal["exponential", "linear", "none"]
"""Decay of the previous plan's weight over the overlap: the steps that both plans have."""

_OPTIONS_OF = {
    "bid": ("samples", "bid_decay"),
    "inpaint": ("inpaint_weight", "inpaint_frozen", "inpaint_decay"),
}


@settings
class SamplingOptions:
    """Options of sampling plans.

    Raises:
        ConfigError: Two settings contradict each other.
    """

    solver_steps: int | None = Field(default=None, ge=1, le=999)
    """Denoising steps; the checkpoint's number if not given."""

    guidance: GuidanceName = "none"
    """Consistency with the previous plan, where both speak of the same steps: ``none``; ``bid``
    keeps the nearest of several samples; ``inpaint`` blends the previous plan into the sampling."""

    samples: int = Field(default=1, ge=1)
    """``bid``: samples per plan."""

    bid_decay: float = Field(default=0.5, gt=0.0, le=1.0)
    """``bid``: ρ; a step counts ρ times as much as the step before it."""

    inpaint_weight: float = Field(default=1.0, ge=0.0, le=1.0)
    """``inpaint``: weight of the previous plan at its first remaining step; 0 is plain sampling."""

    inpaint_frozen: int = Field(default=0, ge=0)
    """``inpaint``: steps at full weight before the decay begins."""

    inpaint_decay: Decay = "exponential"
    """``inpaint``: how the weight falls to 0 over the overlap; ``none`` keeps it to the end."""

    compile: bool = False
    """Compile a denoising step: minutes at the first plan, faster ones after."""

    cuda_graphs: bool = False
    """Replay a denoising step as one CUDA graph; needs a CUDA device."""

    def __post_init__(self) -> None:
        if self.guidance == "bid" and self.samples == 1:
            raise ConfigError(
                "guidance 'bid' chooses among samples, but samples is 1. Fix: give samples=8."
            )
        fields = self.__pydantic_fields__  # type: ignore[attr-defined]
        for guidance, names in _OPTIONS_OF.items():
            for name in names:
                value, usual = getattr(self, name), fields[name].default
                if guidance != self.guidance and value != usual:
                    raise ConfigError(
                        f"{name} {value} is of guidance '{guidance}', but guidance is "
                        f"'{self.guidance}'. Fix: give guidance={guidance}, or leave {name} out."
                    )


@dataclass(frozen=True, kw_only=True)
class PreviousPlans:
    """The remaining steps of previous plans, for B new plans.

    Attributes:
        vectors: (B, T, V) unified vectors of the remaining steps, then arbitrary padding.
        lengths: (B,) int64, remaining steps, the overlap; 0 where there is no previous plan.
        slots: (V,) of 0 and 1, the slots of an action.
    """

    vectors: Tensor
    lengths: Tensor
    slots: Tensor


def stack_previous_plans(
    remainders: Sequence[Tensor | None], horizon: int, slots: Tensor
) -> PreviousPlans:
    """Stack the remaining steps of previous plans.

    Args:
        remainders: Per plan (n, V) with n up to T, or None.
        horizon: T.
        slots: See ``PreviousPlans``.
    """
    vectors = torch.zeros(len(remainders), horizon, len(slots))
    lengths = torch.zeros(len(remainders), dtype=torch.int64)
    for index, remainder in enumerate(remainders):
        if remainder is not None:
            vectors[index, : len(remainder)] = remainder
            lengths[index] = len(remainder)
    return PreviousPlans(vectors=vectors, lengths=lengths, slots=slots)


def overlap_weights(lengths: Tensor, horizon: int, options: SamplingOptions) -> Tensor:
    """Give the weight of the previous plan at each step when it is inpainted.

    The first ``inpaint_frozen`` steps have full weight. From there to the end n of the overlap,
    c_k = (n − k) / (n − frozen + 1) falls to 0: ``linear`` is c, ``exponential`` is
    c·(eᶜ − 1)/(e − 1), as in real-time chunking.

    Args:
        lengths: (B,) int64, n for each plan.
        horizon: T.
        options: The weight, the frozen steps and the decay.

    Returns:
        (B, T) float32 in [0, 1], zero from n on.
    """
    k = torch.arange(horizon, device=lengths.device)[None]
    n = lengths[:, None]
    frozen = options.inpaint_frozen
    fall = ((n - k) / (n - frozen + 1).clamp(min=1)).clamp(0.0, 1.0)
    if options.inpaint_decay == "exponential":
        fall = fall * torch.expm1(fall) / torch.expm1(torch.ones(()))
    if options.inpaint_decay == "none":
        fall = torch.ones_like(fall)
    weights = torch.where(k < frozen, torch.ones_like(fall), fall)
    return options.inpaint_weight * weights * (k < n)


def inpainting(
    previous: PreviousPlans, options: SamplingOptions, solver: DPMSolver, noise: Tensor
) -> Blend:
    """Give the function that blends previous plans into a sample, noised to the sample's level.

    Args:
        previous: The previous plans.
        options: See ``overlap_weights``.
        solver: The solver of the sample.
        noise: (B, T, V), the start of the sample.
    """
    horizon = noise.shape[1]
    weights = overlap_weights(previous.lengths, horizon, options)
    weights_BTV = (weights[..., None] * previous.slots).to(noise.device)
    clean = previous.vectors.to(noise)

    def blend(index: int, x: Tensor) -> Tensor:
        known = solver.noised(index, clean, noise)
        return torch.lerp(x.float(), known.float(), weights_BTV).to(x.dtype)

    return blend


def nearest(samples: Tensor, previous: PreviousPlans, decay: float) -> Tensor:
    """Choose the sample of each plan that is nearest to the previous plan: (B, T, V).

    The distance is Σ_k ρᵏ·‖a_k − b_k‖² over the overlap, in the slots of an action (bidirectional
    decoding). Without a previous plan, and between equals, the first sample is taken.

    Args:
        samples: (B, S, T, V).
        previous: The previous plans.
        decay: ρ, in (0, 1].
    """
    steps = torch.arange(samples.shape[2], device=samples.device)
    overlap = steps[None] < previous.lengths.to(samples.device)[:, None]
    weights_BT = decay ** steps.float() * overlap
    errors = (samples.float() - previous.vectors.to(samples.device)[:, None]).square()
    errors_BST = (errors * previous.slots.to(samples.device)).sum(-1)
    chosen = (errors_BST * weights_BT[:, None]).sum(-1).argmin(1)
    return samples[torch.arange(len(samples), device=samples.device), chosen]


class PlanSampler:
    """Samples plans from conditions, with a model that is on ``device``.

    Raises:
        ConfigError: An option is out of range, or not possible on that device.
    """

    def __init__(
        self, model: RDTModel, options: SamplingOptions, device: torch.device | str
    ) -> None:
        self.options = options
        self._solver = model.solver(options.solver_steps)
        self._times = torch.tensor(self._solver.timesteps, device=device)
        self._denoise = choose_execution(
            model, device, compile=options.compile, cuda_graphs=options.cuda_graphs
        )

    @torch.no_grad()
    def sample(
        self, conditions: Conditioning, noise: Tensor, previous: PreviousPlans | None = None
    ) -> Tensor:
        """Sample one plan per row.

        Args:
            conditions: Of B plans, from ``RDTModel.condition``.
            noise: (B, S, T, V) standard normal, S samples per plan.
            previous: The previous plans; not used without guidance.

        Returns:
            (B, T, V), zero outside the mask.
        """
        noise = noise.to(conditions.state.dtype)
        samples = noise.shape[1]
        if samples > 1:
            conditions = tree_map(lambda part: _repeated(part, samples), conditions)
        start = noise.flatten(0, 1)
        blend = None
        if self.options.guidance == "inpaint" and previous is not None:
            blend = inpainting(previous, self.options, self._solver, start)
        x = self._solver.run(
            start,
            lambda index, x: self._denoise(conditions, x, self._times[index, None]),
            blend,
        )
        masked = x * conditions.action_mask
        plans: Tensor = masked.reshape(-1, samples, *masked.shape[1:])
        if self.options.guidance == "bid" and previous is not None:
            return nearest(plans, previous, self.options.bid_decay)
        return plans[:, 0]


def _repeated(part: Tensor, samples: int) -> Tensor:
    """Repeat each row several times in succession."""
    return part.unsqueeze(1).expand(-1, samples, *part.shape[1:]).flatten(0, 1)
