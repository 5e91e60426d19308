"""Commands around training, on a tiny run."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from harness.cli import main
from harness.training_stage import training_note
from tests.training.demo_files import write_file
from tests.training.tiny import save_tiny
from training.monitoring.evaluation import EvaluationOutcome, EvaluationResult, SuccessRate
from training.progress import TrainingStatus


@pytest.fixture
def run(tmp_path: Path) -> list[str]:
    demos = write_file(tmp_path / "demos" / "a.hdf5")
    words = ["train", "--demos", str(demos), "--out", str(tmp_path / "run")]
    words += ["--checkpoint", str(save_tiny(tmp_path / "tiny")), "--updates", "4"]
    return [*words, "--batch-size", "2", "--log-every", "2", "--threads", "1"]


@pytest.mark.slow
def test_train_report_and_export(
    run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*run, "--loss", "weighted", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["updates"] == 4
    assert "Weights of the loss" in shown.err
    assert "delta_rot" in shown.err
    assert main(["train-report", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "report.png").read_bytes()[:4] == b"\x89PNG"
    out = tmp_path / "official"
    assert main(["export-checkpoint", str(tmp_path / "run" / "checkpoint"), "--out", str(out)]) == 0
    tensors = torch.load(out / "pytorch_model.bin", weights_only=True)
    assert tensors["model.x_pos_embed"].shape == (1, 11, 32)
    assert json.loads((out / "config.json").read_text())["pred_horizon"] == 8


def test_an_export_brings_the_numbers_that_undo_the_normalisation(
    run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*run, "--normalise", "quantile"]) == 0
    assert "normalised: quantile" in capsys.readouterr().err
    checkpoint, out = str(tmp_path / "run" / "checkpoint"), tmp_path / "official"
    assert main(["export-checkpoint", checkpoint, "--out", str(out)]) == 0
    assert "quantile" in capsys.readouterr().err
    contract = json.loads((tmp_path / "run" / "checkpoint" / "contract.json").read_text())
    numbers = json.loads((out / "normalisation.json").read_text())
    assert numbers == contract["normalisation"]
    assert len(numbers["action"]["slots"]) == 6
    assert main(["inspect", checkpoint]) == 0
    assert "6 of the action" in " ".join(capsys.readouterr().out.split())
    assert main(["audit", str(tmp_path / "run"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["facts"]
    assert said["trained"]["normalisation"] == said["evaluated"]["normalisation"] == "action"


def test_augment_preview(tmp_path: Path) -> None:
    demos = write_file(tmp_path / "a.hdf5")
    out = tmp_path / "sheet.png"
    words = ["augment-preview", "--demos", str(demos), "--out", str(out), "--size", "16"]
    assert main([*words, "--rows", "2", "--augment", "official", "--crop", "0.1"]) == 0
    assert out.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--schedule", "constant", "--warmup", "100"], "constant_with_warmup"),
        (["--effective-batch-size", "7"], "6 or 8"),
        (["--sample-period", "5"], "--held-out 1"),
        (["--clip", "0"], "--clip: 0.0 given"),
        (["--key-share", "0.3"], "--sampling key-moments"),
        (["--eval-episodes", "3"], "--eval-every 500"),
        (["--from-update", "5"], "is no training run"),
    ],
)
def test_mistakes_name_the_fix(
    run: list[str], words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*run, *words]) == 2
    error = capsys.readouterr().err
    assert said in " ".join(error.split())
    assert "Traceback" not in error


def test_the_bar_says_how_fast_and_how_good() -> None:
    status = TrainingStatus(
        update=1,
        updates=2,
        loss=0.5,
        rate=2.0,
        learning_rate=1e-4,
        gradient_norm=1.5,
        samples_per_s=64.0,
        data_wait=0.03,
        sampled=None,
    )
    said = "loss 0.5000, grad 1.5, lr 1.0e-04, 64 samples/s, data 3%"
    assert training_note(status) == said
    rate = SuccessRate(k=1, n=5, low=0.036, high=0.624)
    result = EvaluationResult(overall=rate, per_task={}, errors=0, conditions="a")
    outcome = EvaluationOutcome(update=1, result=result, best=True)
    evaluated = dataclasses.replace(status, evaluation=outcome)
    assert training_note(evaluated) == f"{said}, success 1/5 = 20% (4%–62%) at update 1, best"
    failed = dataclasses.replace(status, evaluation=EvaluationOutcome(update=1, problem="no EGL"))
    assert training_note(failed) == said  # it was told when it happened
