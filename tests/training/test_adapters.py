"""What is trained, and ways to compute that change no result."""

import shutil
from pathlib import Path

import pytest
import torch

from policies.rdt.encoders.siglip import SiglipImageEncoder, SiglipTower
from tests.policies.rdt.encoders.frozen_files import write_siglip
from tests.training.tiny import HORIZON, tiny_network
from training.adapters import prepare_network
from training.config import TrainingConfig


def config(**settings: object) -> TrainingConfig:
    start = Path("start") if "lora_rank" in settings else None
    return TrainingConfig(demos=(), out=Path("out"), checkpoint=start, **settings)


def batch(size: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "images": torch.randint(0, 255, (size, 2, 2, 3, 16, 16), generator=generator),
        "token_ids": torch.randint(1, 40, (size, 8), generator=generator),
        "token_mask": torch.ones(size, 8, dtype=torch.bool),
        "state": torch.randn(size, 128, generator=generator),
        "action_mask": torch.ones(size, 128),
        "actions": torch.randn(size, HORIZON, 128, generator=generator),
    }


def gradients(**settings: object) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    network = tiny_network()
    for parameter in network.rdt.model.final_layer.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # zeros would stop all gradients
    prepare_network(network, config(**settings))
    torch.manual_seed(1)
    loss, _ = network(batch())
    loss.backward()
    return {n: p.grad for n, p in network.named_parameters() if p.grad is not None}


def test_computing_blocks_twice_gives_the_same_gradients() -> None:
    kept, again = gradients(), gradients(gradient_checkpointing=True)
    assert kept.keys() == again.keys()
    for name, value in kept.items():
        torch.testing.assert_close(value, again[name], rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("c++") or shutil.which("g++")), reason="no compiler")
def test_compiled_blocks_give_the_same_gradients() -> None:
    plain, compiled = gradients(), gradients(compile=True)
    assert plain.keys() == compiled.keys()
    for name, value in plain.items():
        torch.testing.assert_close(value, compiled[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float32)]
)
def test_a_frozen_siglip_computes_in_bf16_under_that_precision(
    precision: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    tower = SiglipTower(str(write_siglip(tmp_path / "tower")))
    size = tower.image_size
    pictures = torch.randint(0, 255, (1, 2, 2, 3, size, size), dtype=torch.uint8)
    network = tiny_network()
    network.image_encoder = SiglipImageEncoder(tower, cameras=2, slots=3)
    network.train()
    before = network.image_encoder(pictures)
    trained = prepare_network(network, config(precision=precision))
    after = network.image_encoder(pictures)
    assert after.dtype == dtype
    torch.testing.assert_close(after.float(), before, rtol=0.05, atol=0.05)
    assert all(weight.dtype == torch.float32 for weight in trained)


def test_computing_blocks_twice_keeps_less() -> None:
    def kept_bytes(**settings: object) -> int:
        network = tiny_network()
        prepare_network(network, config(**settings))
        sizes: list[int] = []

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            network(batch())
        return sum(sizes)

    assert kept_bytes(gradient_checkpointing=True) < 0.8 * kept_bytes()


@pytest.mark.parametrize("freeze", ["none", "encoders", "trunk"])
def test_what_is_frozen_has_no_gradient(freeze: str) -> None:
    trained = gradients(freeze=freeze)
    encoders = [n for n in trained if n.startswith(("image_encoder", "text_encoder"))]
    blocks = [n for n in trained if n.startswith("rdt.model.blocks")]
    assert bool(encoders) == (freeze != "encoders")
    assert bool(blocks) == (freeze != "trunk")
    assert any(n.startswith("rdt.model.final_layer") for n in trained)


@pytest.mark.slow
def test_weights_and_moments_are_fp32_under_bf16(tmp_path: Path) -> None:
    from tests.training.demo_files import write_file
    from tests.training.tiny import save_tiny
    from training.checkpoint_manager import STATE
    from training.run_folder import RunFolder
    from training.trainer import train

    settings = TrainingConfig(
        demos=(write_file(tmp_path / "a.hdf5"),),
        checkpoint=save_tiny(tmp_path / "tiny"),
        out=tmp_path / "run",
        updates=3,
        save_every=2,
        batch_size=2,
        precision="bf16",
        learning_rate=1e-5,
        warmup=0,
    )
    train(settings)
    state = torch.load(RunFolder(settings.out).checkpoints.path(2) / STATE, weights_only=True)
    weights = state["network"]
    assert {v.dtype for v in weights.values() if v.is_floating_point()} == {torch.float32}
    moments = [v for s in state["optimizer"]["state"].values() for v in s.values()]
    assert {v.dtype for v in moments} == {torch.float32}
    # Steps of 1e-5 are far below bf16's resolution at 1: they would have been rounded away.
    moved = [v for n, v in weights.items() if n.startswith("rdt") and n.endswith("norm1.weight")]
    assert moved
    assert all(torch.equal(v.bfloat16(), torch.ones_like(v).bfloat16()) for v in moved)
    assert all((v != 1).any() for v in moved)
