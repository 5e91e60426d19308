"""The runs of a page: distinct names, settings, differences, and their videos.

Videos are linked into the page's folder, so that the folder can be moved.
"""

import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from results.differences import RunConditions, conditions_of, flatten
from results.folder import link_file, load_run
from results.records import EpisodeRecord, RunInfo, RunRecords
from results.run_names import distinct_names


@dataclass(frozen=True, kw_only=True)
class ReportRun:
    """A run on the page."""

    index: int
    """Its position on the page, from 0."""

    folder: Path
    """The run folder."""

    info: RunInfo
    """The content of ``run.json``."""

    records: tuple[EpisodeRecord, ...]
    """The last attempt of each episode."""

    name: str
    """The run's name, made longer where another run of the page has the same."""

    @property
    def loaded(self) -> RunRecords:
        """The run as ``load_run`` returns it, under its name on the page."""
        return dataclasses.replace(self.info, name=self.name), self.records

    def of_suite(self, suite: str) -> list[EpisodeRecord]:
        """Return the episodes of a suite."""
        return [record for record in self.records if record.suite == suite]


def load_runs(folders: Sequence[Path]) -> list[ReportRun]:
    """Read the runs of a page.

    Args:
        folders: Run folders, finished or not.

    Returns:
        The runs, complete ones first and among them the best first.

    Raises:
        ResultsError: One cannot be read.
    """
    loaded = [(folder, *load_run(folder)) for folder in folders]
    loaded.sort(key=lambda run: _merit(run[1], run[2]), reverse=True)
    names = distinct_names([info for _, info, _ in loaded], [folder for folder, _, _ in loaded])
    return [
        ReportRun(index=index, folder=folder, info=info, records=tuple(records), name=name)
        for index, ((folder, info, records), name) in enumerate(zip(loaded, names, strict=True))
    ]


def suites_of(runs: Sequence[ReportRun]) -> list[str]:
    """Return the suites of all runs, each once, in the order of their first run."""
    return list(dict.fromkeys(suite for run in runs for suite in run.info.suites))


def tasks_of(runs: Sequence[ReportRun], suite: str) -> list[int]:
    """Return the tasks of a suite that any run was asked for, in ascending order."""
    return sorted({task for run in runs for task in run.info.tasks.get(suite, ())})


def task_names(runs: Sequence[ReportRun]) -> dict[tuple[str, int], str]:
    """Return the name of each task that was tried, by suite and index."""
    return {(record.suite, record.task): record.task_name for run in runs for record in run.records}


def _merit(info: RunInfo, records: Sequence[EpisodeRecord]) -> tuple[bool, float]:
    outcomes = Counter(record.outcome for record in records)
    counted = outcomes["success"] + outcomes["failure"]
    rate = outcomes["success"] / counted if counted else 0.0
    return counted >= info.expected_episodes, rate


_PARTS = ("policy", "protocol", "demos", "config", "provenance")


def entries_of(info: RunInfo) -> dict[str, str]:
    """Return the facts about a run as text, by dotted names."""
    entries = {name: as_text(value) for name, value in flatten(info, _PARTS).items()}
    for again in info.resumed:
        entries[f"resumed.{again.at.isoformat()}"] = as_text(again.changed or "same provenance")
    return entries


def as_text(value: Any) -> str:
    """Write a value as it stands in a run; None gives no text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def errors_of(run: ReportRun) -> list[str]:
    """Return a line for each broken episode, with its error."""
    return [
        f"{r.suite} task {r.task}, init state {r.init_state}, seed {r.seed}, "
        f"attempt {r.attempt}: {r.error}"
        for r in run.records
        if r.outcome == "error"
    ]


def shared_conditions(runs: Sequence[ReportRun]) -> RunConditions:
    """Compare the conditions under which the runs were made."""
    infos = [run.info for run in runs]
    if any(info.tasks != infos[0].tasks for info in infos):
        # Other tasks have other initial states, as they must.
        infos = [_without_init_states(info) for info in infos]
    return conditions_of(infos, [run.name for run in runs])


def _without_init_states(info: RunInfo) -> RunInfo:
    provenance = {name: value for name, value in info.provenance.items() if name != "init_states"}
    return dataclasses.replace(info, provenance=provenance)


@dataclass(frozen=True, kw_only=True)
class Video:
    """One video on the page."""

    run: ReportRun
    """The run it is of."""

    number: int
    """Position of the episode among the run's records."""

    record: EpisodeRecord
    """The episode it shows."""

    source: str
    """Its address relative to the page, quoted."""

    @property
    def anchor(self) -> str:
        """Its identifier in the page."""
        return f"v{self.run.index}-{self.number}"


def link_videos(folder: Path, runs: Sequence[ReportRun]) -> list[Video]:
    """Bring the videos of all runs within the page's reach.

    Videos below ``folder`` stay where they are; others are hard-linked into ``folder/videos``,
    or copied where that is not possible.

    Args:
        folder: Where ``index.html`` goes.
        runs: The runs; videos whose file is missing are left out.

    Returns:
        The videos, run by run, by task and initial state.
    """
    clips = [
        Video(
            run=run,
            number=number,
            record=record,
            source=quote(_reachable(folder, run.folder, record.video).as_posix()),
        )
        for run in runs
        for number, record in enumerate(run.records)
        if record.video is not None and (run.folder / record.video).is_file()
    ]
    return sorted(clips, key=lambda clip: (clip.run.index, clip.record.key))


def _reachable(folder: Path, run: Path, video: str) -> Path:
    """Return the video's path relative to the page, linking it into the folder if need be."""
    source, page = (run / video).resolve(), folder.resolve()
    if source.is_relative_to(page):
        return source.relative_to(page)
    # Two runs may have the same folder name; the digest of the whole path tells them apart.
    digest = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:6]
    name = re.sub(r"[^\w.-]+", "-", video.removeprefix("videos/"))
    target = page / "videos" / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', run.name)}-{digest}" / name
    link_file(source, target)
    return target.relative_to(page)
