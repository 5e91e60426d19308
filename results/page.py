"""The static page: leaderboard, chart, episodes by task and videos in one folder.

It opens from the file system: no server, nothing fetched from elsewhere, everything escaped.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from results.chart import HEIGHT, WIDTH, charts_from_rows
from results.leaderboard import common_cells, footnotes, interval_header, shown_columns
from results.records import EpisodeRecord, RunInfo
from results.rows import Row, rows_by_task, rows_from_runs
from results.store import load_run

_TEMPLATES = Path(__file__).parent / "templates"
_MERGED = ("interval", "notes")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One video on the page."""

    run: str
    """Name of the run."""

    place: int
    """Position of the run among the runs given, for the filter."""

    record: EpisodeRecord
    """The episode it shows."""

    source: str
    """Its address relative to the page, quoted."""

    anchor: str
    """Its identifier in the page."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """The episodes of one run on one task, as small squares."""

    row: Row
    """The numbers of the run on that task."""

    episodes: tuple[tuple[EpisodeRecord, str | None], ...]
    """Each episode with the anchor of its video, by initial state and seed."""


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
        ResultsError: A run cannot be read.
    """
    folder = Path(folder)
    loaded = [(Path(run), *load_run(run)) for run in runs]
    folder.mkdir(parents=True, exist_ok=True)
    clips = [
        clip
        for place, (run, info, records) in enumerate(loaded)
        for clip in _clips(folder, run, place, info, records)
    ]
    plain = [(info, records) for _, info, records in loaded]
    recorded = sum(bool(record.video) for _, records in plain for record in records)
    rows = rows_from_runs(plain)
    common = common_cells(rows)
    hidden = {*_MERGED, *common}
    html = _template().render(
        title=title,
        recipe=recipe,
        rows=rows,
        columns=[column for column in shown_columns(rows) if column.key not in hidden],
        common=list(common.values()),
        interval=interval_header(rows),
        footnotes=footnotes(rows),
        charts=charts_from_rows(rows),
        width=WIDTH,
        height=HEIGHT,
        tasks=_by_task(plain, clips),
        clips=clips,
        missing_videos=recorded - len(clips),
        names=[info.name for info, _ in plain],
        runs=[(info, _entries(info)) for info, _ in plain],
        episodes=sum(len(records) for _, records in plain),
        made=datetime.now(UTC),
    )
    page, draft = folder / "index.html", folder / "index.html.tmp"
    draft.write_text(html, encoding="utf-8")
    draft.replace(page)
    return page


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def _clips(
    folder: Path, run: Path, place: int, info: RunInfo, records: Sequence[EpisodeRecord]
) -> list[Clip]:
    clips = []
    for number, record in enumerate(records):
        if record.video is None or not (run / record.video).is_file():
            continue
        path = _reachable(folder, run, record.video)
        clips.append(
            Clip(
                run=info.name,
                place=place,
                record=record,
                source=quote(path.as_posix()),
                anchor=f"v{place}-{number}",
            )
        )
    return clips


def _reachable(folder: Path, run: Path, video: str) -> Path:
    """Return the video's path relative to the page, linking it into the folder if need be."""
    source, home = (run / video).resolve(), folder.resolve()
    if source.is_relative_to(home):
        return source.relative_to(home)
    # Two runs may have the same folder name; the digest of the whole path tells them apart.
    digest = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:6]
    flat = re.sub(r"[^\w.-]+", "-", video.removeprefix("videos/"))
    target = home / "videos" / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', run.name)}-{digest}" / flat
    if not (target.exists() and target.samefile(source)):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
    return target.relative_to(home)


def _by_task(
    runs: Sequence[tuple[RunInfo, Sequence[EpisodeRecord]]], clips: Sequence[Clip]
) -> list[tuple[str, list[Strip]]]:
    """Return for each task its title and one strip per run, best first."""
    anchors = {(clip.place, clip.record.key): clip.anchor for clip in clips}
    strips: dict[tuple[str, int], list[Strip]] = {}
    # Runs may share a name, so a row is matched with its run by making both one run at a time.
    for place, (info, records) in enumerate(runs):
        for row in rows_by_task([(info, records)]):
            mine = [r for r in records if r.suite == row.suite and r.task in row.tasks]
            mine.sort(key=lambda record: (record.init_state, record.seed))
            episodes = tuple((record, anchors.get((place, record.key))) for record in mine)
            strip = Strip(row=row, episodes=episodes)
            strips.setdefault((row.suite, row.tasks[0]), []).append(strip)
    sections = []
    for (suite, task), group in strips.items():
        group.sort(key=lambda strip: (not strip.row.complete, -(strip.row.rate or 0.0)))
        name = next((s.row.task_name for s in group if s.row.task_name), None)
        sections.append((f"{suite} {task}{f' · {name}' if name else ''}", group))
    return sections


def _entries(info: RunInfo) -> list[tuple[str, str]]:
    """Return what is known of a run as names and text, nested names dotted."""
    parts = {
        "policy": info.policy,
        "protocol": info.protocol,
        "demos": info.demos,
        "config": info.config,
        "provenance": info.provenance,
        "resumed": {
            again.at.isoformat(): again.changed or "same provenance" for again in info.resumed
        },
    }
    entries: list[tuple[str, str]] = []
    stack: list[tuple[str, Any]] = list(reversed(parts.items()))
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            stack += [(f"{name}.{inner}", item) for inner, item in reversed(value.items())]
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            entries.append((name, text))
    return entries
