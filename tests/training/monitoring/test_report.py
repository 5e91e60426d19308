"""The report: entries of the log, and their plots."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import ConfigError
from training.monitoring.report import draw_report, read_log

pytestmark = pytest.mark.slow


def test_the_report_is_a_picture_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no training run"):
        draw_report(tmp_path, tmp_path / "r.png")
    curve = [
        {"update": u, "loss": 1 / u, "lr": 1e-3, "gradient_norm": 1.0, "samples_per_s": 9.0}
        for u in (10, 20, 30)
    ]
    error = {"overall": 0.5, "per_slot": {"10": 0.5}, "per_step": [0.4, 0.6]}
    again = [{"event": "rollback", "update": 20}, curve[2] | {"loss": 7.0}]
    lines = [*curve, {"update": 30, "sampled": error}, *again]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"update": 4'
    (tmp_path / "train.jsonl").write_text(text)
    entries = read_log(tmp_path)
    assert [entry["loss"] for entry in entries] == [1 / 10, 1 / 20, 7.0]
    drawn = draw_report(tmp_path, tmp_path / "plots" / "r.png")
    assert np.asarray(Image.open(drawn)).std() > 5


def test_the_report_draws_success_with_its_intervals(tmp_path: Path) -> None:
    rate = {"k": 1, "n": 4, "low": 0.05, "high": 0.7}
    broken = {"k": 0, "n": 0, "low": 0.0, "high": 1.0}
    success = rate | {
        "errors": 4,
        "best": True,
        "conditions": "a",
        "per_task": {"libero_object 0": rate, "libero_object 1": broken},
    }
    curve = {"loss": 1.0, "lr": 1e-3, "gradient_norm": 1.0, "samples_per_s": 9.0}
    entries = [
        {"update": 10, **curve},
        {"update": 10, "success": success},
        {"event": "not judged", "update": 15, "problem": "x"},
        {"update": 20, "success": success | {"conditions": "b", "k": 4, "high": 1.0}},
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, entries)))
    assert [entry["update"] for entry in read_log(tmp_path)] == [10, 10, 20]
    drawn = np.asarray(Image.open(draw_report(tmp_path, tmp_path / "r.png")))
    plain = "\n".join(map(json.dumps, entries[:1]))
    (tmp_path / "train.jsonl").write_text(plain)
    without = np.asarray(Image.open(draw_report(tmp_path, tmp_path / "r.png")))
    assert drawn.shape[1] > without.shape[1]
    assert drawn[:, without.shape[1] :].std() > 5
