"""Recipes: demonstrations → fine-tuning → evaluation → table, videos and page, from one TOML file.

Every stage resumes by itself and does nothing when it is finished, so running a recipe again goes
on where it stopped. All settings are checked before the first stage starts.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter

from harness.engines import ENGINE_OPTIONS
from harness.recipes import SHIPPED
from harness.recipes.entries import RecipeEntry
from harness.recipes.mistakes import naming_mistakes
from harness.recipes.paths import placed
from tasks.errors import ConfigError, unknown_name
from tasks.settings import settings

UNDECIDING = ("workers", *ENGINE_OPTIONS)
"""Settings of ``collect`` on which no demonstration depends."""


@settings
class RecipeStage:
    """Settings of a stage, handed on to it, and what to tell the user before it starts."""

    settings: dict[str, Any]
    """Settings of ``collect``, ``train`` or ``eval``."""
    minutes: float | None = Field(default=None, ge=0)
    """About how long it takes on two cores."""
    note: str = ""
    """A remark for the user before it starts."""


@settings
class Recipe:
    """The recipe of ``libero-bench run``."""

    title: str
    """Heading of the page."""
    description: str = ""
    """A sentence or two below it."""
    demos: tuple[Path, ...] = ()
    """Existing demo files or folders, instead of ``collect``. As all paths in a recipe, they are
    relative to its folder."""
    collect: RecipeStage | None = None
    """Demonstrations to collect."""
    train: RecipeStage | None = None
    """Fine-tuning; without it, entries must name their checkpoints."""
    seeds: int | None = Field(default=None, ge=2, le=100)
    """Trainings from so many seeds, 0 and up; tables then have a row over them. One training by
    default."""
    evaluate: RecipeStage
    """Settings of all evaluations."""
    entries: tuple[RecipeEntry, ...]
    """Policies to evaluate."""


def load_recipe(name: str) -> Recipe:
    """Read a recipe.

    Args:
        name: A file, or the name of a shipped recipe.

    Raises:
        ConfigError: There is none, or it says something that is not allowed.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = SHIPPED / f"{name}.toml"
        if not path.exists():
            raise unknown_name("recipe", name, [p.stem for p in sorted(SHIPPED.glob("*.toml"))])
    try:
        with naming_mistakes("recipe", path):
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
            return TypeAdapter(Recipe).validate_python(_grouped(placed(raw, path.parent)))
    except FileNotFoundError as error:
        shipped = ", ".join(p.stem for p in sorted(SHIPPED.glob("*.toml")))
        raise ConfigError(
            f"The recipe '{path}' does not exist. Allowed: a TOML file, or one of: {shipped}."
        ) from error


def _grouped(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``[collect] demos = 12, minutes = 3`` into a ``RecipeStage``."""
    grouped = dict(raw)
    for name in ("collect", "train", "evaluate"):
        if isinstance(grouped.get(name), dict):
            settings = dict(grouped[name])
            about = {key: settings.pop(key) for key in ("minutes", "note") if key in settings}
            grouped[name] = {"settings": settings, **about}
    return grouped
