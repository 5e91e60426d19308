"""Options as a user types them, for messages about settings."""

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def changed_options(settings: "DataclassInstance", names: Iterable[str]) -> str:
    """Name the options that are not at their defaults, such as ``--std-min, --std-max``.

    Args:
        settings: The settings.
        names: Fields to look at, each of which has a default.
    """
    defaults = {entry.name: entry.default for entry in dataclasses.fields(settings)}
    changed = [name for name in names if getattr(settings, name) != defaults[name]]
    return ", ".join("--" + name.replace("_", "-") for name in changed)
