"""Training steps of a preset without demonstrations."""

import json

import pytest

from harness.benchmarks.config import TrainingSpeedConfig
from harness.cli import main


@pytest.mark.slow
def test_a_step_is_timed_and_its_operations_grow_with_the_batch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = []
    for size in ("1", "2"):
        words = ["--preset", "rdt-small", "--device", "cpu", "--updates", "1", "--batch-size", size]
        assert main(["bench", "train", *words, "--json"]) == 0
        rows += json.loads(capsys.readouterr().out)
    for row, size in zip(rows, (1, 2), strict=True):
        assert (row["preset"], row["device"], row["batch_size"]) == ("rdt-small", "cpu", size)
        assert row["samples_per_s"] == pytest.approx(size / row["update_ms"] * 1e3)
        assert row["gpu_mb"] == 0 and row["peak_share"] is None
    assert rows[0]["weights"] == rows[1]["weights"] > 1e6
    assert rows[1]["tflop"] == pytest.approx(2 * rows[0]["tflop"], rel=0.01)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "needs --demos or --preset, and neither was given"),
        (["--demos", "a", "--preset", "rdt-1b"], "and both were given"),
        (["--demos", "a", "--compile"], "--compile without --preset"),
        (["--preset", "rdt-2b", "--device", "cpu"], "rdt-2b"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "train", *words]) == 2
    assert told in capsys.readouterr().err


def test_the_default_is_refused_only_when_it_runs() -> None:
    assert TrainingSpeedConfig().preset is None
