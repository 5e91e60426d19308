"""Adapters that peft saved give the weights that peft itself merges."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.export import export_checkpoint
from policies.rdt.checkpoint.loading import find_parts
from policies.rdt.checkpoint.official import export_official, load_official
from policies.rdt.checkpoint.storage import save_checkpoint
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.model.transformer import RDTModel
from tasks.errors import ConfigError, HarnessError, SpecMismatchError
from tests.policies.rdt.checkpoint.official_files import assert_same, build_model
from tests.policies.rdt.test_policy import load_policy

peft = pytest.importorskip("peft")

QKV = "base_model.model.model.blocks.0.attn.qkv"


def write_adapter(folder: Path, *, trunk: bool = False, **settings: Any) -> dict[str, Any]:
    """Save an adapter of random numbers; return the weights that peft merges it to."""
    rdt = build_model(dtype=torch.float32)
    config = {"r": 4, "lora_alpha": 6, "target_modules": ["qkv", "proj", "fc1"], **settings}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = peft.get_peft_model(rdt.model if trunk else rdt, peft.LoraConfig(**config))
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                nn.init.normal_(parameter, std=0.05)
            assert parameter.requires_grad or "lora_" not in name
    model.save_pretrained(str(folder))
    merged = model.merge_and_unload()
    state: dict[str, Any] = merged.state_dict()
    return rdt.state_dict() | {f"model.{k}": v for k, v in state.items()} if trunk else state


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return export_official(tmp_path / "base", build_model(dtype=torch.float32))


def load(adapter: Path, base: Path) -> RDTModel:
    place, found = find_parts(adapter, str(base))
    return load_official(place, adapter=found)


def refuse(adapter: Path, base: Path, kind: type[HarnessError], *words: str) -> None:
    with pytest.raises(kind) as caught:
        load(adapter, base)
    message = str(caught.value)
    assert "\n" not in message
    assert "ix:" in message
    for word in words:
        assert word in message


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"trunk": True},
        {"use_rslora": True, "init_lora_weights": "gaussian"},
        {"rank_pattern": {"blocks.1.attn.qkv": 2, "fc1": 3}, "alpha_pattern": {"fc1": 16}},
        {"bias": "lora_only", "lora_bias": True},
        {"bias": "all"},
        {"modules_to_save": ["lang_adaptor", "final_layer"], "target_modules": ["qkv", "q"]},
        {"target_modules": "all-linear", "fan_in_fan_out": True},
    ],
    ids=lambda settings: "-".join(settings) or "plain",
)
@pytest.mark.filterwarnings("ignore")
def test_the_weights_are_those_that_peft_merges(
    base: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    wanted = write_adapter(tmp_path / "adapter", **settings)
    found = load(tmp_path / "adapter", base).state_dict()
    plain = build_model(dtype=torch.float32).state_dict()
    assert found.keys() == wanted.keys()
    assert sum(not torch.equal(found[key], plain[key]) for key in plain) >= 4
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=1e-6, msg=key)


def test_files_of_other_forms(base: Path, tmp_path: Path, caplog) -> None:
    folder = tmp_path / "adapter"
    wanted = write_adapter(folder)
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    named = {k.replace(".weight", ".default.weight"): v for k, v in tensors.items()}
    peft_prefix = "base_model.model."
    wrapped = {k.replace(peft_prefix, f"{peft_prefix}module."): v for k, v in named.items()}
    path.unlink()
    torch.save(wrapped, folder / "adapter_model.bin")
    for place in (folder, folder / "adapter_model.bin"):
        caplog.clear()
        found = load(place, base).state_dict()
        for key, value in wanted.items():
            torch.testing.assert_close(found[key], value, rtol=0, atol=1e-6)
        assert "a LoRA adapter (rank 4, alpha 6)" in caplog.messages[-1]
        assert f"merged into '{base / 'pytorch_model.bin'}'" in caplog.messages[-1]
    half = export_official(tmp_path / "half", build_model(dtype=torch.bfloat16))
    assert {v.dtype for v in load(folder, half).state_dict().values()} == {torch.bfloat16}
    written, contract = export_checkpoint(folder, tmp_path / "merged", base=str(base))
    assert contract is None
    assert_same(load_official(written), load(folder, base).state_dict())


def test_an_adapter_for_a_checkpoint_of_ours(
    tmp_path: Path, network: RDTPolicyNetwork, contract: Contract
) -> None:
    base = save_checkpoint(tmp_path / "base", network, contract)
    folder = tmp_path / "adapter"
    model = peft.get_peft_model(
        network.rdt, peft.LoraConfig(r=2, target_modules=["qkv"], init_lora_weights=False)
    )
    model.save_pretrained(str(folder))
    wanted = model.merge_and_unload().state_dict()
    policy = load_policy(folder, base=str(base))
    assert policy.contract == contract
    assert (policy.files, policy.more_files) == (folder, (base,))
    for key, value in policy.network.rdt.state_dict().items():
        torch.testing.assert_close(value, wanted[key], rtol=0, atol=1e-6)
    written, kept = export_checkpoint(folder, tmp_path / "merged", base=str(base))
    assert kept == contract
    again = load_policy(written)
    assert_same(again.network.rdt, policy.network.rdt.state_dict())


def test_an_adapter_says_what_it_needs(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    write_adapter(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    for name in ("robotics-diffusion-transformer/rdt-1b", "", None):
        changed = config | {"base_model_name_or_path": name}
        (folder / "adapter_config.json").write_text(json.dumps(changed))
        with pytest.raises(ConfigError) as caught:
            find_parts(folder, None)
        assert "a LoRA adapter (rank 4, alpha 6)" in str(caught.value)
        assert (name or "does not name its base") in str(caught.value)
        assert "--option.base BASE" in str(caught.value)
    with pytest.raises(ConfigError, match="is no adapter"):
        find_parts(base, str(base))
    with pytest.raises(ConfigError, match="is an adapter itself"):
        find_parts(folder, str(folder))
    export_official(tmp_path / "other", build_model()).joinpath("pytorch_model.bin").rename(
        folder / "pytorch_model.bin"
    )
    with pytest.raises(ConfigError, match=r"holds an adapter .* and whole weights"):
        find_parts(folder, str(base))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"peft_type": "LOHA"}, "'LOHA'"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"from_tomorrow": 1}, "from_tomorrow"),
        ({"r": None}, "no number"),
        ({"lora_alpha": "six"}, "no number"),
        ({"rank_pattern": ["fc1"]}, "no number"),
        ({"rank_pattern": {"(a+)+$": 4}}, "regular expression"),
        ({"r": 5}, "has rank 4, its config says 5"),
    ],
)
def test_adapters_that_are_not_merged(
    base: Path, tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    folder = tmp_path / "adapter"
    write_adapter(folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refuse(folder, base, HarnessError, word)


def test_tensors_without_a_place(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    write_adapter(folder)
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)

    def change(tensors: dict[str, Any], *words: str) -> None:
        save_file(tensors, path)
        refuse(folder, base, SpecMismatchError, *words)

    extra = {"base_model.model.vision.q_proj.lora_A.weight": torch.ones(4, 8)}
    extra["base_model.model.vision.q_proj.lora_B.weight"] = torch.ones(8, 4)
    change(tensors | extra, "no such tensors: vision.q_proj.weight")
    change({k: v for k, v in tensors.items() if k != f"{QKV}.lora_B.weight"}, "without both")
    change(tensors | {f"{QKV}.lora_B.weight": torch.ones(7, 4)}, "wrong shape", "(7, 4)")
    change(tensors | {f"{QKV}.lora_magnitude_vector": torch.ones(3)}, "lora_magnitude_vector")
    change({}, "no lora_A and lora_B")
    change(tensors | {f"{QKV}.lora_A.weight": torch.full((4, 64), torch.nan)}, "NaN or infinity")
    path.unlink()
    refuse(folder, base, ConfigError, "adapter without weights", "adapter_model.bin")
