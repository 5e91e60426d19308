"""The model against tensors that the original implementation wrote (random weights, fp32)."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from policies.rdt.model.config import RDTConfig
from policies.rdt.model.diffusion import DPMSolver, add_noise, alphas_cumprod
from policies.rdt.model.transformer import RDTInputs, RDTModel
from tests.policies.rdt.model.sampled import sample_plans

Fixture = dict[str, Any]

SHARED_KEYS = (
    "hidden_size",
    "depth",
    "num_heads",
    "action_dim",
    "pred_horizon",
    "lang_token_dim",
    "img_token_dim",
    "max_lang_cond_len",
    "lang_adaptor",
    "img_adaptor",
    "state_adaptor",
)


def close(given: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(given, wanted, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def fixture() -> Fixture:
    path = Path(__file__).with_name("rdt_tiny_fp32.pt")
    loaded: Fixture = torch.load(path, weights_only=True)
    return loaded


@pytest.fixture(scope="module")
def config(fixture: Fixture) -> RDTConfig:
    given = fixture["meta"]["config"]
    grid = (given["img_history"], given["cameras"], given["patches"])
    shared = {key: given[key] for key in SHARED_KEYS}
    return RDTConfig(
        **shared,
        img_cond_len=grid[0] * grid[1] * grid[2],
        lang_pos_embed_config=(("lang", -given["max_lang_cond_len"]),),
        img_pos_embed_config=(("image", (grid[0], grid[1], -grid[2])),),
    )


@pytest.fixture
def model(fixture: Fixture, config: RDTConfig) -> RDTModel:
    model = RDTModel(config)
    model.load_state_dict(fixture["state_dict"], strict=True)
    return model


def conditions(fixture: Fixture) -> tuple[Tensor, ...]:
    names = ("lang_tokens", "lang_attn_mask", "img_tokens", "state_tokens")
    return tuple(fixture["inputs"][name] for name in names)


def test_fresh_model_has_the_original_keys_positions_and_initial_scale(
    fixture: Fixture, config: RDTConfig
) -> None:
    torch.manual_seed(0)
    fresh = RDTModel(config).state_dict()
    assert {k: v.shape for k, v in fresh.items()} == {
        k: v.shape for k, v in fixture["state_dict"].items()
    }
    for key, wanted in fixture["pos_embed"].items():
        assert torch.equal(fresh[key], wanted), key
    for key, (mean, std) in fixture["meta"]["init_mean_std"].items():
        assert fresh[key].mean().item() == pytest.approx(mean, abs=0.1), key
        given = fresh[key].std(unbiased=False).item()
        assert given == pytest.approx(std, rel=0.5, abs=1e-6), key


def test_embedders(fixture: Fixture, model: RDTModel) -> None:
    inputs, outputs = fixture["inputs"], fixture["outputs"]
    close(model.model.t_embedder(inputs["raw_t"]), outputs["t_embed"])
    close(model.model.freq_embedder(inputs["ctrl_freqs"]), outputs["freq_embed"])


def test_blocks_and_trunk(fixture: Fixture, model: RDTModel) -> None:
    inputs, outputs = fixture["inputs"], fixture["outputs"]
    seen: list[Tensor] = []
    for block in model.model.blocks:
        block.register_forward_hook(lambda module, args, out: seen.append(out))
    args = [inputs[k] for k in ("raw_lang_c", "raw_img_c", "lang_attn_mask")]
    trunk = model.model(inputs["raw_x"], inputs["ctrl_freqs"], inputs["raw_t"], *args)
    for index, out in enumerate(seen):
        close(out, outputs[f"block_{index}"])
    close(trunk, outputs["trunk"])
    shared_t = inputs["raw_t"][:1]
    unmasked = model.model(inputs["raw_x"], inputs["ctrl_freqs"], shared_t, *args[:2])
    close(unmasked, outputs["trunk_shared_t"])


def test_loss_and_gradients(fixture: Fixture, model: RDTModel) -> None:
    inputs, outputs = fixture["inputs"], fixture["outputs"]
    samples = RDTInputs(*conditions(fixture), inputs["action_mask"], inputs["ctrl_freqs"])
    actions = inputs["action_gt"]
    given = {"noise": outputs["loss_noise"], "timesteps": outputs["loss_timesteps"]}
    noisy = add_noise(inputs["action_gt"], given["noise"], given["timesteps"], alphas_cumprod())
    close(noisy, outputs["loss_noisy_action"])
    loss = model.compute_loss(samples, actions, **given)
    close(loss, outputs["loss"])
    error = model.denoising_error(samples, actions, **given)
    close(error, (outputs["loss_pred"] - inputs["action_gt"]) ** 2)
    loss.backward()
    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert grads.keys() == fixture["grads"].keys()
    for name, wanted in fixture["grads"].items():
        assert grads[name] is not None, name
        close(grads[name], wanted)


def test_every_sampler_step(fixture: Fixture, model: RDTModel) -> None:
    inputs, outputs = fixture["inputs"], fixture["outputs"]
    asked: list[Tensor] = []
    model.model.final_layer.register_forward_hook(lambda module, args, out: asked.append(out))
    sampled = sample_plans(
        model,
        *conditions(fixture),
        inputs["action_mask"],
        inputs["ctrl_freqs"],
        noise=outputs["sample_init_noise"],
    )
    close(torch.stack(asked), outputs["sample_model_outputs"])
    close(sampled, outputs["sample_final"])

    assert torch.equal(alphas_cumprod(), outputs["alphas_cumprod"])
    solver = DPMSolver(alphas_cumprod(), 5)
    assert list(solver.timesteps) == outputs["sample_timesteps"].tolist()
    assert torch.equal(solver.sigmas, outputs["sample_sigmas"])
    x, previous = outputs["sample_init_noise"], None
    for index, out in enumerate(outputs["sample_model_outputs"]):
        x, previous = solver.step(index, out, x, previous)
        close(x, outputs["sample_trajectory"][index], 1e-6)
