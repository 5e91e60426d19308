"""Running a recipe: its stages in order, and what they leave to look at."""

from itertools import groupby

from harness.display import console
from harness.leaderboard import print_leaderboard
from harness.processes import require_rendering
from harness.recipes.checks import check_recipe
from harness.recipes.config import Recipe, RecipeStage
from harness.recipes.resolved import RECIPE_FILE, RecipeRun
from harness.stages import collect_with_bar, evaluate_with_bars
from harness.training_stage import best_checkpoint, train_with_bar
from results.folder import any_broke
from results.locking import sole_writer
from results.report.page import write_page
from tasks.errors import SimulatorError
from training.config import TrainingConfig


def run_recipe(run: RecipeRun, *, json: bool = False) -> int:
    """Run all stages that are not finished, then show the table, the videos and the page.

    Args:
        run: The recipe with its folder.
        json: Print the table as JSON.

    Returns:
        The exit code: 1 if an episode broke in the end.

    Raises:
        HarnessError: A stage cannot be done as asked; what was finished stays.
        ResultsError: An evaluation's folder holds something else, or another process runs the
            recipe there.
    """
    check_recipe(run)
    with sole_writer(run.out):
        run.claim()
        run_stages(run)
        return _show(run, json=json)


def run_stages(run: RecipeRun) -> None:
    """Run the stages that are not finished; see ``run_recipe``."""
    require_rendering()
    total = (run.collection is not None) + len(run.trainings) + 1
    number = 0
    if run.collection is not None:
        number += 1
        count = run.collection.demos * len(run.collection.tasks or ())
        _announce(number, total, f"collect {count} demonstrations", run.recipe.collect)
        for item in collect_with_bar([run.collection]):
            if item.problem:
                raise SimulatorError(f"Task {item.task} was not collected: {item.problem}")
            before = " (finished before)" if item.before else ""
            console.print(f"  {item.kept} of {item.tried} attempts kept{before}")
    for training in run.trainings:
        number += 1
        _announce(number, total, _training_in_words(training, run.recipe), run.recipe.train)
        console.print(f"  checkpoint: {train_with_bar(training)}")
        if training.eval_every:
            best = best_checkpoint(training)
            if best is None:
                raise SimulatorError(
                    f"No checkpoint of '{training.out}' could be judged, so none is the best; "
                    "its train.jsonl says why. Fix: mend that and give another --out, or drop "
                    "eval_every from [train]."
                )
            console.print(f"  the best one: {best.resolve().name}")
    what = f"evaluate {len(run.evaluations)} times"
    _announce(number + 1, total, what, run.recipe.evaluate)
    for note in run.notes:
        console.print(f"  {note}", soft_wrap=True)
    for _, configs in groupby(run.evaluations, key=lambda config: config.policy):
        evaluate_with_bars(list(configs))


def _training_in_words(training: TrainingConfig, recipe: Recipe) -> str:
    start = training.checkpoint
    name = training.preset if start is None else f"checkpoint {start.name}"
    seed = "" if recipe.seeds is None else f", seed {training.seed}"
    return f"fine-tune {name}, {training.updates} updates{seed}"


def _announce(number: int, total: int, what: str, stage: RecipeStage | None) -> None:
    minutes = None if stage is None else stage.minutes
    about = "" if minutes is None else f", about {minutes:g} minutes on two cores"
    console.print(f"Stage {number} of {total}: {what}{about}", style="bold")
    if stage is not None and stage.note:
        console.print(f"  {stage.note}")


def _show(run: RecipeRun, *, json: bool) -> int:
    folders = [config.out for config in run.evaluations]
    recipe = (run.out / RECIPE_FILE).read_text(encoding="utf-8")
    page = write_page(run.page, folders, title=run.recipe.title, recipe=recipe)
    print_leaderboard(
        folders, format="json" if json else "table", over_seeds=run.recipe.seeds is not None
    )
    videos = sorted(video for folder in folders for video in (folder / "videos").glob("*.mp4"))
    console.print("Videos:")
    for video in videos:
        console.print(f"  {video}", soft_wrap=True)
    console.print(f"Page: {page}", soft_wrap=True)
    return 1 if any(any_broke(folder) for folder in folders) else 0
