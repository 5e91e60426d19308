"""The state of a run on the disk: tensors and numbers, never unpickled code."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tasks.errors import ConfigError


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state; whoever calls sees to it that it appears whole."""
    torch.save(dict(state), path)


class State:
    """What ``write_state`` wrote."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self._path, self._content = path, content

    def __getitem__(self, name: str) -> Any:
        return self._content[name]

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Name the file and the fix if something in the block does not fit.

        Raises:
            ConfigError: It did not.
        """
        try:
            yield
        except (RuntimeError, KeyError, ValueError) as error:
            raise _refuse(self._path, str(error)) from error


def read_state(path: Path, samples: int, device: torch.device | None) -> State:
    """Read a state.

    Args:
        path: The file.
        samples: Windows per update now, over all processes.
        device: Where tensors go; without one they stay in the file, to be read when they are used.

    Raises:
        ConfigError: It is damaged, or the run had another number of windows per update, so that
            the order of the data would not go on where it stopped.
    """
    try:
        place = "cpu" if device is None else device
        content = torch.load(path, map_location=place, mmap=device is None, weights_only=True)
        before = int(content["samples"])
    except (OSError, RuntimeError, KeyError, ValueError, EOFError) as error:
        raise _refuse(path, str(error)) from error
    if before != samples:
        raise ConfigError(
            f"'{path}' was trained with {before} windows per update, this run would have {samples}."
            f" Fix: --effective-batch-size {before} on any number of processes."
        )
    return State(path, content)


def _refuse(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"The state '{path}' cannot be resumed from ({why}). "
        f"Fix: remove the folder '{path.parent}' to go on from the one before it."
    )
