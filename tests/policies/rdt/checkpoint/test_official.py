"""Checkpoints of the official code: every layout comes back bit for bit, or is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from policies.rdt.actions.layout_file import get_layout
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.location import find_official, is_own_checkpoint
from policies.rdt.checkpoint.official import export_official, load_official, official_contract
from policies.rdt.model.config import RDTConfig
from policies.rdt.model.transformer import RDTInputs
from tasks.errors import ConfigError, SpecMismatchError
from tests.policies.rdt.checkpoint.official_files import (
    CONFIG,
    HUB_FILE,
    assert_same,
    build_model,
    refuse,
    write_deepspeed,
)
from tests.policies.rdt.model.sampled import sample_plans


@pytest.mark.parametrize("file_format", ["pytorch", "safetensors"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_export_comes_back(tmp_path: Path, file_format: Any, dtype: torch.dtype) -> None:
    model = build_model(dtype=dtype)
    folder = export_official(tmp_path / "out", model, file_format=file_format)
    before = torch.get_rng_state()
    loaded = load_official(folder)
    assert torch.equal(torch.get_rng_state(), before)
    assert loaded.config == model.config
    assert_same(loaded, model.state_dict())
    assert not loaded.training
    assert all(p.requires_grad for p in loaded.parameters())
    with pytest.raises(ConfigError, match="something is there"):
        export_official(folder, model)


def test_what_is_loaded_computes_the_same(tmp_path: Path) -> None:
    model = build_model(dtype=torch.float32).eval()
    loaded = load_official(export_official(tmp_path / "out", model))
    torch.manual_seed(1)
    given = (
        torch.randn(2, 5, 24),
        torch.ones(2, 5, dtype=torch.bool),
        torch.randn(2, 24, 16),
        torch.randn(2, 1, 128),
        torch.ones(2, 1, 128),
        torch.tensor([20.0, 0.0]),
    )
    noise = torch.randn(2, 8, 128)
    wanted = sample_plans(model, *given, noise=noise)
    assert torch.equal(sample_plans(loaded, *given, noise=noise), wanted)
    assert wanted.abs().max() > 0
    loaded.compute_loss(RDTInputs(*given), noise).backward()


def test_dtype_and_norm_are_the_callers(tmp_path: Path) -> None:
    folder = export_official(tmp_path / "out", build_model())
    loaded = load_official(folder, dtype=torch.float32, norm="mean_square")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert loaded.norm == "mean_square"
    exact = {key: value.float() for key, value in build_model().state_dict().items()}
    assert_same(loaded, exact)


def test_deepspeed(tmp_path: Path) -> None:
    model = build_model()
    path = write_deepspeed(tmp_path / "checkpoint-20000", model)
    for source in (path, path.parent, path.parent.parent):
        assert_same(load_official(source), model.state_dict())
        assert find_official(source).config == tmp_path / "checkpoint-20000" / "config.json"


def test_weights_of_another_model(tmp_path: Path) -> None:
    folder = export_official(tmp_path / "out", build_model(), file_format="safetensors")
    state = build_model().state_dict()
    del state["model.x_pos_embed"]
    state["vision.weight"] = torch.zeros(3)
    state["state_adaptor.0.bias"] = torch.zeros(5)
    save_file(state, folder / "model.safetensors")
    refuse(
        folder,
        SpecMismatchError,
        "missing: model.x_pos_embed;",
        "unexpected: vision.weight;",
        "wrong shape: state_adaptor.0.bias (5,) for (64,)",
    )
    (folder / "config.json").write_text(json.dumps({"model_type": "siglip", "hidden_size": 64}))
    refuse(folder, ConfigError, "Not an RDT config")


@pytest.mark.parametrize("change", [{"depth": 10**9}, {"hidden_size": 4 * 10**12, "num_heads": 1}])
def test_a_config_of_absurd_size_is_refused_at_once(tmp_path: Path, change: dict[str, int]) -> None:
    folder = export_official(tmp_path / "out", build_model())
    hub_file = CONFIG.to_hub()
    hub_file["rdt"] |= change
    (folder / "config.json").write_text(json.dumps(hub_file))
    refuse(folder, SpecMismatchError, "config")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "\x00", '{"rdt": NaN}'])
def test_bad_config_files(tmp_path: Path, text: str) -> None:
    folder = export_official(tmp_path / "out", build_model())
    (folder / "config.json").write_text(text)
    refuse(folder, ConfigError, "onfig")


def test_the_contract_of_an_official_checkpoint(tmp_path: Path) -> None:
    contract = official_contract(RDTConfig.from_hub(HUB_FILE))
    assert contract.cameras == ("agentview", "wrist")
    assert (contract.history, contract.horizon, contract.image_size) == (2, 64, 384)
    assert contract.image_encoder == "siglip-so400m-patch14-384"
    assert contract.text_encoder == "t5-v1_1-xxl"
    assert (contract.norm, contract.layout) == ("variance", "eef-velocity")
    assert contract.normalisation.method == "none"
    for size in (128, 256, 448):
        contract.check({"render_size": size, "orientation": "rotate180", "control_hz": 20.0})
    with pytest.raises(SpecMismatchError, match="orientation"):
        contract.check({"render_size": 256, "orientation": "raw"})
    assert Contract.from_json(contract.to_json()) == contract
    joints = official_contract(CONFIG, get_layout("joints"))
    assert (joints.layout, joints.horizon) == ("joints", CONFIG.pred_horizon)
    assert joints.mapping == get_layout("joints")
    assert not is_own_checkpoint(tmp_path)
