"""What long work shows in the terminal: bars with a rate and the time left."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 120)
"""Progress and messages go to standard error; standard output is for results."""


@contextmanager
def progress_bar(what: str, total: int | None, unit: str) -> Iterator["Bar"]:
    """Show a bar while the block runs.

    Args:
        what: Words before the bar.
        total: Steps in all; None while that is not known.
        unit: What a step is, for the rate.
    """
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=2,
    )
    with progress:
        task = progress.add_task(what, total=total, rate="", note="")
        yield Bar(progress, task, unit)


class Bar:
    """A running bar."""

    def __init__(self, progress: Progress, task: TaskID, unit: str) -> None:
        self._progress, self._task, self._unit = progress, task, unit

    def at(
        self, done: int, *, note: str = "", rate: float | None = None, total: int | None = None
    ) -> None:
        """Move the bar.

        Args:
            done: Steps done.
            note: Words behind the bar.
            rate: Steps per second, if known.
            total: Steps in all, if it was not known before.
        """
        if total is not None:
            self._progress.update(self._task, total=total)
        shown = "" if rate is None else f"{rate:.2f} {self._unit}/s"
        self._progress.update(self._task, completed=done, note=note, rate=shown)
