"""Perturbations on the page: bars beside the unperturbed tasks, curves, failures to watch."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from results.records import EpisodeRecord
from results.report.curves import CurvePoint, described, draw_curves, in_words
from results.report.drawing import Chart, Drawing, axis, legend, rulers
from results.report.runs import ReportRun, Video
from results.robustness.dimensions import PerturbedRow, by_dimension, perturbed_rows
from results.robustness.doses import DoseCurve, dose_curves
from results.robustness.episodes import is_perturbed, policy_of
from results.robustness.paraphrases import by_distance
from results.statistics.clusters import ClusteredRate

_BAR = 20.0
_LEFT, _RIGHT = 1.0, 97.0
_TICKS = (0, 25, 50, 75, 100)


@dataclass(frozen=True, kw_only=True)
class DimensionBar:
    """A rate as a bar, its interval on it."""

    name: str
    """The dimension, or ``unperturbed``."""

    counts: str
    """Rate and k/n in words."""

    picture: Markup
    """The bar."""


@dataclass(frozen=True, kw_only=True)
class DimensionChart:
    """One policy on perturbed tasks."""

    row: PerturbedRow
    """The numbers."""

    bars: tuple[DimensionBar, ...]
    """The unperturbed tasks, if they were run, then a bar for each dimension."""

    axis: Markup
    """The numbers under the bars."""


@dataclass(frozen=True, kw_only=True)
class FailureToWatch:
    """A failure in a dimension, or how to film one."""

    label: str
    """The policy's name."""

    suite: str
    """The suite."""

    dimension: str
    """The dimension."""

    record: EpisodeRecord
    """The episode."""

    clip: Video | None
    """Its video; None if no failure of the dimension was filmed."""

    command: str
    """Options of ``eval`` that film it."""


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """The section; empty where nothing is perturbed."""

    charts: tuple[DimensionChart, ...]
    """A chart for each policy and suite."""

    doses: tuple[Chart, ...]
    """Dose–response curves."""

    distances: tuple[Chart, ...]
    """Success by the distance of other words."""

    failures: tuple[FailureToWatch, ...]
    """For each dimension with failures one of them, filmed if there is such."""


def robustness_of(runs: Sequence[ReportRun], clips: Sequence[Video]) -> Robustness:
    """Lay out what perturbations did to the policies of a page.

    Args:
        runs: The runs, perturbed or not.
        clips: The videos on the page.
    """
    loaded = [(run.info, run.records) for run in runs]
    return Robustness(
        charts=tuple(map(_dimension_chart, perturbed_rows(loaded))),
        doses=tuple(_dose_charts(dose_curves(loaded))),
        distances=tuple(_distance_charts(runs)),
        failures=tuple(_failures(runs, clips)),
    )


def _dimension_chart(row: PerturbedRow) -> DimensionChart:
    rates = dict(row.dimensions)
    bars = [_bar(name, rate, row.unperturbed, "c1") for name, rate in rates.items()]
    if row.unperturbed is not None:
        bars.insert(0, _bar("unperturbed", row.unperturbed, None, "c0"))
    return DimensionChart(
        row=row,
        bars=tuple(bars),
        axis=axis((_x(per_cent / 100), f"{per_cent} %") for per_cent in _TICKS),
    )


def _bar(
    name: str, rate: ClusteredRate, unperturbed: ClusteredRate | None, kind: str
) -> DimensionBar:
    counts = f"{100 * rate.rate:.1f} %, {rate.successes}/{rate.episodes}"
    about = f"{name}: {counts}, 95 % {100 * rate.low:.0f} to {100 * rate.high:.0f}"
    drawing = Drawing(_BAR, about)
    rulers(drawing, [_x(per_cent / 100) for per_cent in _TICKS])
    drawing.bar(_x(0), 4, _x(rate.rate) - _x(0), _BAR - 8, f"filled {kind}", about)
    if unperturbed is not None:
        at = _x(unperturbed.rate)
        drawing.line((at, 0), (at, _BAR), "median")
    drawing.line((_x(rate.low), _BAR / 2), (_x(rate.high), _BAR / 2), "span")
    for end in (rate.low, rate.high):
        drawing.line((_x(end), _BAR / 2 - 4), (_x(end), _BAR / 2 + 4), "span")
    return DimensionBar(name=name, counts=counts, picture=drawing.markup())


