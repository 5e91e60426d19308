"""How a training run looks in the terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table

if TYPE_CHECKING:
    from training.progress import TrainingStart, TrainingStatus


def describe(status: "TrainingStatus") -> str:
    """Return the words behind the bar."""
    words = [
        f"loss {status.loss:.4f}",
        f"grad {status.gradient_norm:.2g}",
        f"lr {status.learning_rate:.1e}",
        f"{status.samples_per_s:.0f} samples/s",
        f"data {status.data_wait:.0%}",
    ]
    if status.sampled is not None:
        words.append(f"sampled {status.sampled.overall:.4f}")
    if status.evaluation is not None and (result := status.evaluation.result) is not None:
        best = ", best" if status.evaluation.best else ""
        words.append(f"success {result.overall} at update {status.evaluation.update}{best}")
    return ", ".join(words)


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
