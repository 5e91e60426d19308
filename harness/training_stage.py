"""Training under a progress bar."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table

from harness.display import console, progress_bar
from harness.warnings import warn_of_crowding
from training.checkpoint_manager import BEST
from training.run_folder import RunFolder

if TYPE_CHECKING:
    from harness.evaluation.scheduler import EvaluationStatus
    from training.config import TrainingConfig
    from training.progress import TrainingStart, TrainingStatus


def _say(message: str) -> None:
    console.print(f"  {message}", soft_wrap=True)


def train_with_bar(config: "TrainingConfig") -> Path:
    """Train under a progress bar; return the checkpoint's folder."""
    warn_of_crowding(config.eval_workers)
    with progress_bar("Training", config.updates, "update") as bar:
        # Importing torch takes seconds, so the bar is there first.
        from harness.training_evaluation import SimulationEvaluator
        from training.trainer import train

        def show(status: "TrainingStatus") -> None:
            bar.at(status.update, note=training_note(status), rate=status.rate)

        starts: list[TrainingStart] = []

        def report(start: "TrainingStart") -> None:
            starts.append(start)
            for line in start_lines(start, config.loss):
                console.print(line)

        def show_evaluation(update: int, status: "EvaluationStatus") -> None:
            done = f"{status.done}/{status.total} episodes"
            bar.at(update, note=f"judging update {update}: {done}, {status}")

        evaluator = (
            SimulationEvaluator(config, show_evaluation, _say) if config.eval_every else None
        )
        try:
            checkpoint = train(config, show, report, evaluator)
        except (KeyboardInterrupt, SystemExit):
            if starts:  # in the main process, which alone is told of its start
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
    """Return the lines to print before the first update.

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
    checkpoints = RunFolder(config.out).checkpoints
    updates = checkpoints.updates
    return f"Saved: {checkpoints.path(updates[-1])}" if updates else "No checkpoint was saved yet."


def best_checkpoint(config: "TrainingConfig") -> Path | None:
    """Return the checkpoint of a run that success or the sampled error chose, if there is one."""
    checkpoints = RunFolder(config.out).checkpoints
    return None if checkpoints.best is None else checkpoints.folder / BEST
