"""The folder of a training run: its settings, its log, the state to resume from, its result."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.errors import ConfigError, differing_settings
from training.config import TrainingConfig


class RunFolder:
    """Paths and files of a training run.

    ``train.json`` holds the settings, ``train.jsonl`` a line per logged update, ``state/`` all that
    is needed to go on, ``checkpoint/`` the finished policy.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "train.json"
        self.log = path / "train.jsonl"
        self.state = path / "state"
        self.checkpoint = path / "checkpoint"

    def claim(self, config: TrainingConfig) -> None:
        """Make the folder this run's, or check that it is.

        Raises:
            ConfigError: The folder holds something else, or a run with other settings.
        """
        claim_folder(self.path, self.settings, config.identity(), "training run")

    @property
    def finished(self) -> bool:
        """Whether the finished policy is there."""
        return (self.checkpoint / "contract.json").exists()

    def step(self) -> int:
        """Return the update that the saved state was taken after; 0 without one."""
        note = self.state / "step.json"
        return int(json.loads(note.read_text())["step"]) if note.exists() else 0

    @contextmanager
    def replacing_state(self) -> Iterator[Path]:
        """Give a folder to write a state to; it becomes ``state/`` when whole."""
        writing, old = self.path / ".state.writing", self.path / ".state.old"
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir(parents=True)
        yield writing
        for file in writing.rglob("*"):
            if file.is_file():
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
        shutil.rmtree(old, ignore_errors=True)
        if self.state.exists():
            self.state.rename(old)
        writing.rename(self.state)
        shutil.rmtree(old, ignore_errors=True)

    def recover(self) -> None:
        """Put back the previous state if a kill fell between the two renames."""
        old = self.path / ".state.old"
        if old.exists() and not self.state.exists():
            old.rename(self.state)

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
