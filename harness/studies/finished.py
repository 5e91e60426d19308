"""Which cells of a study are finished as they are asked for, with or without their checkpoints."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from harness.evaluation.config import VOLATILE as EVALUATION_VOLATILE
from harness.recipes.config import UNDECIDING, Recipe
from harness.recipes.resolved import RECIPE_FILE, RecipeRun
from harness.studies.cells import Cell
from results.folder import RUN_FILE, load_run
from results.studies.measurements import finished_episodes
from training.config import VOLATILE as TRAINING_VOLATILE
from training.run_folder import read_settings

_RECIPE = TypeAdapter(Recipe)

_WORDS = ("title", "description")

_UNDECIDING = {
    "collect": UNDECIDING,
    "train": TRAINING_VOLATILE,
    "evaluate": tuple(name.removeprefix("config.") for name in EVALUATION_VOLATILE),
}
"""Settings by stage that may change when a study is resumed."""


def is_finished(cell: Cell, out: Path) -> bool:
    """Whether a cell was trained and evaluated to the end with the settings it has now.

    Only the recipe and the records of the runs are looked at, and a run is complete only after
    the training. So a cell stays finished where its checkpoints were deleted, or its records came
    from another machine.

    Args:
        cell: The cell.
        out: The study's folder.

    Raises:
        HarnessError: A record is damaged.
    """
    folder = out / cell.folder
    note = folder / RECIPE_FILE
    if not note.is_file():
        return False
    asked = _RECIPE.dump_python(cell.recipe, mode="json")
    if _deciding(asked, cell) != _deciding(read_settings(note), cell):
        return False
    run = RecipeRun(cell.recipe, folder)
    return all(_is_complete(evaluation.out) for evaluation in run.evaluations)


def unfinished(cells: Iterable[Cell], out: Path) -> list[Cell]:
    """Return the cells that are not finished; see ``is_finished``."""
    return [cell for cell in cells if not is_finished(cell, out)]


def deciding(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the settings on which outcomes depend.

    Args:
        settings: Settings by stage: ``collect``, ``train``, ``evaluate``.
    """
    return {
        stage: {name: value for name, value in given.items() if name not in _UNDECIDING[stage]}
        for stage, given in settings.items()
    }


def _deciding(recipe: Mapping[str, Any], cell: Cell) -> dict[str, Any]:
    """Return what of a cell's recipe its outcome depends on, wherever the study's folder is."""
    decides = {name: value for name, value in recipe.items() if name not in _WORDS}
    stages = {stage: recipe[stage]["settings"] for stage in _UNDECIDING if recipe.get(stage)}
    decides |= deciding(stages)
    if cell.collection is not None:  # collected demonstrations lie in the study's folder
        decides["demos"] = [Path(demos).name for demos in recipe.get("demos") or ()]
    return decides


def _is_complete(folder: Path) -> bool:
    if not (folder / RUN_FILE).is_file():
        return False
    info, records = load_run(folder)
    return info.status == "complete" and finished_episodes(info, records) is not None
