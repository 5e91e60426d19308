"""The training benchmark: both sides train, and its figures are what was measured."""

import json
from pathlib import Path

import pytest
import torch

from harness.benchmarks.reference_training import SampleByFile
from harness.benchmarks.training_speed import measure
from harness.cli import main
from policies.rdt.encoders.base import EncodersConfig
from policies.rdt.encoders.factory import build_encoders
from tests.training.demo_files import write_file
from tests.training.windows import windows_of


@pytest.mark.slow
def test_both_sides_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_file(tmp_path / "a.hdf5", size=32)
    words = ["bench", "train", "--demos", str(tmp_path), "--updates", "2", "--repeats", "1"]
    assert main([*words, "--batch-size", "2", "--json"]) == 0
    loop, ours = json.loads(capsys.readouterr().out)
    assert (loop["side"], ours["side"]) == ("loop", "ours")
    for side in (loop, ours):
        assert side["samples_per_s"] > 0
        assert 0 <= side["data_wait"] < 1
        assert side["memory_mb"] > 100
    assert main(["bench", "train", "--demos", str(tmp_path / "none")]) == 2


def test_figures_are_of_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run_loop(files: list[Path], **settings: object) -> tuple[float, float]:
        assert (files, settings["updates"], settings["batch_size"]) == ([demo], 5, 8)
        return 0.5, 0.25  # seconds per update, share of waiting

    demo = write_file(tmp_path / "a.hdf5", size=32)
    monkeypatch.setattr("harness.benchmarks.reference_training.run_loop", run_loop)
    figures = measure("loop", tmp_path, updates=5, batch_size=8)
    assert (figures.side, figures.samples_per_s, figures.data_wait) == ("loop", 16.0, 0.25)


def test_the_loop_sees_the_samples_that_ours_sees(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", size=128, steps=8, convention="before_action")
    encoders = build_encoders(EncodersConfig())
    ours = windows_of(path, horizon=64, image_size=64)
    loop = SampleByFile([path], 1, encoders.text.prepare)[0]
    same = [
        index
        for index in range(len(ours))
        if torch.allclose(ours[index]["state"], torch.from_numpy(loop["state"]))
    ]
    assert len(same) == 1
    window = ours[same[0]]
    difference = window["images"].int() - torch.from_numpy(loop["images"]).int()
    assert difference.abs().max() <= 1
    left = 8 - same[0] % 8
    given = torch.from_numpy(loop["actions"])[:left]
    torch.testing.assert_close(window["actions"][:left], given)
