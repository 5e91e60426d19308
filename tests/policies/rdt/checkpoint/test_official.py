"""Checkpoints of the official code: every layout comes back bit for bit, or is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from policies.rdt.checkpoint import hub
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.hub import find_source
from policies.rdt.checkpoint.location import Weights, find_official, is_own_checkpoint
from policies.rdt.checkpoint.official import export_official, load_official
from policies.rdt.model.config import RDTConfig
from policies.rdt.model.presets import PRESETS
from policies.rdt.model.shapes import element_count, tensor_count, tensor_shapes
from policies.rdt.model.transformer import RDTInputs, RDTModel
from tasks.errors import ConfigError, HarnessError, PrerequisiteError, SpecMismatchError
from tests.policies.rdt.checkpoint.official_files import (
    CONFIG,
    assert_same,
    build_model,
    write_config,
    write_deepspeed,
)
from tests.policies.rdt.model.sampled import sample_plans

HUB_FILE = {
    "action_dim": 128,
    "ema": {
        "inv_gamma": 1.0,
        "max_value": 0.9999,
        "min_value": 0.0,
        "power": 0.75,
        "update_after_step": 0,
    },
    "img_adaptor": "mlp2x_gelu",
    "img_cond_len": 4374,
    "img_pos_embed_config": [["image", [2, 3, -729]]],
    "img_token_dim": 1152,
    "lang_adaptor": "mlp2x_gelu",
    "lang_pos_embed_config": [["lang", -1024]],
    "lang_token_dim": 4096,
    "max_lang_cond_len": 1024,
    "noise_scheduler": {
        "beta_schedule": "squaredcos_cap_v2",
        "clip_sample": False,
        "num_inference_timesteps": 5,
        "num_train_timesteps": 1000,
        "prediction_type": "sample",
        "type": "ddpm",
    },
    "pred_horizon": 64,
    "rdt": {
        "cond_pos_embed_type": "multimodal",
        "depth": 28,
        "hidden_size": 2048,
        "num_heads": 32,
    },
    "state_adaptor": "mlp3x_gelu",
    "state_token_dim": 128,
}


def refuse(source: Path | str, kind: type[HarnessError], *words: str, **how: Any) -> str:
    with pytest.raises(kind) as caught:
        load_official(source, **how)
    message = str(caught.value)
    assert "\n" not in message
    assert "Fix:" in message
    assert len(message) < 900
    for word in words:
        assert word in message
    return message


def test_the_hubs_config_goes_through_unchanged() -> None:
    config = RDTConfig.from_hub(HUB_FILE)
    assert config == PRESETS["rdt-1b"].rdt
    assert config.to_hub() == HUB_FILE
    assert RDTConfig.from_hub(HUB_FILE | {"dtype": "torch.bfloat16"}) == config


def test_what_a_config_leaves_out_is_as_published() -> None:
    sizes = {"hidden_size": 2048, "depth": 28, "num_heads": 32}
    assert RDTConfig.from_hub({"rdt": sizes}) == RDTConfig.from_hub(HUB_FILE)
    assert RDTConfig.from_hub({"rdt": sizes, "state_token_dim": 128}).action_dim == 128
    other = RDTConfig.from_hub({"rdt": sizes, "max_lang_cond_len": 7, "img_cond_len": 9})
    assert other.lang_pos_embed_config is None
    assert other.img_pos_embed_config is None
    for missing in sizes:
        with pytest.raises(ConfigError, match="num_heads"):
            RDTConfig.from_hub({"rdt": {k: v for k, v in sizes.items() if k != missing}})


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"lang_adapter": "linear"}, "lang_adapter"),
        ({"hidden_size": 64}, "hidden_size"),
        ({"ema": {"powr": 1}}, "powr"),
        ({"rdt": {"hidden_size": 64, "depth": 1, "num_heads": 1, "mlp_ratio": 4}}, "mlp_ratio"),
        ({"noise_scheduler": {"clip_sample": True}}, "clip_sample"),
        ({"state_token_dim": 64}, "state_token_dim"),
    ],
)
def test_unknown_settings_are_refused_by_name(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        RDTConfig.from_hub(HUB_FILE | change)


@pytest.mark.parametrize(
    ("preset", "tensors", "numbers"),
    [("rdt-1b", 618, 1_228_319_872), ("rdt-170m", 324, 166_229_888)],
)
def test_published_sizes(preset: str, tensors: int, numbers: int) -> None:
    config = PRESETS[preset].rdt
    with torch.device("meta"):
        model = RDTModel(config)
    state = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert (len(state), sum(p.numel() for p in model.parameters())) == (tensors, numbers)
    assert tensor_shapes(config) == state
    assert (tensor_count(config), element_count(state)) == (tensors, numbers)


@pytest.mark.parametrize("adaptors", ["linear", "mlp1x_gelu", "mlp4x_gelu"])
def test_shapes_follow_the_adaptors(adaptors: str) -> None:
    hub_file = CONFIG.to_hub() | dict.fromkeys(
        ("lang_adaptor", "img_adaptor", "state_adaptor"), adaptors
    )
    config = RDTConfig.from_hub(hub_file)
    state = RDTModel(config).state_dict()
    assert tensor_shapes(config) == {key: tuple(value.shape) for key, value in state.items()}
    assert tensor_count(config) == len(state)


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


@pytest.mark.slow
def test_raw_and_averaged_weights(tmp_path: Path) -> None:
    raw, averaged = build_model(0), build_model(1)
    folder = export_official(tmp_path / "run", raw)
    with pytest.raises(ConfigError, match="holds raw weights only"):
        load_official(folder, weights="ema")
    (folder / "ema").mkdir()
    save_file(averaged.state_dict(), folder / "ema" / "model.safetensors")
    assert_same(load_official(folder), raw.state_dict())
    assert_same(load_official(folder, weights="raw"), raw.state_dict())
    assert_same(load_official(folder, weights="ema"), averaged.state_dict())
    assert_same(load_official(folder / "ema"), averaged.state_dict())
    (folder / "pytorch_model.bin").unlink()
    assert_same(load_official(folder), averaged.state_dict())
    with pytest.raises(ConfigError, match=r"holds averaged \(ema\) weights only"):
        load_official(folder, weights="raw")
    with pytest.raises(ConfigError, match="auto, raw, ema"):
        load_official(folder, weights="EMA")  # type: ignore[arg-type]


def test_several_files(tmp_path: Path) -> None:
    model = build_model()
    write_config(tmp_path)
    places = {}
    for part in (0, 1):
        name = f"model-0000{part + 1}-of-00002.safetensors"
        keys = sorted(model.state_dict())[part::2]
        save_file({key: model.state_dict()[key] for key in keys}, tmp_path / name)
        places |= dict.fromkeys(keys, name)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert_same(load_official(tmp_path), model.state_dict())
    del places["model.x_pos_embed"]
    index.write_text(json.dumps({"weight_map": places}))
    refuse(tmp_path, SpecMismatchError, "missing: model.x_pos_embed")
    index.write_text(json.dumps({"weight_map": {"a": "../../elsewhere.safetensors"}}))
    refuse(tmp_path, ConfigError, "outside its folder")
    index.write_text(json.dumps({"weight_map": {"a": "none.safetensors"}}))
    refuse(tmp_path, ConfigError, "none.safetensors", "missing")


def test_a_run_names_its_checkpoints(tmp_path: Path) -> None:
    for step in (9000, 10000):
        export_official(tmp_path / f"checkpoint-{step}", build_model())
    refuse(tmp_path, ConfigError, "holds 2 checkpoints", "checkpoint-10000")
    load_official(tmp_path / "checkpoint-9000")


def test_weights_without_a_config(tmp_path: Path) -> None:
    folder = export_official(tmp_path / "a" / "b" / "c" / "out", build_model())
    (folder / "config.json").unlink()
    refuse(folder, ConfigError, "config.json", "number of heads")


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


def test_nothing_to_load(tmp_path: Path) -> None:
    refuse(tmp_path, ConfigError, "no weights there", "pytorch_model.bin")
    refuse(tmp_path / "nowhere", ConfigError, "nowhere", "owner/name")
    refuse("a/b/c", ConfigError, "a/b/c")
    refuse("two words", ConfigError, "two words")


def test_hub_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[tuple[str, str | None, list[str]]] = []

    def download(repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repo, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    export_official(tmp_path, build_model())
    model = load_official("owner/rdt-1b@v1.0")
    assert_same(model, build_model().state_dict())
    assert [(repo, revision) for repo, revision, _ in asked] == [("owner/rdt-1b", "v1.0")] * 2
    assert "model.safetensors" in asked[0][2]
    assert "pytorch_model.bin" in asked[1][2]
    assert all("config.json" in patterns and "*" not in patterns for *_, patterns in asked)
    refuse("owner/rdt-1b", ConfigError, "raw weights only", weights="ema")
    assert "ema/model.safetensors" in asked[-1][2]


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    def fail(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    refuse("owner/rdt-1b", PrerequisiteError, "no folder 'owner/rdt-1b'", "hf download", "its path")
    with pytest.raises(PrerequisiteError):
        find_source("owner/rdt-1b")

    def refuse_name(*_: Any, **__: Any) -> str:
        raise RepositoryNotFoundError.__new__(RepositoryNotFoundError)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse_name)
    refuse("owner/rdt-1c", ConfigError, "owner/rdt-1c")


def test_a_folder_goes_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_download", lambda *_: pytest.fail("asked the hub"))
    monkeypatch.chdir(tmp_path)
    export_official(tmp_path / "owner" / "name", build_model())
    load_official("owner/name")


def test_the_contract_of_an_official_checkpoint(tmp_path: Path) -> None:
    contract = Contract.official(RDTConfig.from_hub(HUB_FILE), norm="mean_square")
    assert contract.cameras == ("agentview", "wrist")
    assert (contract.history, contract.horizon, contract.image_size) == (2, 64, 384)
    assert contract.image_encoder == "siglip-so400m-patch14-384"
    assert contract.text_encoder == "t5-v1_1-xxl"
    assert contract.norm == "mean_square"
    for size in (128, 256, 448):
        contract.check({"render_size": size, "orientation": "rotate180", "control_hz": 20.0})
    with pytest.raises(SpecMismatchError, match="orientation"):
        contract.check({"render_size": 256, "orientation": "raw"})
    assert Contract.from_json(contract.to_json()) == contract
    with pytest.raises(ConfigError, match="Unknown"):
        Contract.official(CONFIG, layout="sideways")
    assert not is_own_checkpoint(tmp_path)


def test_every_choice_of_weights_is_known() -> None:
    assert set(Weights.__args__) == {"auto", "raw", "ema"}
