"""Collecting and evaluating under progress bars."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.demonstrations.collection import Collected, collect
from harness.display import console, progress_bar
from harness.evaluation.engine import Engine, open_engine
from harness.evaluation.plan import EvaluationPlan, plan_runs, plan_sweep
from harness.evaluation.run import execute
from harness.warnings import warn_of_crowding, warn_of_versions

if TYPE_CHECKING:
    from harness.demonstrations.attempts import Attempt
    from harness.demonstrations.config import CollectionConfig
    from harness.evaluation.config import EvaluationConfig, Grid
    from harness.evaluation.scheduler import EvaluationStatus
    from tasks.suites import Task


def collect_with_bar(configs: "Sequence[CollectionConfig]") -> list[Collected]:
    """Collect demonstrations under a progress bar; return what became of each task."""
    warn_of_versions()
    total = sum(config.demos * len(config.tasks or ()) for config in configs)
    kept = tried = 0
    if configs[0].engine == "local":
        warn_of_crowding(max(config.workers for config in configs))
    with progress_bar("Collecting demos", total, "demo") as bar:

        def show(task: "Task", attempt: "Attempt") -> None:
            nonlocal kept, tried
            tried, kept = tried + 1, kept + attempt.kept
            bar.at(kept, note=f"kept {kept} of {tried} attempts; {task.suite} {task.index}")

        collected = collect(configs, show)
        bar.at(total)
    return collected


def evaluate_with_bars(configs: "Sequence[EvaluationConfig]") -> list[Path]:
    """Evaluate one policy, loaded once, under a progress bar for each run; return their folders.

    Args:
        configs: The runs, with the same policy.
    """
    return _execute_with_bars(configs[0], lambda engine: plan_runs(configs, engine=engine))


def sweep_with_bars(config: "EvaluationConfig", grid: "Grid") -> list[Path]:
    """Evaluate every combination of a grid, a progress bar for each; return the runs' folders.

    Args:
        config: What is common to all.
        grid: The axes.
    """
    return _execute_with_bars(config, lambda engine: plan_sweep(config, grid, engine=engine))


def _execute_with_bars(
    config: "EvaluationConfig", make_plans: "Callable[[Engine], list[EvaluationPlan]]"
) -> list[Path]:
    """Carry out plans on the engine that their settings name.

    Args:
        config: The settings of one of them.
        make_plans: Makes them.
    """
    warn_of_versions()
    if config.engine == "local":
        warn_of_crowding(None if config.workers == "auto" else config.workers)
    with open_engine(config) as engine:
        with console.status("Loading the policy", spinner="line"):
            plans = make_plans(engine)
        for note in dict.fromkeys(plan.note for plan in plans if plan.note):
            console.print(f"  {note}", soft_wrap=True)
        folders = []
        for plan in plans:
            with _evaluation_bar(plan.config) as show:
                folders.append(execute(plan, engine=engine, progress=show, say=_print))
    return folders


def _print(line: str) -> None:
    console.print(f"  {line}", soft_wrap=True)


@contextmanager
def _evaluation_bar(
    config: "EvaluationConfig",
) -> Iterator["Callable[[EvaluationStatus], None]"]:
    """Show a bar while the block runs; what it yields moves the bar."""
    words = [f"Evaluating {config.label or config.policy.name}"]
    if config.exec_horizon is not None:
        words.append(f"{config.exec_horizon} steps a plan")
    if config.fusion.name != "none":
        words.append(str(config.fusion))
    if config.delay:
        words.append(f"{config.delay} steps late")
    if "guidance" in config.policy.options:
        words.append(str(config.policy.options["guidance"]))
    if config.perturb is not None:
        words.append(config.perturb)
    with progress_bar(", ".join(words), None, "step") as bar:

        def show(status: "EvaluationStatus") -> None:
            bar.at(
                status.done,
                total=status.total,
                note=str(status),
                rate=status.steps_per_s,
                left_s=status.left_s,
            )

        yield show
