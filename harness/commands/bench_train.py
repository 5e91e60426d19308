"""``libero-bench bench train``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.table import Table

    from harness.benchmarks.training_speed import TrainingFigures


def bench_train_command(
    *,
    demos: Path,
    updates: int = 20,
    batch_size: int = 32,
    repeats: int = 2,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Compare training of rdt-small with a straightforward loop over the same demonstrations.

    The loop trains the same network alike; every sample opens its HDF5 file, as in RDT's own
    loader. Sides take turns, each in a process of its own; what is read before the first update
    does not count as time, but does as memory.

    Parameters
    ----------
    demos
        A demo file, or a folder of them.
    updates
        Updates per turn.
    batch_size
        Windows per update.
    repeats
        Turns of each side.
    json
        Print the figures as JSON.
    """
    from harness.benchmarks.training_speed import BACKENDS, compare_training
    from harness.display import progress_bar
    from tasks.demos.folders import find_demo_files
    from tasks.errors import ConfigError

    if min(updates, batch_size, repeats) < 1:
        raise ConfigError("--updates, --batch-size and --repeats must be at least 1.")
    find_demo_files(demos)
    with progress_bar("Comparing", repeats * len(BACKENDS), "turn") as bar:
        turn = 0

        def report(side: str) -> None:
            nonlocal turn
            bar.at(turn, note=side)
            turn += 1

        found = compare_training(
            demos, updates=updates, batch_size=batch_size, repeats=repeats, report=report
        )
        bar.at(turn)
    if json:
        from dataclasses import asdict
        from json import dumps

        print(dumps([asdict(figures) for figures in found], indent=2))
        return
    from harness.display import results_console

    results_console().print(table(found, batch_size))


def table(found: "list[TrainingFigures]", batch_size: int) -> "Table":
    """Return the figures of both sides as a table."""
    from rich.table import Table

    shown = Table("side", box=None, pad_edge=False, title_justify="left")
    shown.title = f"Training rdt-small, {batch_size} windows per update"
    for name in ("samples/s", "waiting for data", "memory, MB", "GPU memory, MB"):
        shown.add_column(name, justify="right")
    for each in found:
        shown.add_row(
            each.side,
            f"{each.samples_per_s:.1f}",
            f"{each.data_wait:.1%}",
            f"{each.memory_mb:.0f}",
            f"{each.gpu_mb:.0f}" if each.gpu_mb else "–",
        )
    return shown
