"""Curves of the trainings of a study, read from their logs."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from results.studies.records import StudyRecord

TRAINING_LOG = Path("train") / "train.jsonl"
"""Log of a cell's training, relative to the cell's folder."""

_POINTS = 120

LogEntry = dict[str, Any]
TrainingLogs = dict[str, list[list[LogEntry]]]
"""Lines of the training logs of a study's arms, by arm, a list for each seed."""


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


def read_logs(folder: Path, study: StudyRecord) -> TrainingLogs:
    """Return the lines of all training logs, by arm, a list for each seed.

    Args:
        folder: The study's folder.
        study: What it asked for.
    """
    return {arm.name: [training_log(folder / cell) for cell in arm.folders] for arm in study.arms}


def loss_curves(logs: TrainingLogs) -> list[Curve]:
    """Return the loss of each arm's trainings."""
    return [_curve(arm, "loss", seeds, _loss) for arm, seeds in logs.items()]


def error_curves(logs: TrainingLogs) -> list[Curve]:
    """Return the error of sampled plans of each arm's trainings."""
    return [_curve(arm, "error of sampled plans", seeds, _error) for arm, seeds in logs.items()]


def _curve(
    arm: str,
    name: str,
    seeds: Sequence[Sequence[LogEntry]],
    read: Callable[[LogEntry], float | None],
) -> Curve:
    lines = []
    for entries in seeds:
        points = [
            (int(entry["update"]), value)
            for entry in entries
            if "update" in entry and (value := read(entry)) is not None
        ]
        if points:
            lines.append(tuple(points[:: max(1, len(points) // _POINTS)]))
    return Curve(arm=arm, name=name, lines=tuple(lines))


def _loss(entry: LogEntry) -> float | None:
    return entry.get("loss")


def _error(entry: LogEntry) -> float | None:
    sampled = entry.get("sampled")
    return sampled.get("overall") if isinstance(sampled, dict) else None


def training_log(cell: Path) -> list[LogEntry]:
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


def error_rows(logs: TrainingLogs) -> list[ErrorRow]:
    """Return the last errors of each arm that has any."""
    rows = []
    for arm, seeds in logs.items():
        sampled = [
            [entry["sampled"] for entry in entries if "sampled" in entry] for entries in seeds
        ]
        last = [entries[-1] for entries in sampled if entries]
        if last:
            rows.append(
                ErrorRow(
                    arm=arm,
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
