"""A comparison as a table for the terminal, Markdown, CSV and JSON."""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from results.comparison.comparison import ComparedRun, Comparison
from results.comparison.layout import INDENT, Paragraph, blocks_of
from results.comparison.pairs import Flip, PairComparison
from results.formatting import (
    Format,
    check_format,
    csv_table,
    json_text,
    markdown_cell,
    markdown_table,
    plain_text,
    visible,
)

if TYPE_CHECKING:
    from rich.console import Console


def render_comparison(
    comparisons: Sequence[Comparison], format: Format = "table", *, flips: int | None = None
) -> str:
    """Write comparisons as text.

    Args:
        comparisons: What ``compare_runs`` returns.
        format: ``table`` (for a terminal, plain), ``markdown``, ``csv`` or ``json``.
        flips: How many flipped episodes people are shown; all by default. CSV has a line for each
            pair and task and no flips, JSON has all.

    Returns:
        The text, ending in a newline.

    Raises:
        ResultsError: The format is unknown.
    """
    check_format(format)
    if format == "json":
        return json_text(comparison_values(comparisons))
    if format == "csv":
        return _csv(comparisons)
    if format == "markdown":
        return _markdown(comparisons, flips)
    return plain_text(lambda console: print_comparison(comparisons, console, flips=flips))


def print_comparison(
    comparisons: Sequence[Comparison], console: "Console", *, flips: int | None = None
) -> None:
    """Show comparisons in a terminal.

    Args:
        comparisons: What ``compare_runs`` returns.
        console: Where to.
        flips: How many flipped episodes are shown; all by default.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    for block in chain.from_iterable(blocks_of(comparison, flips) for comparison in comparisons):
        if isinstance(block, Paragraph):
            # Text, not markup: a run's name may hold square brackets. Paths stay in one piece.
            style = "bold yellow" if block.strong else ""
            console.print(Text(visible("\n".join(block.lines)) + "\n", style=style), soft_wrap=True)
            continue
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", title_justify="left")
        table.title = Text(visible(block.title), style="bold") if block.title else None
        for name, right in zip(block.header, block.right, strict=True):
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for line in block.lines:
            table.add_row(*(Text(visible(cell)) for cell in line))
        console.print(table)


def comparison_values(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return comparisons for machines: every number, every flip, nothing rounded."""
    return [
        {
            "suite": comparison.suite,
            "tasks": {str(task): name for task, name in comparison.task_names.items()},
            "episodes": len(comparison.keys),
            "warnings": list(comparison.warnings),
            "differing": {s.name: list(s.values) for s in comparison.conditions.settings},
            "runs": [_run_values(run, len(comparison.keys)) for run in comparison.runs],
            "pairs": _pairs(comparison),
        }
        for comparison in comparisons
    ]


def _run_values(run: ComparedRun, episodes: int) -> dict[str, Any]:
    return {
        "run": run.tag,
        "label": run.name,
        "folder": str(run.folder),
        "successes": run.successes,
        "rate": run.successes / episodes,
        **run.interval._asdict(),
        "letters": run.letters,
        "successes_by_task": {str(task): wins for task, wins in run.by_task.items()},
        "episodes_left_out": run.others,
        "errors": run.errors,
    }


def _pair_values(pair: PairComparison, runs: Sequence[ComparedRun]) -> dict[str, Any]:
    contrast = pair.contrast
    return {
        "a": runs[contrast.a].tag,
        "b": runs[contrast.b].tag,
        "difference": contrast.counts.difference,
        **pair.interval._asdict(),
        **contrast.counts._asdict(),
        "p": contrast.p,
        "p_holm": contrast.adjusted,
        "told_apart": contrast.different,
        "detectable_difference": pair.detectable,
        "episodes_needed_shared": pair.needed_shared,
        "episodes_needed_independent": pair.needed_independent,
        "tasks": [
            {
                "task": task.task,
                "task_name": task.name,
                "difference": task.counts.difference,
                **task.counts._asdict(),
                "p_holm": task.adjusted,
            }
            for task in pair.tasks
        ],
        "flips": [_flip_values(flip, runs) for flip in pair.flips],
    }


def _flip_values(flip: Flip, runs: Sequence[ComparedRun]) -> dict[str, Any]:
    return {
        **flip.key._asdict(),
        "task_name": flip.task_name,
        "winner": runs[flip.winner].tag,
        "steps": list(flip.steps),
        "videos": [None if video is None else str(video) for video in flip.videos],
    }


def _markdown(comparisons: Sequence[Comparison], flips: int | None) -> str:
    parts = []
    for block in chain.from_iterable(blocks_of(comparison, flips) for comparison in comparisons):
        if isinstance(block, Paragraph):
            parts.append("".join(map(_bullet, block.lines)))
        else:
            title = f"**{block.title}**\n\n" if block.title else ""
            parts.append(title + markdown_table(block.header, block.lines, block.right))
    return "\n".join(parts)


def _bullet(line: str) -> str:
    indent = INDENT if line.startswith(INDENT) else ""
    return f"{indent}- {markdown_cell(line.removeprefix(INDENT))}\n"


def _csv(comparisons: Sequence[Comparison]) -> str:
    lines = []
    for comparison in comparisons:
        for pair in _pairs(comparison):
            tasks = pair.pop("tasks")
            del pair["flips"]
            runs = {"suite": comparison.suite, "a": pair["a"], "b": pair["b"]}
            lines.append({"suite": comparison.suite, "task": "", "task_name": "", **pair})
            lines += [{**runs, **task} for task in tasks]
    return csv_table(list(lines[0]) if lines else ["suite"], lines)


def _pairs(comparison: Comparison) -> list[dict[str, Any]]:
    return [_pair_values(pair, comparison.runs) for pair in comparison.pairs]
