"""Sizes of the published models, other configurations and dtypes, and the config file."""

import json
from typing import Any

import pytest
import torch

from policies.rdt.model.config import NoiseScheduleConfig, RDTConfig
from policies.rdt.model.diffusion import DPMSolver, alphas_cumprod
from policies.rdt.model.transformer import RDTInputs, RDTModel
from tasks.errors import ConfigError
from tests.policies.rdt.model.sampled import sample_plans


def tiny(**changes: Any) -> RDTConfig:
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


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_solver_equals_diffusers(prediction: Any, dtype: torch.dtype, steps: int) -> None:
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DPMSolverMultistepScheduler(
        num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", prediction_type=prediction
    )
    theirs.set_timesteps(steps)
    ours = DPMSolver(alphas_cumprod(), steps, prediction)
    assert torch.equal(alphas_cumprod(), theirs.alphas_cumprod)
    assert list(ours.timesteps) == theirs.timesteps.tolist()
    torch.manual_seed(steps)
    x = y = torch.randn(2, 4, 3).to(dtype)
    previous = None
    for index, t in enumerate(theirs.timesteps):
        out = torch.randn(2, 4, 3).to(dtype)
        x, previous = ours.step(index, out, x, previous)
        y = theirs.step(out, t, y).prev_sample
        assert x.dtype == y.dtype
        assert torch.equal(x, y), index


def test_config_goes_through_the_hub_file() -> None:
    for config in (RDTConfig(), tiny()):
        assert RDTConfig.from_hub(json.loads(json.dumps(config.to_hub()))) == config


def test_hub_file_with_what_published_ones_hold() -> None:
    hub = RDTConfig().to_hub() | {"ema": {"power": 0.75}}
    hub["rdt"]["cond_pos_embed_type"] = "multimodal"
    assert RDTConfig.from_hub(hub) == RDTConfig()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rdt": None}, "rdt"),
        ({"rdt": {"hidden_size": 30, "depth": 2, "num_heads": 2}}, "multiple of 4"),
        ({"rdt": {"hidden_size": 64, "depth": 2, "num_heads": 5}}, "num_heads"),
        ({"surprise": 1}, "surprise"),
        ({"pred_horizon": 0}, "pred_horizon"),
        ({"img_cond_len": 7}, "img_pos_embed_config"),
        ({"state_token_dim": 64}, "state_token_dim"),
        ({"noise_scheduler": {"beta_schedule": "linear"}}, "beta_schedule"),
    ],
)
def test_bad_hub_files_are_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        RDTConfig.from_hub(RDTConfig().to_hub() | change)
    assert "Fix:" in str(caught.value)


def test_unknown_adaptor_is_refused() -> None:
    with pytest.raises(ConfigError, match="mlp0x_gelu"):
        RDTModel(tiny(lang_adaptor="mlp0x_gelu"))
