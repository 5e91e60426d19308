"""Paths in a recipe: all are relative to the folder of its file, wherever the command is given."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import ConfigError

_TRAIN = ("checkpoint", "siglip", "t5", "language_cache", "layout")
_OPTIONS = (*_TRAIN, "demos")
"""Settings and policies' options that may name a file or folder; others are not looked at."""

_HUB_PARTS = 2
"""Of a name on a hub, ``owner/name``."""


def placed(raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a recipe as it was read, with its paths made whole.

    What does not exist and may be a name, of a layout or on a hub, stays.

    Args:
        raw: The recipe's TOML.
        folder: Its folder.

    Raises:
        ConfigError: A path exists relative to the working directory alone.
    """
    recipe = dict(raw)
    if isinstance(recipe.get("demos"), list):
        recipe["demos"] = [_place(each, folder, "demos") for each in recipe["demos"]]
    if isinstance(recipe.get("train"), dict):
        recipe["train"] = _placed_settings(recipe["train"], _TRAIN, folder, "[train] ")
    if isinstance(recipe.get("entries"), list):
        recipe["entries"] = [_placed_entry(entry, folder) for entry in recipe["entries"]]
    return recipe


def _placed_entry(entry: Any, folder: Path) -> Any:
    if not isinstance(entry, dict):
        return entry  # refused later, as what it is
    entry = _placed_settings(entry, ("checkpoint",), folder, "[[entries]] ")
    if isinstance(entry.get("options"), dict):
        entry["options"] = _placed_settings(
            entry["options"], _OPTIONS, folder, "[[entries]] options."
        )
    return entry


def _placed_settings(
    settings: Mapping[str, Any], names: tuple[str, ...], folder: Path, where: str
) -> dict[str, Any]:
    return {
        name: _place(value, folder, where + name) if name in names else value
        for name, value in settings.items()
    }


def _place(given: Any, folder: Path, where: str) -> Any:
    if not isinstance(given, str) or not given or "\0" in given:
        return given
    path = Path(given).expanduser()
    if path.is_absolute() or given.startswith("hf:"):
        return str(path)
    if (folder / path).exists():
        return str((folder / path).resolve())  # the same, wherever the command is given
    if path.exists():
        raise ConfigError(
            f"{where} '{given}' of the recipe exists in the working directory, not beside the "
            f"recipe. Paths in a recipe are relative to its folder, '{folder}'. Fix: "
            f"'{os.path.relpath(path, folder)}', or a whole path."
        )
    named = (
        not where.endswith("demos") and len(path.parts) <= _HUB_PARTS and not given.startswith(".")
    )
    return given if named else str((folder / path).resolve())
