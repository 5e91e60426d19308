"""Two processes that each keep half of all weights, against one that keeps all of them."""

import json
from pathlib import Path

import pytest
import torch

from policies.rdt.checkpoint.storage import load_checkpoint, load_extra
from policies.rdt.encoders.base import EncoderSources
from tests.policies.rdt.encoders.frozen_files import write_siglip, write_t5
from tests.training.demo_files import write_file
from tests.training.runs import flat, run_apart, state
from tests.training.tiny import save_tiny, save_tiny_frozen
from training.config import TrainingConfig
from training.run_folder import RunFolder
from training.trainer import train

pytestmark = pytest.mark.slow

LAUNCH = (
    *("accelerate.commands.launch", "--use_fsdp", "--fsdp_version", "2"),
    *("--num_processes", "2", "--main_process_port", "0", "-m"),
)


@pytest.fixture
def base(tmp_path: Path) -> dict[str, object]:
    """Return settings of a run of 6 updates that samples plans and saves at the third."""
    write_file(tmp_path / "demos" / "a.hdf5", demos=3, size=16)
    return {
        "demos": [str(tmp_path / "demos")],
        "checkpoint": str(save_tiny(tmp_path / "tiny")),
        "updates": 6,
        "batch_size": 2,
        "effective_batch_size": 8,
        "save_every": 3,
        "keep": 0,
        "warmup": 3,
        "ema": 0.9,
        "clip": 0.05,
        "held_out": 1,
        "sample_period": 3,
        "sample_windows": 4,
        "threads": 1,
    }


def sharded(settings: dict[str, object]) -> None:
    run_apart(settings, launch=LAUNCH, program="tests.training.run_sharded")


def assert_close(one: object, two: object) -> None:
    ours, theirs = flat(one), flat(two)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-5, msg=name)
        elif isinstance(value, float):
            assert value == pytest.approx(theirs[name], rel=1e-4), name
        elif not name.endswith(".foreach"):  # how it is computed, not what
            assert value == theirs[name], name


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoint")[0].state_dict()


def test_two_halves_do_as_one(base: dict[str, object], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    train(TrainingConfig(**base, out=one))
    sharded(base | {"out": str(two)})
    for rank in (0, 1):
        note = json.loads(two.with_suffix(f".rank{rank}").read_text())
        assert note["kept"] == note["averaged"] < 0.65 * note["all"]
    assert_close(state(one, 3), state(two, 3))
    assert_close(weights(one), weights(two))
    sampled = [load_extra(run / "checkpoint")["sampled"]["overall"] for run in (one, two)]
    assert sampled[0] == pytest.approx(sampled[1], rel=1e-4)
    assert RunFolder(one).checkpoints.best == RunFolder(two).checkpoints.best
    whole = weights(one)
    # What two left, one goes on from; and the other way round.
    train(TrainingConfig(**base, out=two, from_update=3))
    sharded(base | {"out": str(one), "from_update": 3})
    assert_close(whole, weights(two))
    assert_close(whole, weights(one))


def test_frozen_encoders_are_whole_everywhere(base: dict[str, object], tmp_path: Path) -> None:
    sources = {"siglip": str(write_siglip(tmp_path / "s")), "t5": str(write_t5(tmp_path / "t"))}
    save_tiny_frozen(tmp_path / "frozen", EncoderSources(**sources))
    base |= {**sources, "checkpoint": str(tmp_path / "frozen"), "gradient_checkpointing": True}
    one, two = tmp_path / "one", tmp_path / "two"
    train(TrainingConfig(**base, out=one))
    sharded(base | {"out": str(two)})
    assert_close(state(one, 3), state(two, 3))


def test_adapters_are_in_halves_and_saved_merged(base: dict[str, object], tmp_path: Path) -> None:
    pytest.importorskip("peft")
    one, two = tmp_path / "one", tmp_path / "two"
    base |= {"lora_rank": 2, "lora_targets": "all-linear", "normalise": "meanstd"}
    train(TrainingConfig(**base, out=one))
    sharded(base | {"out": str(two)})
    assert_close(state(one, 3), state(two, 3))
    assert_close(weights(one), weights(two))


def test_bf16_halves_move_as_one_does(base: dict[str, object], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    base |= {"precision": "bf16"}
    train(TrainingConfig(**base, out=one))
    sharded(base | {"out": str(two)})
    start = load_checkpoint(tmp_path / "tiny")[0].state_dict()
    moved = []
    for run in (one, two):
        trained = state(run, 3)["network"]
        assert {v.dtype for v in trained.values() if v.is_floating_point()} == {torch.float32}
        moved.append(torch.cat([(trained[n] - v).flatten() for n, v in start.items()]))
    # Adam's first steps have the size of the learning rate, whatever the gradient's: where it is
    # next to zero, bf16 decides on its sign.
    assert torch.cosine_similarity(*moved, dim=0) > 0.9
