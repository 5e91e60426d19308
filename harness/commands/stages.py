"""Commands of the long stages: ``collect``, ``eval``, and ``run``, which does all of a recipe."""

from json import dumps
from pathlib import Path
from typing import Annotated

from harness.commands import Flat, Switch
from harness.demonstrations.config import CollectionConfig
from harness.display import results_console
from harness.engines import EngineOptions
from harness.evaluation.config import EvaluationConfig, SweepConfig
from harness.recipes.config import load_recipe
from results.folder import any_broke

INCOMPLETE = 1
EPISODES_BROKE = 1


def collect_command(
    config: Annotated[CollectionConfig, Flat] = CollectionConfig(), *, json: Switch = False
) -> int:
    """Let the scripted expert demonstrate tasks; write LIBERO's HDF5 format.

    Only demonstrations whose success lasts are kept. A killed collection resumes; where fewer
    demonstrations are there than asked for, the others are added. The exit code is 1 if a task
    could not be collected; the others are.

    Parameters
    ----------
    json
        Print what was collected as JSON.
    """
    from harness.demonstrations.tables import collected_as_dict, collected_table, collection_cost
    from harness.stages import collect_with_bar

    collected = collect_with_bar(config.by_suite())
    if json:
        plain = [collected_as_dict(item) for item in collected]
        print(dumps(plain, indent=2, ensure_ascii=False))
    else:
        console = results_console()
        console.print(collected_table(collected))
        console.print(collection_cost(collected))
    return INCOMPLETE if any(item.problem for item in collected) else 0


def evaluate_command(
    config: Annotated[EvaluationConfig, Flat],
    sweep: Annotated[SweepConfig, Flat] = SweepConfig(),
    *,
    json: Switch = False,
) -> int:
    """Run a policy on LIBERO tasks and print how often it succeeds.

    Every finished episode is kept in OUT/episodes.jsonl; the same command resumes a killed run.
    Several execution horizons, fusions, delays, chunkings or perturbations are a run for each, in
    OUT/h16-act and the like, of one policy loaded once, and one table.

    Exit code 1 if episodes broke: they are in no rate, the table says why, and the same command
    tries them again.

    Parameters
    ----------
    json
        Print the table as JSON.
    """
    from harness.leaderboard import print_leaderboard
    from harness.stages import sweep_with_bars

    folders = sweep_with_bars(config, sweep.grid)
    print_leaderboard(folders, format="json" if json else "table")
    return EPISODES_BROKE if any(any_broke(folder) for folder in folders) else 0


def run_command(
    recipe: str,
    /,
    engine: Annotated[EngineOptions, Flat] = EngineOptions(),
    *,
    out: Path | None = None,
    workers: int | None = None,
    json: Switch = False,
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
    from harness.recipes.resolved import RecipeRun
    from harness.recipes.run import run_recipe

    folder = out if out is not None else Path("runs") / Path(recipe).stem
    run = RecipeRun(load_recipe(recipe), folder, workers=workers, engine=engine)
    return run_recipe(run, json=json)
