"""The folder of a training run: its settings, its log, the state to resume from, its result."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import ConfigError, differing_settings
from training.checkpoints.shelf import Shelf
from training.config import TrainingConfig


class RunFolder:
    """Paths and files of a training run.

    ``train.json`` holds the settings, ``train.jsonl`` what was logged, ``checkpoints/`` what to go
    on from, ``evaluations/`` what judged them, ``checkpoint/`` the finished policy.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "train.json"
        self.log = path / "train.jsonl"
        self.shelf = Shelf(path / "checkpoints")
        self.checkpoint = path / "checkpoint"

    def evaluation(self, update: int) -> Path:
        """Return the folder of an update's evaluation, which need not be there."""
        return self.path / "evaluations" / self.shelf.place(update).name

    def claim(self, config: TrainingConfig) -> None:
        """Make the folder this run's, or check that it is; roll back if that is asked.

        Raises:
            ConfigError: The folder holds something else, or a run with other settings, or no
                checkpoint to roll back to.
        """
        if config.from_update is not None:
            if not self.settings.exists():
                raise ConfigError(
                    f"--from-update {config.from_update}: '{self.path}' is no training run. "
                    "Fix: give the --out of one, or drop --from-update."
                )
            self.shelf.forget_after(config.from_update)
            for later in self.path.glob("evaluations/*"):
                if later.name > self.evaluation(config.from_update).name:
                    shutil.rmtree(later)
            shutil.rmtree(self.checkpoint, ignore_errors=True)
            write_json(self.settings, config.identity())
            self.append_log({"event": "rollback", "update": config.from_update})
        claim_folder(self.path, self.settings, config.identity(), "training run")

    @property
    def finished(self) -> bool:
        """Whether the finished policy is there."""
        return (self.checkpoint / "contract.json").exists()

    def append_log(self, entry: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def claim_folder(folder: Path, note: Path, settings: Mapping[str, Any], what: str) -> None:
    """Make a folder the place of some work, or check that it is.

    Args:
        folder: The folder.
        note: The file in it that holds the settings.
        settings: What the work is made with, as JSON can say it.
        what: What the work is, for messages.

    Raises:
        ConfigError: The folder holds something else, or work with other settings.
    """
    if not note.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(
                f"--out '{folder}' holds something that is no {what}. "
                "Allowed: a new folder, an empty one, or the run to resume. Fix: give another."
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_json(note, settings)
        return
    try:
        there = json.loads(note.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"'{note}' is damaged ({error}). Fix: give another --out.") from error
    differing = differing_settings(there, settings)
    if differing:
        raise ConfigError(
            f"--out '{folder}' holds a {what} with other settings ({differing}). "
            "Fix: give another --out, or the same settings to resume."
        )


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that appears whole or not at all."""
    writing = path.with_name(f".{path.name}.writing")
    writing.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    writing.replace(path)
