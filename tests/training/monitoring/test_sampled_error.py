"""The error of sampled plans: what is measured, and the best checkpoint by it."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from policies.rdt.actions.layout_file import get_layout
from policies.rdt.checkpoint.storage import load_checkpoint, load_extra
from policies.rdt.model.sampling import PlanSampler, SamplingOptions
from tasks.errors import ConfigError
from tests.training.demo_files import write_file
from tests.training.tiny import save_tiny
from training.config import TrainingConfig
from training.monitoring.report import read_log
from training.monitoring.sampled_error import sampled_error
from training.progress import TrainingStart, TrainingStatus
from training.run_folder import RunFolder
from training.setup import set_up
from training.trainer import train

LAYOUT = get_layout("eef-velocity")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, object]:
    return {
        "demos": (write_file(tmp_path / "demos" / "a.hdf5", demos=3),),
        "checkpoint": save_tiny(tmp_path / "tiny"),
        "out": tmp_path / "run",
        "updates": 12,
        "batch_size": 2,
        "log_every": 2,
        "save_every": 5,
        "keep": 1,
        "sample_period": 3,
        "sample_windows": 4,
        "held_out": 1,
        "threads": 1,
    }


@pytest.mark.slow
@pytest.mark.parametrize("method", ["none", "meanstd"])
def test_the_error_is_that_of_each_slot_and_step(settings: dict[str, object], method: str) -> None:
    config = TrainingConfig(**settings, normalise=method)
    setup = set_up(config, RunFolder(config.out))
    network, data = setup.network.eval(), setup.held_out
    assert data is not None
    assert data.demos == 1
    rows = [1, 4, 6, 9]  # of 11 windows, evenly spread
    found = sampled_error(network, data, LAYOUT, windows=4, move=lambda batch: batch)
    noise = torch.randn(4, 8, 128, generator=torch.Generator().manual_seed(0))
    samples = torch.utils.data.default_collate([data[row] for row in rows])
    # As an evaluation samples them.
    sampler = PlanSampler(network.rdt, SamplingOptions(), "cpu")
    errors = sampler.sample(network.condition(samples), noise[:, None]) - samples["actions"]
    scales = setup.contract.normalisation.action
    for slot, scale in zip(scales.slots, scales.scale, strict=True):
        errors[..., slot] *= scale  # in LIBERO's units, whatever the network is given
    errors = errors.square().double()
    by_step: list[list[float]] = [[] for _ in range(8)]
    slots = sorted(LAYOUT.action_slots)
    for place, row in enumerate(rows):
        for step in range(8):
            if row + step < 11:
                by_step[step].append(errors[place, step, slots].mean().item())
    assert found.per_step == pytest.approx([np.mean(each) for each in by_step], rel=1e-5)
    every = [value for each in by_step for value in each]
    assert found.overall == pytest.approx(np.mean(every), rel=1e-5)
    assert np.mean(list(found.per_slot.values())) == pytest.approx(found.overall)
    assert list(found.per_slot) == [str(slot) for slot in slots]
    assert (found.before_goal, found.after_goal) == (pytest.approx(found.overall), None)
    data.entries = [replace(entry, first_goal=5) for entry in data.entries]
    split = sampled_error(network, data, LAYOUT, windows=4, move=lambda batch: batch)
    halves = [
        np.mean(
            [
                errors[place, step, slots].mean().item()
                for place, row in enumerate(rows)
                for step in range(8)
                if row + step < 11 and (row >= 5) is after
            ]
        )
        for after in (False, True)
    ]
    assert (split.before_goal, split.after_goal) == pytest.approx(halves, rel=1e-5)


@pytest.mark.slow
def test_a_run_is_logged_and_its_best_weights_kept(settings: dict[str, object]) -> None:
    statuses: list[TrainingStatus] = []
    starts: list[TrainingStart] = []
    train(TrainingConfig(**settings), statuses.append, starts.append)
    (start,) = starts
    assert (start.demos, start.held_out, start.samples) == (2, 1, 2)
    assert len(start.loss_weights) == 7
    run = Path(str(settings["out"]))
    entries = read_log(run)
    plain = [entry for entry in entries if "sampled" not in entry]
    assert [entry["update"] for entry in plain] == [2, 4, 6, 8, 10, 12]
    assert all(math.isfinite(entry["gradient_norm"]) for entry in plain)
    assert all(0 <= entry["clipped"] <= 1 and 0 <= entry["data_wait"] <= 1 for entry in plain)
    sampled = {entry["update"]: entry["sampled"] for entry in entries if "sampled" in entry}
    assert sorted(sampled) == [3, 6, 9, 12]
    checkpoints = RunFolder(run).checkpoints
    best = min(sampled, key=lambda update: sampled[update]["overall"])
    assert checkpoints.best == best
    assert load_extra(checkpoints.folder / "best")["update"] == best
    load_checkpoint(checkpoints.folder / "best")
    assert statuses[-1].sampled is not None
    assert load_extra(run / "checkpoint")["loss_weights"] == start.loss_weights


@pytest.mark.slow
def test_sampling_plans_changes_no_weight(settings: dict[str, object], tmp_path: Path) -> None:
    watched = train(TrainingConfig(**settings))
    alone = train(TrainingConfig(**(settings | {"out": tmp_path / "b", "sample_period": 0})))
    name = "model.safetensors"
    assert (watched / name).read_bytes() == (alone / name).read_bytes()
    with pytest.raises(ConfigError, match="--held-out 1"):
        TrainingConfig(**(settings | {"held_out": 0}))