def _x(rate: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * rate


def _dose_charts(curves: Sequence[DoseCurve]) -> list[Chart]:
    """Draw a chart for each suite and number, a line for each policy and setting of the rest."""
    groups: dict[tuple[str, str], list[DoseCurve]] = {}
    for curve in curves:
        groups.setdefault((curve.suite, curve.number), []).append(curve)
    charts = []
    for (suite, number), group in groups.items():
        several = len({curve.others for curve in group}) > 1
        names = [f"{c.label}, {c.others or 'nothing else'}" if several else c.label for c in group]
        points = [[_point(dose.value, dose.rate) for dose in curve.doses] for curve in group]
        values = sorted({dose.value for curve in group for dose in curve.doses})
        title = f"{number}, {suite}"
        charts.append(
            Chart(
                title=title,
                legend=legend(names),
                picture=draw_curves(
                    described(title, names, points),
                    points,
                    axis=group[0].axis,
                    ticks=[(value, f"{value:g}") for value in values],
                ),
            )
        )
    return charts


def _distance_charts(runs: Sequence[ReportRun]) -> list[Chart]:
    """Draw success by the distance of other words: a chart for each suite."""
    lines: dict[str, list[tuple[str, list[CurvePoint]]]] = {}
    for run in runs:
        for suite in run.info.suites:
            bins = by_distance(run.of_suite(suite))
            points = [_point((each.low + each.high) / 2, each.rate) for each in bins]
            if points:
                lines.setdefault(suite, []).append((run.name, points))
    charts = []
    for suite, series in lines.items():
        names = [name for name, _ in series]
        drawn = [points for _, points in series]
        last = max(point.at for points in drawn for point in points) + 0.05
        ticks = [(tenth / 10, f"{tenth / 10:g}") for tenth in range(round(10 * last) + 1)]
        charts.append(
            Chart(
                title=suite,
                legend=legend(names),
                picture=draw_curves(
                    described(f"distance of words, {suite}", names, drawn),
                    drawn,
                    axis="distance of the words from the task's own (PD)",
                    ticks=ticks,
                ),
            )
        )
    return charts


def _point(at: float, rate: ClusteredRate) -> CurvePoint:
    said = in_words(rate.rate, rate.low, rate.high, rate.successes, rate.episodes)
    return CurvePoint(at=at, rate=rate.rate, low=rate.low, high=rate.high, about=f"{at:g}: {said}")


def _failures(runs: Sequence[ReportRun], clips: Sequence[Video]) -> list[FailureToWatch]:
    filmed = {(clip.run.index, clip.number): clip for clip in clips}
    found: dict[tuple[str, str, str], FailureToWatch] = {}
    for run in runs:
        failed = {id(r): n for n, r in enumerate(run.records) if r.outcome == "failure"}
        perturbed = [r for r in run.records if id(r) in failed and is_perturbed(r)]
        for dimension, records in by_dimension(perturbed).items():
            with_clips = [(r, filmed.get((run.index, failed[id(r)]))) for r in records]
            record, clip = next((pair for pair in with_clips if pair[1]), with_clips[0])
            key = policy_of(run.info), record.suite, dimension
            if key not in found or (clip is not None and found[key].clip is None):
                found[key] = FailureToWatch(
                    label=run.name,
                    suite=record.suite,
                    dimension=dimension,
                    record=record,
                    clip=clip,
                    command=_film(run, record),
                )
    return list(found.values())


def _film(run: ReportRun, record: EpisodeRecord) -> str:
    """Return the options of ``eval`` that film an episode again."""
    settings = run.info.config
    words = ["--suite", str(settings.get("suite", record.suite))]
    told = str(settings.get("instructions") or "")
    task = record.task
    if told.endswith(".csv"):
        words += ["--instructions", told, "--tasks", record.base_task or "all"]
    else:
        words += ["--tasks", str(task), "--init-states", str(record.init_state)]
    if run.info.config.get("perturb"):
        words += ["--perturb", str(run.info.config["perturb"])]
    return shlex.join([*words, "--record", "1"])
