"""Plans of a bare RDT, by the sampler that training and evaluation use."""

from typing import Any

import torch
from torch import Tensor

from policies.rdt.model.sampling import PlanSampler, SamplingOptions
from policies.rdt.model.transformer import RDTInputs, RDTModel


def sample_plans(
    model: RDTModel, *given: Any, noise: Tensor, steps: int | None = None, **named: Any
) -> Tensor:
    """Sample from the fields of ``RDTInputs`` and (B, T, V) noise."""
    sampler = PlanSampler(model, SamplingOptions(solver_steps=steps), noise.device)
    with torch.no_grad():
        return sampler.sample(model.condition(RDTInputs(*given, **named)), noise[:, None])
