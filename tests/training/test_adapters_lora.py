"""Adapters: what is trained, what is saved, and that a resumed run is the same run."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from policies.rdt.checkpoint.storage import load_checkpoint
from policies.rdt.model.network import RDTPolicyNetwork
from tasks.errors import ConfigError, PrerequisiteError
from tests.policies.rdt.test_policy import load_policy
from tests.training.demo_files import write_file
from tests.training.test_adapters import batch, config
from tests.training.tiny import save_tiny, tiny_network
from training.adapters import merged, prepare_network
from training.config import TrainingConfig
from training.config_sections import LoraSettings
from training.progress import TrainingStart, TrainingStatus
from training.trainer import train


def adapted(seed: int = 0, **settings: object) -> tuple[RDTPolicyNetwork, list[nn.Parameter]]:
    """Return a network whose adapters and last layer are not zero, and what is trained of it."""
    pytest.importorskip("peft")
    torch.manual_seed(seed)
    network = tiny_network()
    trained = prepare_network(network, config(lora_rank=3, **settings))
    for name, each in network.named_parameters():
        if "lora_B" in name or "final_layer" in name:
            nn.init.normal_(each, std=0.1)
    return network, trained


@pytest.mark.parametrize(
    ("targets", "layers"), [("attention", 10), ("attention-ffn", 14), ("all-linear", 18)]
)
def test_what_gets_adapters(targets: str, layers: int) -> None:
    network, trained = adapted(lora_targets=targets, freeze="encoders")
    names = {name for name, each in network.named_parameters() if each.requires_grad}
    assert len(trained) == len(names)
    own = [name for name in names if "lora_" in name]
    assert len(own) == 2 * layers  # A and B each
    rest = {name.split(".")[1] for name in names - set(own)} - {"model"}
    assert rest == {"lang_adaptor", "img_adaptor", "state_adaptor"}
    last = {name for name in names - set(own) if name.startswith("rdt.model.")}
    assert last
    assert all(name.startswith("rdt.model.final_layer.") for name in last)


def test_adapters_alone() -> None:
    network, _ = adapted(lora_targets="all-linear", lora_train_adaptors=False, freeze="encoders")
    names = [name for name, each in network.named_parameters() if each.requires_grad]
    assert len(names) == 2 * 20  # the last layer's two among them
    assert all("lora_" in name for name in names)
    torch.manual_seed(0)
    free, _ = adapted(lora_train_adaptors=False)
    assert any(n.startswith("image_encoder") for n, p in free.named_parameters() if p.requires_grad)


@pytest.mark.parametrize("settings", [{}, {"lora_alpha": 12, "lora_targets": "all-linear"}])
def test_merging_is_the_formula_and_leaves_every_bit(settings: dict[str, object]) -> None:
    network, _ = adapted(**settings)
    network.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    noise = torch.randn(3, 8, 128, generator=torch.Generator().manual_seed(1))
    state = torch.get_rng_state()
    with torch.no_grad():
        wanted = network.sample(batch(), noise)
        with merged(network):
            plain = {name: value.clone() for name, value in network.state_dict().items()}
            found = network.sample(batch(), noise)
    assert torch.equal(torch.get_rng_state(), state)
    assert plain.keys() == tiny_network().state_dict().keys()
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    place = "rdt.model.blocks.1.cross_attn.kv"
    a, b = (before[f"{place}.lora_{each}.default.weight"].double() for each in "AB")
    scale = 12 / 3 if settings else 1.0
    expected = before[f"{place}.base_layer.weight"].double() + scale * b @ a
    torch.testing.assert_close(plain[f"{place}.weight"].double(), expected, rtol=0, atol=1e-6)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_adapters_start_as_nothing() -> None:
    pytest.importorskip("peft")
    torch.manual_seed(0)
    plain = tiny_network()
    nn.init.normal_(plain.rdt.model.final_layer.ffn_final.fc2.weight)
    noise = torch.randn(3, 8, 128)
    wanted = plain.eval().sample(batch(), noise)
    prepare_network(plain, config(lora_rank=4))
    assert torch.equal(plain.eval().sample(batch(), noise), wanted)


@pytest.fixture
def base(tmp_path: Path) -> dict[str, object]:
    pytest.importorskip("peft")
    return {
        "demos": (write_file(tmp_path / "demos" / "a.hdf5"),),
        "checkpoint": save_tiny(tmp_path / "tiny"),
        "updates": 8,
        "batch_size": 2,
        "save_every": 3,
        "warmup": 0,
        "threads": 1,
        "learning_rate": 0.01,
        "ema": 0.9,
        "lora_rank": 2,
        "lora_dropout": 0.2,
    }


@pytest.mark.slow
def test_a_broken_run_ends_in_the_same_bits_and_needs_no_peft(
    base: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[TrainingStart] = []
    whole = train(TrainingConfig(**base, out=tmp_path / "whole"), on_start=starts.append)
    broken = TrainingConfig(**base, out=tmp_path / "broken")

    def stop(status: TrainingStatus) -> None:
        if status.update == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(broken, stop)
    resumed = train(broken)
    for name in ("model.safetensors", "encoders.safetensors"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes()
    (start,) = starts
    assert 0 < start.weights < start.all_weights
    monkeypatch.setitem(sys.modules, "peft", None)
    before, after = (load_checkpoint(each)[0].state_dict() for each in (base["checkpoint"], whole))
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert "rdt.model.blocks.0.attn.qkv.weight" in moved
    assert "rdt.model.final_layer.ffn_final.fc2.weight" in moved
    assert "rdt.model.blocks.0.ffn.fc1.weight" not in moved
    assert "rdt.model.blocks.0.attn.qkv.bias" not in moved
    load_policy(whole)


@pytest.mark.slow
def test_only_trained_weights_are_averaged(base: dict[str, object], tmp_path: Path) -> None:
    from training.checkpoint_manager import STATE
    from training.run_folder import RunFolder

    train(TrainingConfig(**base, out=tmp_path / "run"))
    state = torch.load(RunFolder(tmp_path / "run").checkpoints.path(6) / STATE, weights_only=True)
    averaged = state["average"]["tensors"]
    assert "rdt.model.blocks.0.attn.qkv.lora_A.default.weight" in averaged
    assert not any("base_layer" in name or ".ffn." in name for name in averaged)
    assert any("base_layer" in name for name in state["network"])


def test_without_peft_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(PrerequisiteError, match=r"--lora-rank 8 .*libero-bench\[lora\]"):
        prepare_network(tiny_network(), config(lora_rank=8))


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ConfigError, match="--lora-dropout without --lora-rank"):
        LoraSettings(lora_dropout=0.1)
    with pytest.raises(ConfigError, match="--freeze trunk"):
        config(lora_rank=8, freeze="trunk")
    with pytest.raises(ConfigError, match="without --checkpoint"):
        TrainingConfig(demos=(), out=Path("x"), lora_rank=8)
