"""Sampling plans from an RDT: the options and the sampler."""

import torch
from pydantic import Field
from torch import Tensor
from torch.utils._pytree import tree_map

from policies.rdt.model.diffusion import Blend, Guide, SolverName
from policies.rdt.model.joining import (
    Decay,
    GuidanceName,
    PreviousPlans,
    Schedule,
    guidance_gain,
    inpainting,
    nearest,
    overlap_weights,
    pulled,
    schedule_weights,
)
from policies.rdt.model.torch_runtime import choose_execution
from policies.rdt.model.transformer import Conditioning, RDTModel
from tasks.errors import ConfigError
from tasks.settings import settings

_METHODS_OF: dict[str, tuple[GuidanceName, ...]] = {
    "samples": ("bid",),
    "bid_decay": ("bid",),
    "inpaint_weight": ("inpaint",),
    "inpaint_frozen": ("inpaint",),
    "inpaint_decay": ("inpaint",),
    "rtc_beta": ("rtc",),
    "rtc_schedule": ("rtc", "rtc-blend"),
}
"""The methods to which an option belongs."""


@settings
class SamplingOptions:
    """Options of sampling plans.

    Raises:
        ConfigError: Two settings contradict each other.
    """

    solver_steps: int | None = Field(default=None, ge=1, le=999)
    """Denoising steps; the checkpoint's number if not given."""

    solver: SolverName = "dpm-solver++"
    """``dpm-solver++``, as RDT is deployed; or ``ddpm``, which draws new noise at every step."""

    guidance: GuidanceName = "none"
    """Consistency with the previous plan, where both speak of the same steps: ``none``; ``rtc``
    (real-time chunking) pulls the sampling towards it, by the gradient through the network;
    ``rtc-blend`` blends it into the denoised estimate, without a gradient; ``inpaint`` blends it
    into the noisy sample; ``bid`` keeps the nearest of several samples. With a delay the committed
    rows are kept exactly under each."""

    rtc_beta: float = Field(default=5.0, gt=0.0)
    """``rtc``: the largest step of the guidance, β."""

    rtc_schedule: Schedule = "exp"
    """``rtc``, ``rtc-blend``: weight of the previous plan behind the committed rows: ``exp`` and
    ``linear`` fall to 0 over the overlap, ``ones`` is full to its end, ``zeros`` is none."""

    samples: int = Field(default=1, ge=1)
    """``bid``: samples per plan."""

    bid_decay: float = Field(default=0.5, gt=0.0, le=1.0)
    """``bid``: ρ; a step counts ρ times as much as the step before it."""

    inpaint_weight: float = Field(default=1.0, ge=0.0, le=1.0)
    """``inpaint``: weight of the previous plan at its first remaining step; 0 is plain sampling."""

    inpaint_frozen: int = Field(default=0, ge=0)
    """``inpaint``: steps at full weight before the decay begins; at least the committed ones."""

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
        if self.guidance == "rtc" and self.cuda_graphs:
            raise ConfigError(
                "guidance 'rtc' goes back through the network, which a CUDA graph cannot. "
                "Fix: leave cuda_graphs out, or give guidance=rtc-blend."
            )
        fields = self.__pydantic_fields__  # type: ignore[attr-defined]
        for name, methods in _METHODS_OF.items():
            value, usual = getattr(self, name), fields[name].default
            if self.guidance not in methods and value != usual:
                raise ConfigError(
                    f"{name} {value} is of guidance '{methods[0]}', but guidance is "
                    f"'{self.guidance}'. Fix: give guidance={methods[0]}, or leave {name} out."
                )


class PlanSampler:
    """Samples plans from conditions, with a model that is on ``device``.

    Raises:
        ConfigError: An option is out of range, or not possible on that device.
    """

    def __init__(
        self, model: RDTModel, options: SamplingOptions, device: torch.device | str
    ) -> None:
        self.options = options
        self._solver = model.solver(options.solver_steps, options.solver)
        self._times = torch.tensor(self._solver.timesteps, device=device)
        self._denoise = choose_execution(
            model, device, compile=options.compile, cuda_graphs=options.cuda_graphs
        )

    @property
    def noises(self) -> int:
        """How many standard normal arrays (T, V) a sample takes: the start, and one per draw."""
        return 1 + self._solver.draws

    @torch.no_grad()
    def sample(
        self, conditions: Conditioning, noise: Tensor, previous: PreviousPlans | None = None
    ) -> Tensor:
        """Sample one plan per row.

        Args:
            conditions: Of B plans, from ``RDTModel.condition``.
            noise: (B, S, T, V) standard normal, S samples per plan; for solvers that draw at their
                steps (B, S·noises, T, V), the starts of all samples first.
            previous: The previous plans; not used without guidance.

        Returns:
            (B, T, V), zero outside the mask.
        """
        noise = noise.to(conditions.state.dtype)
        samples = noise.shape[1] // self.noises
        joined = previous
        if samples > 1:
            conditions = tree_map(lambda part: _repeated(part, samples), conditions)
            joined = None if previous is None else previous.repeated(samples)
        start = noise[:, :samples].flatten(0, 1)
        # (draws, B·S, T, V); empty for solvers that draw nothing.
        drawn = noise[:, samples:].reshape(
            len(noise), self._solver.draws, samples, *noise.shape[2:]
        )
        drawn = drawn.transpose(0, 1).flatten(1, 2)
        blend, guide = self._guidance(conditions, start, joined)
        x = self._solver.run(
            start,
            lambda index, x: self._denoise(conditions, x, self._times[index, None]),
            blend,
            guide=guide,
            drawn=drawn,
        )
        masked = x * conditions.action_mask
        plans: Tensor = masked.reshape(-1, samples, *masked.shape[1:])
        if self.options.guidance == "bid" and previous is not None:
            return nearest(plans, previous, self.options.bid_decay)
        return plans[:, 0]

    def _guidance(
        self, conditions: Conditioning, start: Tensor, previous: PreviousPlans | None
    ) -> tuple[Blend | None, Guide | None]:
        """Return what the method changes: noisy actions, or the denoised estimate."""
        options, solver = self.options, self._solver
        if previous is None:
            return None, None
        horizon = start.shape[1]
        if options.guidance == "inpaint":
            frozen = previous.frozen.clamp(min=options.inpaint_frozen)
            weights = overlap_weights(previous.lengths, frozen, horizon, options.inpaint_decay)
            return inpainting(previous, options.inpaint_weight * weights, solver, start), None
        if options.guidance not in ("rtc", "rtc-blend"):
            return None, None
        weights = schedule_weights(previous, horizon, options.rtc_schedule).to(start.device)
        target = previous.vectors.to(start.device)

        def guide(index: int, x: Tensor) -> Tensor:
            def estimate(noisy: Tensor) -> Tensor:
                output = self._denoise(conditions, noisy, self._times[index, None])
                return solver.denoised(index, output, noisy)

            if options.guidance == "rtc-blend":
                clean = estimate(x)
                return torch.lerp(clean.float(), target, weights).to(clean.dtype)
            gain = guidance_gain(*solver.shares(index), options.rtc_beta)
            return pulled(estimate, x, target, weights, gain)

        return None, guide


def _repeated(part: Tensor, samples: int) -> Tensor:
    """Repeat each row several times in succession."""
    return part.unsqueeze(1).expand(-1, samples, *part.shape[1:]).flatten(0, 1)
