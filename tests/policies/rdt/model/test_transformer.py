"""Sizes of the published models, and other configurations and dtypes."""

from typing import Any

import pytest
import torch

from policies.rdt.model.config import NoiseScheduleConfig, RDTConfig
from policies.rdt.model.transformer import RDTInputs, RDTModel
from tasks.errors import ConfigError
from tests.policies.rdt.model.sampled import sample_plans, tiny


def batch(config: RDTConfig, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    torch.manual_seed(0)
    V = config.action_dim
    return {
        "lang_tokens": torch.randn(3, 4, config.lang_token_dim, dtype=dtype),
        "lang_mask": torch.ones(3, 4, dtype=torch.bool),
        "img_tokens": torch.randn(3, config.img_cond_len, config.img_token_dim, dtype=dtype),
        "state": torch.randn(3, 1, V, dtype=dtype),
        "action_mask": (torch.arange(V) % 2).expand(3, 1, V).to(dtype),
        "ctrl_freqs": torch.tensor([20, 0, 25]),
    }


@pytest.mark.parametrize(
    ("hidden", "depth", "parameters", "tensors"),
    [(2048, 28, 1_228_319_872, 618), (1024, 14, 166_229_888, 324)],
)
def test_published_sizes(hidden: int, depth: int, parameters: int, tensors: int) -> None:
    with torch.device("meta"):
        model = RDTModel(RDTConfig(hidden_size=hidden, depth=depth, num_heads=32))
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == tensors


@pytest.mark.parametrize("norm", ["variance", "mean_square"])
@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_choices_train_and_sample(norm: Any, prediction: Any, dtype: torch.dtype) -> None:
    config = tiny(noise_scheduler=NoiseScheduleConfig(prediction_type=prediction))
    model = RDTModel(config, dtype=dtype, norm=norm)
    torch.nn.init.normal_(model.model.final_layer.ffn_final.fc2.weight, std=0.02)
    given = batch(config, dtype)
    actions = torch.randn(3, 6, 8, dtype=dtype)
    loss = model.compute_loss(RDTInputs(**given), actions)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    plan = sample_plans(model, **given, noise=torch.randn(3, 6, 8))
    assert plan.shape == (3, 6, 8)
    assert plan.dtype == dtype
    assert (plan[..., ::2] == 0).all()
    assert (plan[..., 1::2] != 0).any()


def test_a_fresh_model_answers_zero() -> None:
    config = tiny()
    noise = torch.randn(3, config.pred_horizon, config.action_dim)
    assert (sample_plans(RDTModel(config), **batch(config), noise=noise) == 0).all()


def test_unknown_adaptor_is_refused() -> None:
    with pytest.raises(ConfigError, match="mlp0x_gelu"):
        RDTModel(tiny(lang_adaptor="mlp0x_gelu"))
