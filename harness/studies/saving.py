"""Copying the records of a study: all that its tables are made from, without weights and videos."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from harness.recipes.resolved import RECIPE_FILE
from harness.studies.finished import deciding
from results.folder import EPISODES_FILE, RUN_FILE
from results.locking import sole_writer
from results.resumption import is_free
from results.studies.curves import TRAINING_LOG
from results.studies.measurements import read_measurements
from results.studies.records import STUDY_FILE, StudyRecord, read_study, write_study
from tasks.errors import ConfigError
from tasks.files import atomic_folder


def save_records(folder: Path, to: Path) -> tuple[int, int]:
    """Copy the records of a study's finished cells into another folder.

    The copy is a study's folder as well: it has the same tables, and a study that goes on there
    takes its cells for finished. Records from several machines gather in one folder; a cell that is
    there stays.

    Args:
        folder: The study's folder.
        to: Where the records go: a new folder, or one with records of the same study.

    Returns:
        How many cells were copied now, and how many are there.

    Raises:
        ResultsError: The folder is no study, or a run in it is damaged; or another process writes
            into ``to``.
        ConfigError: ``to`` holds something else.
    """
    study = read_study(folder)
    with sole_writer(to):
        _check_target(to, study)
        to.mkdir(parents=True, exist_ok=True)
        write_study(to, study)
        copied = 0
        for cell, runs in _finished(folder, study):
            if (to / cell).exists():
                continue
            (to / cell).parent.mkdir(parents=True, exist_ok=True)
            with atomic_folder(to / cell) as draft:
                for name in _records(folder / cell, runs):
                    target = draft / name.relative_to(folder / cell)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(name, target)
            copied += 1
    return copied, sum((to / cell).exists() for arm in study.arms for cell in arm.folders)


def check_folder(folder: Path, *, option: str, study: str) -> None:
    """Refuse a folder that is neither a study's nor free.

    Args:
        folder: The folder.
        option: The option that named it, for the message.
        study: What study it may hold, for the message.

    Raises:
        ConfigError: It holds something else.
    """
    if not (folder / STUDY_FILE).exists() and not is_free(folder):
        raise ConfigError(
            f"{option} '{folder}' holds something that is no study. Allowed: a new folder, an "
            f"empty one, or {study}. Fix: give another."
        )


def _check_target(to: Path, study: StudyRecord) -> None:
    """Refuse a folder that holds something else than records of the study."""
    check_folder(to, option="--save-records", study="records of the same study")
    if not (to / STUDY_FILE).exists():
        return
    there = read_study(to)
    arms = {arm.name: arm for arm in there.arms}
    pairs = [(there.settings, study.settings)]
    pairs += [(arms[arm.name].changes, arm.changes) for arm in study.arms if arm.name in arms]
    if any(deciding(old) != deciding(new) for old, new in pairs):
        raise ConfigError(
            f"--save-records '{to}' holds records of a study with other settings "
            f"('{there.title}'). Fix: give another folder."
        )


def _finished(folder: Path, study: StudyRecord) -> Iterator[tuple[Path, list[Path]]]:
    """Yield the folder of each finished cell, relative to the study's, and its runs."""
    measured = read_measurements(folder, study)
    for arm in study.arms:
        measurements = [measured[arm.name, horizon] for horizon in arm.exec_horizons]
        for seed, cell in enumerate(arm.folders):
            if all(seed in measurement.runs for measurement in measurements):
                yield Path(cell), [measurement.runs[seed] for measurement in measurements]


def _records(cell: Path, runs: list[Path]) -> Iterator[Path]:
    """Yield the files of a cell that records are read from."""
    training = cell / TRAINING_LOG
    wanted = [cell / RECIPE_FILE, training.with_suffix(".json"), training]
    for run in runs:
        wanted += [run / RUN_FILE, run / EPISODES_FILE]
    yield from (path for path in wanted if path.is_file())
