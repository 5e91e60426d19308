"""A study's page: verdicts, effects, rates, trainings and videos in one file without a server."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from urllib.parse import quote

from results.report.page import SIGNATURE, page_template, refuse_foreign
from results.studies.charts import (
    claims_plot,
    curve_charts,
    forest_plots,
    horizon_charts,
)
from results.studies.curves import error_curves, loss_curves
from results.studies.measurements import Measurement
from results.studies.records import plain_changes
from results.studies.rendering import StudyTables, claim_lines, error_lines, rate_lines
from tasks.files import write_text

_PAGE = "index.html"


@dataclass(frozen=True, kw_only=True)
class Flips:
    """How the episodes of an arm end beside those of the base, over the seeds that both have.

    Attributes:
        arm: Name of the arm.
        exec_horizon: Control steps executed per plan.
        only_b: Successes of the arm alone.
        only_a: Successes of the base alone.
        both: Successes of both.
        neither: Failures of both.
    """

    arm: str
    exec_horizon: int
    only_b: int
    only_a: int
    both: int
    neither: int


@dataclass(frozen=True, kw_only=True)
class StudyClip:
    """A video of an episode.

    Attributes:
        title: Arm, horizon and outcome.
        source: Where it is, relative to the page.
    """

    title: str
    source: str


def write_study_page(folder: Path, tables: StudyTables) -> Path:
    """Write ``index.html`` into a study's folder; videos are referred to where they are.

    Args:
        folder: The study's folder.
        tables: Its tables.

    Returns:
        The path of the page.

    Raises:
        ResultsError: The folder has an ``index.html`` of something else.
    """
    refuse_foreign(folder)
    study, base = tables.study, tables.study.arms[0].name
    html = page_template("study.html.j2").render(
        study=study,
        trainings=sum(len(m.seeds) for m in _once(tables)),
        episodes=sum(
            len(episodes) for m in tables.measured.values() for episodes in m.episodes.values()
        ),
        claims=list(zip(tables.claims, claim_lines(tables.claims)[1], strict=True)),
        claims_plot=claims_plot(tables.claims),
        forests=forest_plots(base, tables.effects),
        horizons=horizon_charts(base, tables.rates),
        rates=rate_lines(tables.rates),
        errors=error_lines(tables.errors),
        flips=list(_flips(tables)),
        curves=[
            *curve_charts(loss_curves(tables.logs)),
            *curve_charts(error_curves(tables.logs)),
        ],
        clips=list(_clips(folder, tables)),
        arms=[(arm, plain_changes(arm.changes)) for arm in study.arms],
        settings=dumps(study.settings, indent=2, ensure_ascii=False),
        signature=SIGNATURE,
        made=datetime.now(UTC),
    )
    write_text(folder / _PAGE, html)
    return folder / _PAGE


def _once(tables: StudyTables) -> Iterator[Measurement]:
    """Yield a measurement of each arm: at its first horizon."""
    for arm in tables.study.arms:
        yield tables.measured[arm.name, arm.exec_horizons[0]]


def _flips(tables: StudyTables) -> Iterator[Flips]:
    base = tables.study.arms[0].name
    for (arm, horizon), measurement in tables.measured.items():
        reference = tables.measured.get((base, horizon))
        if arm == base or reference is None:
            continue
        counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
        for seed in measurement.seeds:
            for key, record in measurement.episodes[seed].items():
                other = reference.episodes.get(seed, {}).get(key)
                if other is not None:
                    counts[other.outcome == "success", record.outcome == "success"] += 1
        if sum(counts.values()):
            yield Flips(
                arm=arm,
                exec_horizon=horizon,
                only_b=counts[False, True],
                only_a=counts[True, False],
                both=counts[True, True],
                neither=counts[False, False],
            )


def _clips(folder: Path, tables: StudyTables) -> Iterator[StudyClip]:
    """Yield, of each arm and horizon, the first success and the first failure with a video."""
    for (arm, horizon), measurement in tables.measured.items():
        for outcome in ("success", "failure"):
            for seed, run in measurement.runs.items():
                videos = [
                    run / record.video
                    for record in measurement.episodes[seed].values()
                    if record.outcome == outcome and record.video
                ]
                there = next((video for video in videos if video.is_file()), None)
                if there is not None:
                    source = Path(os.path.relpath(there, folder)).as_posix()
                    title = f"{arm}, exec_horizon {horizon}, seed {seed}: {outcome}"
                    yield StudyClip(title=title, source=quote(source))
                    break
