"""Sampling plans with all options: solver steps, guidance by the plan before, execution."""

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from policies.rdt.execution import choose_execution
from policies.rdt.guidance import Precedent, inpainting, nearest
from policies.rdt.model import Conditions, RDTModel
from policies.rdt.sampling import SamplingOptions


class PlanSampler:
    """Samples plans from conditions.

    Args:
        model: The weights, in their place.
        options: How to sample.
        device: Where the model is.

    Raises:
        ConfigError: An option is out of range, or not possible on that device.
    """

    def __init__(
        self, model: RDTModel, options: SamplingOptions, device: torch.device | str
    ) -> None:
        self.options = options
        self._solver = model.solver(options.solver_steps)
        self._times = torch.tensor(self._solver.timesteps, device=device)
        self._denoise = choose_execution(model, options, device)

    @torch.no_grad()
    def sample(
        self, conditions: Conditions, noise: Tensor, precedent: Precedent | None = None
    ) -> Tensor:
        """Sample one plan per row.

        Args:
            conditions: Of B plans, from ``RDTModel.condition``.
            noise: (B, S, T, V) standard normal, S being ``options.samples``.
            precedent: What the plans before say; not used without guidance.

        Returns:
            (B, T, V), zero outside the mask.
        """
        noise = noise.to(conditions.state.dtype)
        samples = noise.shape[1]
        if samples > 1:
            conditions = tree_map(lambda part: _repeated(part, samples), conditions)
        start = noise.flatten(0, 1)
        blend = None
        if self.options.guidance == "inpaint" and precedent is not None:
            blend = inpainting(precedent, self.options, self._solver, start)
        x = self._solver.run(
            start,
            lambda index, x: self._denoise(conditions, x, self._times[index, None]),
            blend,
        )
        masked = x * conditions.action_mask
        plans: Tensor = masked.reshape(-1, samples, *masked.shape[1:])
        if self.options.guidance == "bid" and precedent is not None:
            return nearest(plans, precedent, self.options.bid_decay)
        return plans[:, 0]


def _repeated(part: Tensor, samples: int) -> Tensor:
    """Give each row several times in a row; a single one takes no more memory than before."""
    return part.unsqueeze(1).expand(-1, samples, *part.shape[1:]).flatten(0, 1)
