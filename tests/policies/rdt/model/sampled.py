"""Plans of a bare RDT, by the sampler that training and evaluation use."""

from typing import Any

import torch
from torch import Tensor

from policies.rdt.model.config import RDTConfig
from policies.rdt.model.sampling import PlanSampler, SamplingOptions
from policies.rdt.model.transformer import RDTInputs, RDTModel


def sample_plans(
    model: RDTModel, *given: Any, noise: Tensor, steps: int | None = None, **named: Any
) -> Tensor:
    """Sample from the fields of ``RDTInputs`` and (B, T, V) noise."""
    sampler = PlanSampler(model, SamplingOptions(solver_steps=steps), noise.device)
    with torch.no_grad():
        return sampler.sample(model.condition(RDTInputs(*given, **named)), noise[:, None])


def tiny(**changes: Any) -> RDTConfig:
    """Return a shape that is sampled in no time."""
    return RDTConfig(
        **{
            "hidden_size": 32,
            "depth": 2,
            "num_heads": 2,
            "action_dim": 8,
            "pred_horizon": 6,
            "lang_token_dim": 5,
            "img_token_dim": 7,
            "max_lang_cond_len": 4,
            "img_cond_len": 6,
            "lang_pos_embed_config": None,
            "img_pos_embed_config": (("image", (2, 1, -3)),),
            **changes,
        }
    )
