"""The folder of a training run: settings, log, checkpoints, evaluations, finished policy."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results.resumption import clear_leftovers, is_free
from tasks.errors import ConfigError, differing_settings
from tasks.files import write_json, write_text
from training.checkpoint_manager import CheckpointManager
from training.config import TrainingConfig

SUCCESS = "success"
"""Key of a checkpoint's extra, and of a line of the log."""

NOT_EVALUATED = "not judged"
"""Event in the log where an evaluation failed."""


class RunFolder:
    """Paths and files of a training run.

    ``train.json`` holds the settings, ``train.jsonl`` the log, ``checkpoints/`` the policies and
    states of some updates, ``evaluations/`` their evaluations, ``checkpoint/`` the finished policy.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "train.json"
        self.log = path / "train.jsonl"
        self.checkpoints = CheckpointManager(path / "checkpoints")
        self.checkpoint = path / "checkpoint"

    def evaluation(self, update: int) -> Path:
        """Return the folder of an update's evaluation, which need not be there."""
        return self.path / "evaluations" / self.checkpoints.path(update).name

    def check(self, config: TrainingConfig) -> None:
        """Refuse a folder that is neither free nor this run's; nothing is written.

        Raises:
            ConfigError: The folder holds something else, or a run with other settings, or no
                checkpoint to roll back to.
        """
        if config.from_update is None:
            check_folder(self.path, self.settings, config.identity(), "training run")
            return
        if not self.settings.exists():
            raise ConfigError(
                f"--from-update {config.from_update}: '{self.path}' is no training run. "
                "Fix: give the --out of one, or drop --from-update."
            )
        self.checkpoints.check_exists(config.from_update)

    def claim(self, config: TrainingConfig) -> None:
        """Make the folder this run's; roll back if that is asked.

        Raises:
            ConfigError: See ``check``.
        """
        self.check(config)
        if config.from_update is None:
            claim_folder(self.path, self.settings, config.identity(), "training run")
            return
        self.checkpoints.remove_after(config.from_update)
        for later in self.path.glob("evaluations/*"):
            if later.name > self.evaluation(config.from_update).name:
                shutil.rmtree(later)
        shutil.rmtree(self.checkpoint, ignore_errors=True)
        write_json(self.settings, config.identity())
        self.append_log({"event": "rollback", "update": config.from_update})

    @property
    def finished(self) -> bool:
        """Whether the finished policy is there."""
        return (self.checkpoint / "contract.json").exists()

    def append_log(self, entry: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def cut_log(self, update: int, *, evaluated: bool) -> None:
        """Remove from the log what a resumed run will do again.

        Args:
            update: Update of the checkpoint to resume from; 0 without one.
            evaluated: Whether its evaluation is complete.
        """
        if not self.log.exists():
            return
        before = self.log.read_text(encoding="utf-8")
        kept = [line for line in before.splitlines() if _stays(line, update, evaluated=evaluated)]
        after = "".join(f"{line}\n" for line in kept)
        if after != before:
            write_text(self.log, after)


def check_folder(folder: Path, settings_file: Path, settings: Mapping[str, Any], work: str) -> bool:
    """Refuse a folder that is neither free nor holds the same work; nothing is written.

    Args:
        folder: The folder.
        settings_file: The file in it that holds the settings of the work.
        settings: The settings of this work, as plain data.
        work: Kind of the work, for messages.

    Returns:
        Whether the folder holds the work.

    Raises:
        ConfigError: The folder holds something else, or work with other settings.
    """
    if not settings_file.exists():
        if not is_free(folder):
            raise ConfigError(
                f"--out '{folder}' holds something that is no {work}. "
                "Allowed: a new folder, an empty one, or the run to resume. Fix: give another."
            )
        return False
    differing = differing_settings(read_settings(settings_file), settings)
    if differing and not is_free(folder):
        raise ConfigError(
            f"--out '{folder}' holds a {work} with other settings ({differing}). "
            "Fix: give another --out, or the same settings to resume."
        )
    return not differing


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings of some work.

    Raises:
        ConfigError: The file is damaged.
    """
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"'{path}' is damaged ({error}). Fix: give another --out.") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"'{path}' holds no settings. Fix: give another --out.")
    return settings


def claim_folder(folder: Path, settings_file: Path, settings: Mapping[str, Any], work: str) -> None:
    """Write the settings into a folder unless it holds the work; see ``check_folder``."""
    if not check_folder(folder, settings_file, settings, work):
        folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder)
        write_json(settings_file, settings)


def _stays(line: str, update: int, *, evaluated: bool) -> bool:
    """Return whether a line is about work that is not repeated; a torn line is dropped."""
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    if not isinstance(entry, dict):
        return False
    logged = entry.get("update", 0)
    of_evaluation = SUCCESS in entry or entry.get("event") == NOT_EVALUATED
    return bool(logged < update or (logged == update and (evaluated or not of_evaluation)))
