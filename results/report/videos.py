"""The videos of a page, linked into its folder so that the folder can be moved."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from results.folder import link_file
from results.records import EpisodeRecord
from results.report.runs import ReportRun


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
    source, home = (run / video).resolve(), folder.resolve()
    if source.is_relative_to(home):
        return source.relative_to(home)
    # Two runs may have the same folder name; the digest of the whole path tells them apart.
    digest = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:6]
    name = re.sub(r"[^\w.-]+", "-", video.removeprefix("videos/"))
    target = home / "videos" / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', run.name)}-{digest}" / name
    link_file(source, target)
    return target.relative_to(home)
