"""The static page: all sections of ``results.report`` and the videos in one folder.

It opens from the file system: no server, nothing fetched from elsewhere, everything escaped.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from results.errors import ResultsError
from results.leaderboard.rows import rows_from_runs
from results.report.episodes import MARKS, matched_episodes, state_maps
from results.report.goals import goal_progress, level
from results.report.overview import overview_of
from results.report.runs import as_text, entries_of, errors_of, load_runs, shared_conditions
from results.report.step_times import steps_charts
from results.report.success import DRAWN_RUNS, horizon_charts, instruction, success_by_task
from results.report.videos import link_videos
from tasks.files import write_text

_TEMPLATES = Path(__file__).parent / "templates"
_PAGE = "index.html"
_SIGNATURE = "Made by libero-bench"


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
    _refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    clips = link_videos(folder, loaded)
    anchors = {(clip.run.index, clip.number): clip.anchor for clip in clips}
    recorded = sum(bool(record.video) for run in loaded for record in run.records)
    rows = rows_from_runs([run.loaded for run in loaded])
    html = _template().render(
        title=title,
        recipe=recipe,
        signature=_SIGNATURE,
        marks=MARKS,
        rows=rows,
        overview=overview_of(rows),
        horizons=horizon_charts(rows),
        suites=success_by_task(loaded),
        drawn_runs=DRAWN_RUNS,
        maps=state_maps(loaded, anchors),
        steps=steps_charts(loaded),
        goals=goal_progress(loaded),
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


def _refuse_foreign(folder: Path) -> None:
    """Refuse to replace a page that this program did not write."""
    if folder.exists() and not folder.is_dir():
        raise ResultsError(f"'{folder}' is a file: give a folder for the page.")
    page = folder / _PAGE
    if page.is_file() and _SIGNATURE not in page.read_text(encoding="utf-8", errors="replace"):
        raise ResultsError(
            f"'{page}' was not made by libero-bench and would be lost: give another folder."
        )


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"instruction": instruction, "as_text": as_text}
    return environment.get_template("page.html.j2")
