"""Mistakes in recipes and studies: where in the file they are."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from tasks.errors import ConfigError, HarnessError, first_mistake


@contextmanager
def naming_mistakes(what: str, path: Path) -> Iterator[None]:
    """Say of a TOML file which setting is wrong, or that it is no TOML.

    Args:
        what: What the file is, such as ``recipe``.
        path: The file that is read in the block.

    Raises:
        ConfigError: The block raised an error about the file's content.
    """
    try:
        yield
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The {what} '{path}' is not valid TOML: {error}.") from error
    except ValidationError as error:
        place, why = first_mistake(error)
        raise ConfigError(f"The {what} '{path}': {place}: {why}.") from error


@contextmanager
def in_section(place: str) -> Iterator[None]:
    """Say before an error which part of the recipe it is about.

    Args:
        place: The part, such as ``[train]``.

    Raises:
        HarnessError: The block raised one.
    """
    try:
        yield
    except ValidationError as error:
        setting, why = first_mistake(error)
        raise ConfigError(f"{place} of the recipe: {setting}: {why}.") from error
    except HarnessError as error:
        raise type(error)(f"{place} of the recipe: {error}") from error


def entry_section(label: str | None) -> str:
    """Return what ``in_section`` calls an entry."""
    return f"[evaluate], entry '{label}'"
