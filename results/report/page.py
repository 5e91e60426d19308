"""The static page: its leaderboard, all sections of ``results.report``, and the videos.

It opens from the file system: no server, nothing fetched from elsewhere, everything escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from results.leaderboard.columns import (
    Column,
    common_cells,
    footnotes,
    interval_header,
    shown_columns,
)
from results.leaderboard.rows import LeaderboardRow, rows_from_runs
from results.records import RunInfo
from results.report.delays import delay_charts
from results.report.episodes import MARKS, matched_episodes, state_maps
from results.report.goals import goal_progress, level
from results.report.robustness import robustness_of
from results.report.runs import (
    as_text,
    entries_of,
    errors_of,
    link_videos,
    load_runs,
    shared_conditions,
)
from results.report.step_times import steps_charts
from results.report.success import DRAWN_RUNS, horizon_charts, instruction, success_by_task
from tasks.errors import ResultsError
from tasks.files import write_text

MOST_TASKS = 100
"""Tasks of a run's suite up to which the page shows each of them."""

_MERGED = ("interval", "notes")
_LOW_FIRST = ("rank", "steps", "steps_to_success", "latency", "errors")


@dataclass(frozen=True, kw_only=True)
class HeaderCell:
    """The head of a column."""

    key: str
    """The column's key, for the style sheet."""

    title: str
    """The text."""

    numeric: bool
    """Whether it is set to the right and sorted by number."""

    low_first: bool
    """Whether the first click sorts upwards: text, and numbers of which less is better."""


@dataclass(frozen=True, kw_only=True)
class OverviewCell:
    """A cell of the table."""

    key: str
    """The column's key."""

    text: str
    """The text; may be empty."""

    value: str
    """The value to sort by; empty sorts last."""

    numeric: bool
    """Whether it is set to the right."""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The leaderboard as the page shows it: the interval and the notes have no columns there."""

    heads: tuple[HeaderCell, ...]
    """The columns."""

    lines: tuple[tuple[LeaderboardRow, tuple[OverviewCell, ...]], ...]
    """The rows with their cells."""

    common: tuple[tuple[str, str], ...]
    """Header and text of columns with the same text in every row."""

    footnotes: tuple[str, ...]
    """Remarks on the statistics."""


def overview_of(rows: Sequence[LeaderboardRow]) -> Overview:
    """Lay out the leaderboard.

    Args:
        rows: Rows of ``rows_from_runs``.
    """
    common = common_cells(rows)
    columns = [column for column in shown_columns(rows) if column.key not in {*_MERGED, *common}]
    interval = f"{interval_header(rows).removesuffix(' interval')} interval"
    heads = tuple(
        HeaderCell(
            key=column.key,
            title=f"{column.header}, {interval}" if column.key == "rate" else column.header,
            numeric=column.numeric,
            low_first=not column.numeric or column.key in _LOW_FIRST,
        )
        for column in columns
    )
    lines = tuple((row, tuple(_cell(column, row) for column in columns)) for row in rows)
    return Overview(
        heads=heads, lines=lines, common=tuple(common.values()), footnotes=tuple(footnotes(rows))
    )


def _cell(column: Column, row: LeaderboardRow) -> OverviewCell:
    text = column.text(row)
    value: str = text
    if column.numeric:
        numbers = list(column.values(row).values()) or column.text(row).split(", ")[:1]
        value = "" if numbers[0] is None else str(numbers[0])
    return OverviewCell(key=column.key, text=text, value=value, numeric=column.numeric)


_TEMPLATES = Path(__file__).parent / "templates"
_PAGE = "index.html"
SIGNATURE = "Made by libero-bench"
"""By which a page of this program is known."""


def write_page(
    folder: Path | str, runs: Sequence[Path | str], *, title: str, recipe: str | None = None
) -> Path:
    """Write the page of some runs.

    Videos below ``folder`` are referred to where they are; others are hard-linked into
    ``folder/videos`` (copied where that is not possible), so that the folder can be moved.

    Args:
        folder: Where ``index.html`` goes; made if it is missing.
        runs: Run folders, finished or not.
        title: Heading of the page.
        recipe: How the numbers were made, such as the commands; shown as it is.

    Returns:
        The path of ``index.html``.

    Raises:
        ResultsError: A run cannot be read, or the folder has an ``index.html`` of something else.
    """
    folder = Path(folder)
    loaded = load_runs([Path(run) for run in runs])
    refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    clips = link_videos(folder, loaded)
    anchors = {(clip.run.index, clip.number): clip.anchor for clip in clips}
    recorded = sum(bool(record.video) for run in loaded for record in run.records)
    rows = rows_from_runs([run.loaded for run in loaded])
    by_task = [run for run in loaded if _has_tasks_to_show(run.info)]
    html = page_template("page.html.j2").render(
        title=title,
        recipe=recipe,
        signature=SIGNATURE,
        marks=MARKS,
        rows=rows,
        overview=overview_of(rows),
        delays=delay_charts([(run.info, run.records) for run in loaded]),
        horizons=horizon_charts(rows),
        robustness=robustness_of(loaded, clips),
        suites=success_by_task(by_task),
        drawn_runs=DRAWN_RUNS,
        maps=state_maps(by_task, anchors),
        steps=steps_charts(loaded),
        goals=goal_progress(by_task),
        level=level,
        clips=clips,
        missing_videos=recorded - len(clips),
        pairs=matched_episodes(loaded, anchors) if len(loaded) > 1 else None,
        runs=[(run, entries_of(run.info), errors_of(run)) for run in loaded],
        conditions=shared_conditions(loaded),
        episodes=sum(len(run.records) for run in loaded),
        made=datetime.now(UTC),
    )
    write_text(folder / _PAGE, html)
    return folder / _PAGE


def _has_tasks_to_show(info: RunInfo) -> bool:
    """Whether tasks are worth a line each; those of LIBERO-Plus, one perturbation each, are not."""
    one_perturbation_each = info.dimensions and info.perturbation is None
    return not one_perturbation_each and max(map(len, info.tasks.values())) <= MOST_TASKS


def refuse_foreign(folder: Path) -> None:
    """Refuse to replace a page that this program did not write."""
    if folder.exists() and not folder.is_dir():
        raise ResultsError(f"'{folder}' is a file: give a folder for the page.")
    page = folder / _PAGE
    if page.is_file() and SIGNATURE not in page.read_text(encoding="utf-8", errors="replace"):
        raise ResultsError(
            f"'{page}' was not made by libero-bench and would be lost: give another folder."
        )


def page_template(name: str) -> Any:
    """Return a template of ``results/report/templates``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"instruction": instruction, "as_text": as_text}
    return environment.get_template(name)
