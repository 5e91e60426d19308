"""Progress in the terminal: bars with a rate and the time left."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from harness.streams import READER_GONE, OutputLost, styled_stdout
from results.formatting import visible
from tasks.errors import Finding

TABLE_WIDTH = 120

_STATUSES = {
    **{"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"},
    **{"critical": "bold red", "major": "red", "minor": "yellow", "info": "cyan"},
}
"""Colours of findings."""

_LOOKALIKES = str.maketrans("→–—−×…·²", ">---x~.2")
"""Typographic characters and what stands for them on a terminal without Unicode."""


class VisibleConsole(Console):
    """A console on which foreign text is text: no markup, no emoji, no control characters.

    What is styled is given as ``Text``, or with ``style``.

    Args:
        settings: Of rich's ``Console``.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False} | settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Turn a string into ``Text``, with control characters written out."""
        return super().render_str(visible(text), **settings)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Render, with control characters written out that came another way than as a string."""
        plain = not self.encoding.startswith("utf")
        for segment in super().render(renderable, options):
            text, style, control = segment
            if not control:
                text = visible(text)
                segment = Segment(text.translate(_LOOKALIKES) if plain else text, style)
            yield segment

    def on_broken_pipe(self) -> None:
        """End without a word."""
        raise OutputLost(READER_GONE)


console: Console = VisibleConsole(
    stderr=True, width=TABLE_WIDTH if sys.stderr is None or not sys.stderr.isatty() else None
)
"""Progress and messages go to standard error; standard output is for results."""


def results_console(width: int = TABLE_WIDTH) -> Console:
    """Give a console on standard output.

    Args:
        width: Its columns where that is no terminal; rich would take 80, too few for tables.
    """
    stream = styled_stdout()
    return VisibleConsole(file=stream, width=None if stream.isatty() else width)


def findings_table(
    findings: Iterable[Finding], columns: Mapping[str, str] = {"Found": "detail"}
) -> Table:
    """Return findings as a table, a row each with its fix.

    Args:
        findings: What checks found.
        columns: Attributes of a finding to show, by the heads of their columns.
    """
    table = Table("", "Check", box=None, pad_edge=False)
    for head in columns:
        table.add_column(head, ratio=1 if len(columns) > 1 else None, overflow="fold")
    for finding in findings:
        cells = [Text(visible(getattr(finding, name))) for name in columns.values()]
        _append_line(cells[-1], "Fix", finding.fix)
        table.add_row(_status(finding), finding.name, *cells)
    return table


def reasoned_findings_table(findings: Iterable[Finding]) -> Table:
    """Return findings with their reasons, a line each under the check's name.

    Lines have nearly the width of the table, so that most fixes can be copied whole.
    """
    table = Table("", "Check", box=None, pad_edge=False)
    for finding in findings:
        cell = Text(finding.name, style="bold")
        cell.append(f"\n{visible(finding.detail)}", style="not bold")
        for name in ("expected", "why", "source", "fix"):
            _append_line(cell, name.capitalize(), getattr(finding, name))
        table.add_row(_status(finding), cell.append("\n"))
    return table


def _status(finding: Finding) -> Text:
    return Text(finding.status, style=_STATUSES[finding.status])


def _append_line(cell: Text, name: str, text: str) -> None:
    if text:
        cell.append(f"\n{name}: ", style="bold").append(visible(text), style="not bold")


_LINE_EVERY_S = 30.0


class Progressing(Protocol):
    """Something that shows how far long work has come."""

    def at(
        self,
        done: int,
        *,
        note: str = "",
        rate: float | None = None,
        total: int | None = None,
        left_s: float | None = None,
    ) -> None:
        """Move on.

        Args:
            done: Steps done.
            note: Words behind the bar.
            rate: Steps per second, if known.
            total: Steps in all, if it was not known before.
            left_s: Seconds left, if whoever calls knows better than the steps so far tell.
        """


@contextmanager
def progress_bar(what: str, total: int | None, unit: str) -> Iterator[Progressing]:
    """Show a bar while the block runs; in a log, a line now and then.

    Args:
        what: Words before the bar.
        total: Steps in all; None while that is not known.
        unit: What the rate counts.
    """
    if not console.is_terminal:
        lines = Lines(what, total, unit)
        try:
            yield lines
        finally:
            lines.close()
        return
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        _LeftColumn(),
        console=console,
        refresh_per_second=2,
    )
    with progress:
        task = progress.add_task(visible(what), total=total, rate="", note="", left_s=None)
        yield Bar(progress, task, unit)


class Bar:
    """A running bar."""

    def __init__(self, progress: Progress, task: TaskID, unit: str) -> None:
        self._progress, self._task, self._unit = progress, task, unit

    def at(
        self,
        done: int,
        *,
        note: str = "",
        rate: float | None = None,
        total: int | None = None,
        left_s: float | None = None,
    ) -> None:
        """Move the bar; see ``Progressing``."""
        if total is not None:
            self._progress.update(self._task, total=total)
        shown = _rate(rate, self._unit)
        self._progress.update(
            self._task, completed=done, note=visible(note), rate=shown, left_s=left_s
        )


class Lines:
    """The same for a log: the first state, one every half minute, and the last.

    Args:
        what: Words before the numbers.
        total: Steps in all; None while that is not known.
        unit: What the rate counts.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        unit: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._total, self._unit, self._clock = what, total, unit, clock
        self._begun = clock()
        self._due = self._begun
        self._unsaid: str | None = None

    def at(
        self,
        done: int,
        *,
        note: str = "",
        rate: float | None = None,
        total: int | None = None,
        left_s: float | None = None,
    ) -> None:
        """Say it if it is time to; see ``Progressing``."""
        self._total = self._total if total is None else total
        now = self._clock()
        parts = [f"{done}/{'?' if self._total is None else self._total}", note]
        parts += [_rate(rate, self._unit), f"{_duration(now - self._begun)} elapsed"]
        if left_s is not None:
            parts.append(f"{_duration(left_s)} left")
        self._unsaid = f"{self._what}: {', '.join(part for part in parts if part)}"
        if now >= self._due:
            self._due = now + _LINE_EVERY_S
            self.close()

    def close(self) -> None:
        """Say what was not said yet."""
        if self._unsaid is not None:
            console.print(self._unsaid, soft_wrap=True)
        self._unsaid = None


class _LeftColumn(ProgressColumn):
    """The time left: as whoever works knows it, or by the steps so far."""

    def __init__(self) -> None:
        super().__init__()
        self._by_steps = TimeRemainingColumn()

    def render(self, task: Task) -> Text:
        left = task.fields["left_s"]
        if left is None:
            return self._by_steps.render(task)
        return Text(_duration(left), style="progress.remaining")


def _rate(rate: float | None, unit: str) -> str:
    return "" if rate is None else f"{rate:.2f} {unit}/s"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
