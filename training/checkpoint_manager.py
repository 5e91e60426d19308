"""The checkpoints of a run: written whole or not at all; the newest and the best are kept."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ConfigError
from tasks.files import atomic_folder

if TYPE_CHECKING:
    import torch

BEST = "best"
STATE = "training.pt"
"""File in a checkpoint's folder, beside the policy: the state to resume from."""

_NAME = re.compile(r"update-(\d+)")


class CheckpointManager:
    """A folder of ``update-N`` folders, each of them whole, and a link ``best`` to one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, update: int) -> Path:
        """Return the folder of an update's checkpoint, which need not exist."""
        return self.folder / f"update-{update:07d}"

    @property
    def updates(self) -> list[int]:
        """Updates that have a checkpoint, in order."""
        if not self.folder.is_dir():
            return []
        matches = (_NAME.fullmatch(entry.name) for entry in self.folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    @property
    def best(self) -> int | None:
        """The update that ``best`` points to."""
        link = self.folder / BEST
        match = _NAME.fullmatch(str(link.readlink())) if link.is_symlink() else None
        return int(match[1]) if match and link.exists() else None

    def save(self, update: int, write: Callable[[Path], None]) -> Path:
        """Add a checkpoint.

        Args:
            update: Its number.
            write: Fills the folder whose path it is given, or replaces it.

        Raises:
            ConfigError: The disk is full or not writable; earlier checkpoints are untouched.
        """
        path = self.path(update)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for draft in self.folder.glob(".*writing"):  # of a process that was killed
                shutil.rmtree(draft, ignore_errors=True)
            with atomic_folder(path) as draft:
                write(draft)
        except (OSError, RuntimeError) as error:  # torch.save says RuntimeError on a full disk
            raise ConfigError(
                f"The checkpoint of update {update} cannot be written to '{self.folder}' "
                f"({error}). Earlier ones are untouched. Fix: make room, then give the same "
                "command; it goes on from the last one."
            ) from error
        return path

    def mark_best(self, update: int) -> None:
        """Point the link ``best`` to a checkpoint."""
        link = self.folder / ".best"
        link.unlink(missing_ok=True)
        link.symlink_to(self.path(update).name)
        link.replace(self.folder / BEST)

    def prune(self, keep: int) -> None:
        """Remove all but the newest ``keep`` and the best; 0 removes nothing."""
        if keep:
            for update in self.updates[:-keep]:
                if update != self.best:
                    self._remove(update)

    def check_exists(self, update: int) -> None:
        """Refuse to roll back to a checkpoint that does not exist.

        Raises:
            ConfigError: There is no checkpoint of that update.
        """
        updates = self.updates
        if update not in updates:
            listed = ", ".join(map(str, updates)) or "none"
            raise ConfigError(
                f"--from-update {update}: '{self.folder}' has no such checkpoint. "
                f"There: {listed}. Fix: give one of these."
            )

    def remove_after(self, update: int) -> None:
        """Remove later checkpoints; see ``check_exists``."""
        self.check_exists(update)
        for later in self.updates:
            if later > update:
                self._remove(later)
        if self.best is None:
            (self.folder / BEST).unlink(missing_ok=True)

    def _remove(self, update: int) -> None:
        # Renamed first, so that a kill does not leave half a checkpoint under its name.
        leaving = self.folder / ".leaving"
        shutil.rmtree(leaving, ignore_errors=True)
        self.path(update).rename(leaving)
        shutil.rmtree(leaving, ignore_errors=True)


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state into the folder of a checkpoint that is being written."""
    import torch  # when a state is written: finding checkpoints does not need it

    torch.save(dict(state), path)


class TrainingState:
    """The state to resume from, read from a checkpoint."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self._path, self._content = path, content

    def __getitem__(self, name: str) -> Any:
        return self._content[name]

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Name the file and the fix if the block finds that the state does not fit.

        Raises:
            ConfigError: The state does not fit.
        """
        try:
            yield
        except (RuntimeError, KeyError, ValueError) as error:
            raise _damaged(self._path, str(error)) from error


def read_state(path: Path, samples: int, device: "torch.device | None") -> TrainingState:
    """Read a state that ``write_state`` wrote.

    Args:
        path: The file.
        samples: Windows per update of this run, over all processes.
        device: Where tensors are loaded; None maps them from the file when they are used.

    Raises:
        ConfigError: The file is damaged, or the run had another number of windows per update, so
            that the order of the data could not continue.
    """
    import torch

    try:
        target = "cpu" if device is None else device
        content = torch.load(path, map_location=target, mmap=device is None, weights_only=True)
        before = int(content["samples"])
    except (OSError, RuntimeError, KeyError, ValueError, EOFError) as error:
        raise _damaged(path, str(error)) from error
    if before != samples:
        raise ConfigError(
            f"'{path}' was trained with {before} windows per update, this run would have {samples}."
            f" Fix: --effective-batch-size {before} on any number of processes."
        )
    return TrainingState(path, content)


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"The state '{path}' cannot be resumed from ({why}). "
        f"Fix: remove the folder '{path.parent}' to go on from the one before it."
    )
