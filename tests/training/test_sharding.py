"""Two processes that each keep half of all weights, against one that keeps all of them."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from policies.rdt.checkpoint.storage import load_checkpoint, load_extra
from policies.rdt.encoders.base import EncoderSources
from tests.policies.rdt.encoders.frozen_files import write_siglip, write_t5
from tests.training.demo_files import write_file
from tests.training.runs import flat, run_module, state
from tests.training.tiny import save_tiny, save_tiny_frozen
from training.config import TrainingConfig
from training.run_folder import RunFolder
from training.trainer import train

pytestmark = pytest.mark.slow

LAUNCH = (
    *("accelerate.commands.launch", "--use_fsdp", "--fsdp_version", "2"),
    *("--num_processes", "2", "--main_process_port", "0", "-m"),
)


STEP = 2
"""The update after which plans are sampled and a checkpoint is saved, of twice as many."""

USUAL = {
    "updates": 2 * STEP,
    "batch_size": 2,
    "effective_batch_size": 8,
    "save_every": STEP,
    "keep": 0,
    "warmup": 3,
    "ema": 0.9,
    "clip": 0.05,
    "held_out": 1,
    "sample_period": STEP,
    "sample_windows": 4,
    "threads": 1,
}

VARIANTS: dict[str, dict[str, object]] = {
    "plain": {},
    "frozen": {"gradient_checkpointing": True},
    "bf16": {"precision": "bf16"},
}
if importlib.util.find_spec("peft"):
    VARIANTS["adapters"] = {
        "lora_rank": 2,
        "lora_targets": "all-linear",
        "normalise": "meanstd",
    }


class Runs:
    """Settings of each variant, whose sharded runs lie in ``two-VARIANT``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_file(folder / "demos" / "a.hdf5", demos=3, size=16)
        self.sources = {
            "siglip": str(write_siglip(folder / "siglip")),
            "t5": str(write_t5(folder / "t5")),
        }
        save_tiny(folder / "tiny")
        save_tiny_frozen(folder / "frozen", EncoderSources(**self.sources))

    def settings(self, variant: str, out: str, **changes: object) -> dict[str, object]:
        start = self.folder / ("frozen" if variant == "frozen" else "tiny")
        settings = USUAL | VARIANTS[variant] | {"checkpoint": str(start)}
        settings |= self.sources if variant == "frozen" else {}
        paths = {"demos": [str(self.folder / "demos")], "out": str(self.folder / out)}
        return settings | paths | changes

    def alone(self, variant: str, out: str, **changes: object) -> Path:
        """Train in this process, which keeps all weights."""
        train(TrainingConfig(**self.settings(variant, out, **changes)))
        return self.folder / out

    def sharded(self, *settings: dict[str, object]) -> None:
        """Train in two processes, one run after the other."""
        listed = self.folder / "settings.json"
        listed.write_text(json.dumps(settings))
        run_module("tests.training.run_sharded", str(listed), "0", launch=LAUNCH)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """One launch trains all variants: processes that start cost more than these trainings."""
    made = Runs(tmp_path_factory.mktemp("runs"))
    made.sharded(*(made.settings(variant, f"two-{variant}") for variant in VARIANTS))
    return made


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


def test_two_halves_do_as_one(runs: Runs) -> None:
    one, two = runs.alone("plain", "one-plain"), runs.folder / "two-plain"
    for rank in (0, 1):
        note = json.loads(two.with_suffix(f".rank{rank}").read_text())
        assert note["kept"] == note["averaged"] < 0.65 * note["all"]
    assert_close(state(one, STEP), state(two, STEP))
    assert_close(weights(one), weights(two))
    sampled = [load_extra(run / "checkpoint")["sampled"]["overall"] for run in (one, two)]
    assert sampled[0] == pytest.approx(sampled[1], rel=1e-4)
    assert RunFolder(one).checkpoints.best == RunFolder(two).checkpoints.best
    whole = weights(one)
    # What two left, one goes on from; and the other way round.
    runs.alone("plain", "two-plain", from_update=STEP)
    runs.sharded(runs.settings("plain", "one-plain", from_update=STEP))
    assert_close(whole, weights(two))
    assert_close(whole, weights(one))


def test_frozen_encoders_are_whole_everywhere(runs: Runs) -> None:
    one = runs.alone("frozen", "one-frozen")
    assert_close(state(one, STEP), state(runs.folder / "two-frozen", STEP))


def test_adapters_are_in_halves_and_saved_merged(runs: Runs) -> None:
    pytest.importorskip("peft")
    one, two = runs.alone("adapters", "one-adapters"), runs.folder / "two-adapters"
    assert_close(state(one, STEP), state(two, STEP))
    assert_close(weights(one), weights(two))


def test_bf16_halves_move_as_one_does(runs: Runs) -> None:
    one = runs.alone("bf16", "one-bf16")
    start = load_checkpoint(runs.folder / "tiny")[0].state_dict()
    moved = []
    for run in (one, runs.folder / "two-bf16"):
        trained = state(run, STEP)["network"]
        assert {v.dtype for v in trained.values() if v.is_floating_point()} == {torch.float32}
        moved.append(torch.cat([(trained[n] - v).flatten() for n, v in start.items()]))
    # Adam's first steps have the size of the learning rate, whatever the gradient's: where it is
    # next to zero, bf16 decides on its sign.
    assert torch.cosine_similarity(*moved, dim=0) > 0.9
