"""Curves and last errors of trainings, from logs on disk."""

import json
from pathlib import Path

import pytest

from results.studies.curves import (
    TRAINING_LOG,
    error_curves,
    error_rows,
    loss_curves,
    read_logs,
)
from results.studies.records import ArmRecord, StudyRecord


def study_with_logs(folder: Path, logs: list[list[dict[str, object]]]) -> StudyRecord:
    """Write a study of one arm, with the training log of each seed."""
    cells = tuple(f"cells/base/seed-{seed}" for seed in range(len(logs)))
    for cell, entries in zip(cells, logs, strict=True):
        path = folder / cell / TRAINING_LOG
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    arm = ArmRecord(name="base", note="", changes={}, exec_horizons=(16,), folders=cells)
    return StudyRecord(title="t", description="", arms=(arm,), claims=(), settings={})


def test_each_seed_has_a_line_and_long_logs_are_thinned(tmp_path: Path) -> None:
    long = [{"update": update, "loss": 1 / update} for update in range(1, 1001)]
    logs = read_logs(tmp_path, study_with_logs(tmp_path, [long, long[:3]]))
    (curve,) = loss_curves(logs)
    assert [len(line) for line in curve.lines] == [125, 3]
    assert curve.lines[0][:2] == ((1, 1.0), (9, 1 / 9))
    assert error_curves(logs)[0].lines == ()


def test_a_torn_line_and_a_missing_log_are_left_out(tmp_path: Path) -> None:
    study = study_with_logs(tmp_path, [[{"update": 1, "loss": 0.5}], []])
    log = tmp_path / study.arms[0].folders[0] / TRAINING_LOG
    log.write_text(log.read_text() + '{"update": 2, "lo')
    (tmp_path / study.arms[0].folders[1] / TRAINING_LOG).unlink()
    assert loss_curves(read_logs(tmp_path, study))[0].lines == (((1, 0.5),),)


def test_the_last_error_of_each_seed_counts(tmp_path: Path) -> None:
    def sampled(update: int, overall: float, after: float | None) -> dict[str, object]:
        errors = {"overall": overall, "before_goal": 2 * overall, "after_goal": after}
        return {"update": update, "sampled": errors}

    study = study_with_logs(
        tmp_path, [[sampled(5, 9.0, 9.0), sampled(10, 0.2, None)], [sampled(10, 0.4, 0.6)], []]
    )
    (row,) = error_rows(read_logs(tmp_path, study))
    assert (row.arm, row.seeds, row.after_goal) == ("base", 2, 0.6)
    assert (row.overall, row.before_goal) == pytest.approx((0.3, 0.6))
