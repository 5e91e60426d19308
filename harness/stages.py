"""The long stages of the work, each with its progress bar: collect, train, evaluate."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table

from harness.capacity import cpu_quota, crowding, free_memory_gib, usable_cores
from harness.display import console, progress_bar

if TYPE_CHECKING:
    from harness.demonstrations.attempts import Attempt
    from harness.demonstrations.collection import Collected
    from harness.demonstrations.config import CollectionConfig
    from harness.evaluation.config import EvaluationConfig
    from harness.evaluation.plan import EvaluationPlan
    from harness.evaluation.scheduler import EvaluationStatus
    from policies.fusion import Fusion
    from tasks.suites import Task
    from training.config import TrainingConfig
    from training.progress import TrainingStart, TrainingStatus


@cache
def warn_of_versions() -> None:
    """Say once if what is about to be simulated is not comparable with what others simulate."""
    from tasks.versions import beside_the_pin

    if (words := beside_the_pin()) is not None:
        console.print(f"WARNING: {words}", soft_wrap=True)


@cache
def warn_of_crowding(workers: int | None) -> None:
    """Say once if so many workers do not fit this machine.

    Args:
        workers: How many are asked for; None for as many as fit.
    """
    if workers is None or workers == 1:
        return
    if words := crowding(workers, usable_cores(), cpu_quota(), free_memory_gib()):
        console.print(f"WARNING: {words}", soft_wrap=True)


def collect_with_bar(configs: "Sequence[CollectionConfig]") -> "list[Collected]":
    """Collect demonstrations under a progress bar; return what became of each task."""
    from harness.demonstrations.collection import collect

    warn_of_versions()
    total = sum(config.demos * len(config.tasks or ()) for config in configs)
    kept = tried = 0
    warn_of_crowding(max(config.workers for config in configs))
    with progress_bar("Collecting demos", total, "demo") as bar:

        def show(task: "Task", attempt: "Attempt") -> None:
            nonlocal kept, tried
            tried, kept = tried + 1, kept + attempt.kept
            bar.at(kept, note=f"kept {kept} of {tried} attempts; {task.suite} {task.index}")

        collected = collect(configs, show)
        bar.at(total)
    return collected


def train_with_bar(config: "TrainingConfig") -> Path:
    """Train under a progress bar; return the checkpoint's folder."""
    warn_of_crowding(config.eval_workers)
    with progress_bar("Training", config.updates, "update") as bar:
        # Importing torch takes seconds, so the bar is there first.
        from harness.training_evaluation import SimulationEvaluator
        from training.trainer import train

        def show(status: "TrainingStatus") -> None:
            bar.at(status.update, note=training_note(status), rate=status.rate)

        begun: list[TrainingStart] = []

        def report(start: "TrainingStart") -> None:
            begun.append(start)
            for line in start_lines(start, config.loss):
                console.print(line)

        def judging(update: int, status: "EvaluationStatus") -> None:
            done = f"{status.done}/{status.total} episodes"
            bar.at(update, note=f"judging update {update}: {done}, {status}")

        evaluator = SimulationEvaluator(config, judging, _say) if config.eval_every else None
        try:
            checkpoint = train(config, show, report, evaluator)
        except (KeyboardInterrupt, SystemExit):
            if begun:  # in the main process, which alone is told of its start
                _say(_newest_checkpoint(config))
            raise
        bar.at(config.updates)
    return checkpoint


def training_note(status: "TrainingStatus") -> str:
    """Return the note behind the bar."""
    parts = [
        f"loss {status.loss:.4f}",
        f"grad {status.gradient_norm:.2g}",
        f"lr {status.learning_rate:.1e}",
        f"{status.samples_per_s:.0f} samples/s",
        f"data {status.data_wait:.0%}",
    ]
    if status.sampled is not None:
        parts.append(f"sampled {status.sampled.overall:.4f}")
    if status.evaluation is not None and (result := status.evaluation.result) is not None:
        best = ", best" if status.evaluation.best else ""
        parts.append(f"success {result.overall} at update {status.evaluation.update}{best}")
    return ", ".join(parts)


def start_lines(start: "TrainingStart", loss: str) -> Iterator[RenderableType]:
    """Return what is to be said before the first update.

    Args:
        start: Of the run.
        loss: Name of the loss; weights are shown where it has some.
    """
    held_out = f", {start.held_out} held out" if start.held_out else ""
    all_weights = start.all_weights / 1e6
    frozen = f" of {all_weights:.2f} M" if start.weights < start.all_weights else ""
    yield (
        f"{start.demos} demonstrations{held_out}, {start.windows:,} windows; "
        f"{start.weights / 1e6:.2f} M{frozen} weights on {start.device}; {start.samples} windows "
        f"per update ({start.processes} process{'es' if start.processes > 1 else ''} × "
        f"{start.passes} pass{'es' if start.passes > 1 else ''})"
        + (f"; going on from update {start.update}" if start.update else "")
    )
    yield from start.notes
    if loss != "plain":
        yield weights_table(start)


def weights_table(start: "TrainingStart") -> Table:
    """Return the weights of the loss as a table."""
    table = Table("slot", "what", box=None, pad_edge=False, title_justify="left")
    table.title = "Weights of the loss; 1 is that of a slot in the plain mean over 128"
    for name in ("std", "weight"):
        table.add_column(name, justify="right")
    for row in start.loss_weights:
        table.add_row(str(row["slot"]), str(row["what"]), f"{row['std']:.4g}", f"{row['weight']}")
    return table


def _newest_checkpoint(config: "TrainingConfig") -> str:
    from training.run_folder import RunFolder

    checkpoints = RunFolder(config.out).checkpoints
    there = checkpoints.updates
    return f"Saved: {checkpoints.path(there[-1])}" if there else "No checkpoint was saved yet."


def best_checkpoint(config: "TrainingConfig") -> Path | None:
    """Return the checkpoint of a run that success or the sampled error chose, if there is one."""
    from training.checkpoint_manager import BEST
    from training.run_folder import RunFolder

    checkpoints = RunFolder(config.out).checkpoints
    return None if checkpoints.best is None else checkpoints.folder / BEST


def _say(words: str) -> None:
    console.print(f"  {words}", soft_wrap=True)


def evaluate_with_bars(configs: "Sequence[EvaluationConfig]") -> list[Path]:
    """Evaluate one policy, loaded once, under a progress bar for each run; return their folders.

    Args:
        configs: The runs, with the same policy.
    """
    from harness.evaluation.plan import plan_runs

    return _execute_with_bars(configs[0].workers, lambda: plan_runs(configs))


def sweep_with_bars(
    config: "EvaluationConfig", exec_horizons: Sequence[int], fusions: "Sequence[Fusion]"
) -> list[Path]:
    """Evaluate every combination, a progress bar for each; return the runs' folders.

    Args:
        config: What is common to all.
        exec_horizons: Steps executed per plan; none for the policy's own.
        fusions: How overlapping plans are fused.
    """
    from harness.evaluation.plan import plan_sweep

    return _execute_with_bars(config.workers, lambda: plan_sweep(config, exec_horizons, fusions))


def _execute_with_bars(
    workers: int | None, make_plans: "Callable[[], list[EvaluationPlan]]"
) -> list[Path]:
    from harness.evaluation.run import execute

    warn_of_versions()
    warn_of_crowding(workers)
    with console.status("Loading the policy", spinner="line"):
        plans = make_plans()
    if plans[0].note:  # the same for all
        _say(plans[0].note)
    folders = []
    for plan in plans:
        with _evaluation_bar(plan.config) as show:
            folders.append(execute(plan, progress=show))
    return folders


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
