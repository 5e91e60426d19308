"""Curves of the trainings of a study, read from their logs."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from results.studies.records import ArmRecord, StudyRecord

TRAINING_LOG = Path("train") / "train.jsonl"
"""Log of a cell's training, relative to the cell's folder."""

_POINTS = 120


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A quantity over the updates of an arm's trainings.

    Attributes:
        arm: Name of the arm.
        name: What it is.
        lines: Update and value, a line for each seed that has any.
    """

    arm: str
    name: str
    lines: tuple[tuple[tuple[int, float], ...], ...]


def loss_curves(folder: Path, study: StudyRecord) -> list[Curve]:
    """Return the loss of each arm's trainings.

    Args:
        folder: The study's folder.
        study: What it asked for.
    """
    return [_curve(folder, arm, "loss", _loss) for arm in study.arms]


def error_curves(folder: Path, study: StudyRecord) -> list[Curve]:
    """Return the error of sampled plans of each arm's trainings; see ``loss_curves``."""
    return [_curve(folder, arm, "error of sampled plans", _error) for arm in study.arms]


def _curve(
    folder: Path, arm: ArmRecord, name: str, read: Callable[[dict[str, Any]], float | None]
) -> Curve:
    lines = []
    for cell in arm.folders:
        points = [
            (int(entry["update"]), value)
            for entry in training_log(folder / cell)
            if "update" in entry and (value := read(entry)) is not None
        ]
        if points:
            lines.append(tuple(points[:: max(1, len(points) // _POINTS)]))
    return Curve(arm=arm.name, name=name, lines=tuple(lines))


def _loss(entry: dict[str, Any]) -> float | None:
    return entry.get("loss")


def _error(entry: dict[str, Any]) -> float | None:
    sampled = entry.get("sampled")
    return sampled.get("overall") if isinstance(sampled, dict) else None


def training_log(cell: Path) -> list[dict[str, Any]]:
    """Return the lines of a cell's training log; a torn last line is left out.

    Args:
        cell: The cell's folder.
    """
    path = cell / TRAINING_LOG
    entries = []
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


@dataclass(frozen=True, kw_only=True)
class ErrorRow:
    """The error of an arm's sampled plans at the end of its trainings, a mean over seeds.

    Attributes:
        arm: Name of the arm.
        seeds: Seeds that have been measured.
        overall: Mean squared error in the layout's units.
        before_goal: Of windows that begin before the first predicate of the goal is reached; None
            where no log says it.
        after_goal: Of the others.
    """

    arm: str
    seeds: int
    overall: float
    before_goal: float | None
    after_goal: float | None


def error_rows(folder: Path, study: StudyRecord) -> list[ErrorRow]:
    """Return the last errors of each arm that has any.

    Args:
        folder: The study's folder.
        study: What it asked for.
    """
    rows = []
    for arm in study.arms:
        logs = [
            [entry["sampled"] for entry in training_log(folder / cell) if "sampled" in entry]
            for cell in arm.folders
        ]
        last = [entries[-1] for entries in logs if entries]
        if last:
            rows.append(
                ErrorRow(
                    arm=arm.name,
                    seeds=len(last),
                    overall=fmean(entry["overall"] for entry in last),
                    before_goal=_mean(entry.get("before_goal") for entry in last),
                    after_goal=_mean(entry.get("after_goal") for entry in last),
                )
            )
    return rows


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
