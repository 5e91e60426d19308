"""``libero-bench run``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def run_command(
    recipe: str,
    /,
    *,
    out: Path | None = None,
    workers: int | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Collect demos, fine-tune on them, evaluate: one resumable command.

    It ends with a table, videos and a static page. A finished stage is not repeated. The exit code
    is 1 if episodes broke; they are in no rate, and the same command tries them again.

    Parameters
    ----------
    recipe
        A TOML file, or the name of a shipped recipe: quickstart.
    out
        Folder of the run; runs/RECIPE by default.
    workers
        Processes, instead of what the recipe says.
    json
        Print the table as JSON.
    """
    from harness.recipes.config import RecipeRun, load_recipe
    from harness.recipes.run import run_recipe

    folder = out if out is not None else Path("runs") / Path(recipe).stem
    run = RecipeRun(load_recipe(recipe), folder, workers=workers)
    return run_recipe(run, json=json)
