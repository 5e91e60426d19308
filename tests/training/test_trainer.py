"""Training on made-up demonstrations: it learns, resumes exactly, and refuses other settings."""

import math
from pathlib import Path

import pytest
import torch

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.storage import load_checkpoint
from tasks.errors import ConfigError, SpecMismatchError
from tests.training.demo_files import write_file
from tests.training.tiny import save_tiny
from training.config import TrainingConfig
from training.optimisation import learning_rate
from training.progress import TrainingStatus
from training.trainer import train

pytestmark = pytest.mark.slow


@pytest.fixture
def demos(tmp_path: Path) -> Path:
    return write_file(tmp_path / "demos" / "a.hdf5", size=32)


def config(demos: Path, out: Path, **changes: object) -> TrainingConfig:
    settings = {"updates": 6, "batch_size": 2, "save_every": 100, "warmup": 2, "threads": 1}
    return TrainingConfig(demos=(demos,), out=out, **(settings | changes))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder)[0].state_dict()


def interrupt_at(update: int):
    def progress(status: TrainingStatus) -> None:
        if status.update == update:
            raise KeyboardInterrupt

    return progress


def test_an_interrupted_run_ends_in_the_same_weights(demos: Path, tmp_path: Path) -> None:
    whole = train(config(demos, tmp_path / "whole"))
    broken = config(demos, tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        train(broken, interrupt_at(4))
    updates: list[int] = []
    resumed = train(broken, lambda status: updates.append(status.update))
    assert updates == [5, 6]
    first, second = weights(whole), weights(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(first[n], v) for n, v in _fresh().items() if v.ndim == 2)


def _fresh() -> dict[str, torch.Tensor]:
    from policies.rdt.model.presets import build_network

    torch.manual_seed(0)
    network = build_network("rdt-small")
    return {
        n: v for n, v in network.state_dict().items() if n.startswith("rdt.model.blocks.0.attn")
    }


def test_a_finished_run_is_not_repeated(demos: Path, tmp_path: Path) -> None:
    settings = config(demos, tmp_path / "run", updates=1)
    written = train(settings)
    before = (written / "model.safetensors").stat().st_mtime_ns
    updates: list[int] = []
    assert train(settings, lambda status: updates.append(status.update)) == written
    assert updates == []
    assert (written / "model.safetensors").stat().st_mtime_ns == before


def test_other_settings_in_the_same_folder_are_refused(demos: Path, tmp_path: Path) -> None:
    train(config(demos, tmp_path / "run", updates=1))
    with pytest.raises(ConfigError, match="updates: 1 there, 2 asked"):
        train(config(demos, tmp_path / "run", updates=2))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="no training run"):
        train(config(demos, tmp_path / "other"))


def test_the_contract_says_what_the_policy_needs(demos: Path, tmp_path: Path) -> None:
    written = train(config(demos, tmp_path / "run", updates=1))
    contract = load_checkpoint(written)[1]
    assert contract.render_size == 32
    assert contract.demos["demos"] == 2
    assert contract.demos["instructions"] == ["open the drawer"]
    with pytest.raises(SpecMismatchError, match="render_size"):
        contract.check({"render_size": 64})


def test_fine_tuning_starts_from_a_checkpoint_of_the_same_contract(
    demos: Path, tmp_path: Path
) -> None:
    start = train(config(demos, tmp_path / "start", updates=2))
    tuned = train(
        config(demos, tmp_path / "tuned", updates=1, learning_rate=1e-9, warmup=0, checkpoint=start)
    )
    first, second = weights(start), weights(tuned)
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)
    larger = write_file(tmp_path / "larger" / "b.hdf5", size=48)
    with pytest.raises(SpecMismatchError, match=r"pictures of 48 pixels.*--resolution 32"):
        train(config(larger, tmp_path / "refused", checkpoint=start))


def test_a_normalisation_travels_with_the_weights(tmp_path: Path) -> None:
    demos = write_file(tmp_path / "demos" / "a.hdf5", demos=3)
    notes: list[str] = []

    def tune(name: str, start: Path, **changes: object) -> Contract:
        settings = {"updates": 2, "batch_size": 2, "warmup": 0, "threads": 1, "checkpoint": start}
        run = TrainingConfig(demos=(demos,), out=tmp_path / name, **(settings | changes))
        notes[:] = []
        train(run, on_start=lambda start: notes.extend(start.notes))
        return load_checkpoint(tmp_path / name / "checkpoint")[1]

    first = tune("first", save_tiny(tmp_path / "tiny"), normalise="meanstd", demos_per_task=2)
    assert first.normalisation.method == "meanstd"
    assert "its numbers in these demos" in notes[0]
    start = tmp_path / "first" / "checkpoint"
    kept = tune("kept", start)
    assert kept.normalisation == first.normalisation
    assert "the checkpoint's numbers" in notes[0]
    other = tune("other", start, normalise="meanstd")
    assert other.normalisation != first.normalisation
    assert "another normalisation" in notes[1]
    assert tune("without", start, normalise="none").normalisation.method == "none"
    assert "another normalisation" in notes[0]


def test_the_learning_rate_rises_then_falls() -> None:
    settings = TrainingConfig(demos=(), out=Path("x"), updates=100, warmup=10, learning_rate=1.0)
    rates = [learning_rate(settings, update) for update in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[55] == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.5)))
    assert rates[-1] < 0.001


def test_training_learns(tmp_path: Path) -> None:
    demos = write_file(tmp_path / "demos" / "a.hdf5", steps=100, demos=1, steady=True)
    losses: list[float] = []
    # The same delta at every step of this file; where the hand is, is drawn.
    changes = {"updates": 40, "batch_size": 8, "warmup": 5, "ema": 0, "learning_rate": 1e-2}
    start = save_tiny(tmp_path / "tiny")
    settings = config(demos, tmp_path / "run", checkpoint=start, layout="eef-velocity", **changes)
    train(settings, lambda status: losses.append(status.loss))
    assert losses[-1] < 0.5 * losses[2]
