"""The folder of a training run: its settings, its log, the state to resume from, its result."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results.folder import clear_leftovers, is_free
from tasks.errors import ConfigError, differing_settings
from training.checkpoint_manager import CheckpointManager
from training.config import TrainingConfig
from training.monitoring.evaluation import NOT_JUDGED, SUCCESS


class RunFolder:
    """Paths and files of a training run.

    ``train.json`` holds the settings, ``train.jsonl`` what was logged, ``checkpoints/`` what to go
    on from, ``evaluations/`` what judged them, ``checkpoint/`` the finished policy.
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

    def cut_log(self, update: int, *, judged: bool) -> None:
        """Take out of the log what a run that goes on from a checkpoint does again.

        Args:
            update: Of the checkpoint; 0 without one.
            judged: Whether it was judged to the end.
        """
        if not self.log.exists():
            return
        before = self.log.read_text(encoding="utf-8")
        kept = [line for line in before.splitlines() if _stays(line, update, judged=judged)]
        after = "".join(f"{line}\n" for line in kept)
        if after != before:
            replace_text(self.log, after)


def check_folder(folder: Path, note: Path, settings: Mapping[str, Any], what: str) -> bool:
    """Refuse a folder that is neither free for some work nor holds that work; nothing is written.

    Args:
        folder: The folder.
        note: The file in it that holds the settings.
        settings: What the work is made with, as JSON can say it.
        what: What the work is, for messages.

    Returns:
        Whether the work was begun there.

    Raises:
        ConfigError: The folder holds something else, or work with other settings.
    """
    if not note.exists():
        if not is_free(folder):
            raise ConfigError(
                f"--out '{folder}' holds something that is no {what}. "
                "Allowed: a new folder, an empty one, or the run to resume. Fix: give another."
            )
        return False
    differing = differing_settings(read_note(note), settings)
    if differing and not is_free(folder):
        raise ConfigError(
            f"--out '{folder}' holds a {what} with other settings ({differing}). "
            "Fix: give another --out, or the same settings to resume."
        )
    return not differing


def read_note(note: Path) -> dict[str, Any]:
    """Read the settings that work was begun with.

    Raises:
        ConfigError: The file is damaged.
    """
    try:
        there = json.loads(note.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"'{note}' is damaged ({error}). Fix: give another --out.") from error
    if not isinstance(there, dict):
        raise ConfigError(f"'{note}' holds no settings. Fix: give another --out.")
    return there


def claim_folder(folder: Path, note: Path, settings: Mapping[str, Any], what: str) -> None:
    """Make a folder the place of some work, unless it is; see ``check_folder``."""
    if not check_folder(folder, note, settings, what):
        folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder)
        write_json(note, settings)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that appears whole or not at all."""
    replace_text(path, json.dumps(content, indent=2) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    writing = path.with_name(f".{path.name}.writing")
    with writing.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    writing.replace(path)


def _stays(line: str, update: int, *, judged: bool) -> bool:
    """Whether a line tells of what is not done again; one that a kill tore is dropped."""
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    if not isinstance(entry, dict):
        return False
    at = entry.get("update", 0)
    verdict = SUCCESS in entry or entry.get("event") == NOT_JUDGED
    return bool(at < update or (at == update and (judged or not verdict)))
