"""A study's pictures: effects as a forest plot, success by horizon, curves of the trainings."""

from collections.abc import Sequence
from itertools import pairwise
from math import log2

from markupsafe import Markup

from results.report.drawing import Chart, Drawing, colour, legend
from results.statistics.seeds import Effect
from results.studies.analysis import ClaimRow, EffectRow, RateRow
from results.studies.curves import Curve

_ROW, _LEFT, _RIGHT = 26.0, 30.0, 98.0
_HEIGHT, _TOP, _BOTTOM = 240.0, 10.0, 44.0
_APART = 1.4
_BAND = 6.0


def forest_plots(base: str, effects: Sequence[EffectRow]) -> list[Chart]:
    """Draw a forest plot of all arms for each execution horizon.

    Args:
        base: The arm that others are compared with.
        effects: Rows of ``effect_rows``.
    """
    horizons = sorted({row.exec_horizon for row in effects}, reverse=True)
    charts = []
    for horizon in horizons:
        rows = [row for row in effects if row.exec_horizon == horizon]
        title = f"Difference from {base} at exec_horizon {horizon}, points"
        labelled = [(row.arm, row.effect, row.varies) for row in rows]
        charts.append(Chart(title=title, picture=_forest(title, labelled, [])))
    return charts


def claims_plot(claims: Sequence[ClaimRow]) -> Chart | None:
    """Draw the effects that claims are about, with the smallest effects that matter.

    Args:
        claims: Rows of ``claim_rows``.
    """
    tested = [row for row in claims if row.effect is not None]
    if not tested:
        return None
    title = "Claims: B less A, points; the tick is the smallest effect that matters"
    labelled = [
        (row.claim.name, row.effect, row.verdict == "undecided")
        for row in tested
        if row.effect is not None
    ]
    marks = [row.claim.smallest for row in tested]
    return Chart(title=title, picture=_forest(title, labelled, marks))


def _forest(
    title: str, rows: Sequence[tuple[str, Effect, bool]], smallest: Sequence[float]
) -> Markup:
    """Draw effects with their intervals; hollow marks are those that are in doubt."""
    said = "; ".join(f"{label}: {about_effect(effect)}" for label, effect, _ in rows)
    drawing = Drawing(_ROW * len(rows) + 24, f"{title}. {said}")

    def x_of(effect: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (effect + 1.0) / 2.0

    for tick in (-100, -50, 0, 50, 100):
        x = x_of(tick / 100)
        drawing.line((x, 0), (x, _ROW * len(rows)), "axis" if tick == 0 else "grid")
        drawing.text(x, _ROW * len(rows) + 16, f"{tick:+d}" if tick else "0")
    for number, (label, effect, doubtful) in enumerate(rows):
        y = _ROW * (number + 0.5)
        low, high = effect.interval()
        drawing.text(_LEFT - 1.5, y + 4, label, anchor="end")
        drawing.line((x_of(low), y), (x_of(high), y), f"line {colour(0)}")
        for end in (low, high):
            drawing.line((x_of(end), y - 4), (x_of(end), y + 4), f"line {colour(0)}")
        if smallest:
            x = x_of(smallest[number])
            drawing.line((x, y - 9), (x, y + 9), f"line {colour(1)}")
        drawing.mark(
            x_of(effect.estimate), y, 0, hollow=doubtful, about=f"{label}: {about_effect(effect)}"
        )
    return drawing.markup()


def about_effect(effect: Effect) -> str:
    """Return an effect in words, in points."""
    low, high = effect.interval()
    return f"{100 * effect.estimate:+.1f} ({100 * low:+.0f} to {100 * high:+.0f})"


def horizon_charts(base: str, rates: Sequence[RateRow]) -> list[Chart]:
    """Draw success by execution horizon, each arm beside the base.

    Args:
        base: The arm that others are compared with.
        rates: Rows of ``rate_rows``.
    """
    arms = list(dict.fromkeys(row.arm for row in rates))
    lines = {
        arm: sorted(
            (row for row in rates if row.arm == arm and row.rates is not None),
            key=lambda row: row.exec_horizon,
        )
        for arm in arms
    }
    charts = []
    for arm in arms:
        shown = [name for name in dict.fromkeys((base, arm)) if lines[name]]
        if arm in shown and (arm != base or len(arms) == 1):
            picture = _rates_chart(arm, {name: lines[name] for name in shown})
            charts.append(Chart(title=arm, picture=picture, legend=legend(shown)))
    return charts


def _rates_chart(title: str, lines: dict[str, list[RateRow]]) -> Markup:
    horizons = sorted({row.exec_horizon for rows in lines.values() for row in rows})
    first, last = log2(horizons[0]), log2(horizons[-1])
    left, right = 9.0, 96.0

    def x_of(horizon: int) -> float:
        share = (log2(horizon) - first) / (last - first) if last > first else 0.5
        return left + 8.0 + (right - left - 16.0) * share

    drawing = Drawing(_HEIGHT, f"Success by execution horizon: {title}")
    for tick in (0, 25, 50, 75, 100):
        drawing.line((left, _y(tick / 100)), (right, _y(tick / 100)), "grid")
        drawing.text(left - 1.5, _y(tick / 100) + 4, str(tick), anchor="end")
    for horizon in horizons:
        drawing.text(x_of(horizon), _HEIGHT - 26, str(horizon))
    drawing.text((left + right) / 2, _HEIGHT - 5, "exec_horizon, control steps", "soft")
    for style, (name, rows) in enumerate(lines.items()):
        shift = _APART * (style - (len(lines) - 1) / 2)
        at = [x_of(row.exec_horizon) + shift for row in rows]
        heights = [_y(row.rates.rate) if row.rates else 0.0 for row in rows]
        for (x1, y1), (x2, y2) in pairwise(zip(at, heights, strict=True)):
            drawing.line((x1, y1), (x2, y2), f"line {colour(style)}")
        for x, y, row in zip(at, heights, rows, strict=True):
            if row.interval is not None and row.rates is not None:
                drawing.whisker(x, _y(row.interval.low), _y(row.interval.high), style)
                drawing.mark(x, y, style, about=f"{name}, {row.exec_horizon}: {_about(row)}")
    return drawing.markup()


def _about(row: RateRow) -> str:
    assert row.rates is not None
    assert row.interval is not None
    low, high = row.interval
    return (
        f"{100 * row.rates.rate:.1f} % ({100 * low:.0f}–{100 * high:.0f}), {row.rates.seeds} seeds"
    )


def _y(rate: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1.0 - rate)


def curve_charts(curves: Sequence[Curve]) -> list[Chart]:
    """Draw a quantity of the trainings over their updates, an arm a chart, a line a seed.

    Args:
        curves: The curves of all arms; all charts share one logarithmic axis.
    """
    values = [value for curve in curves for line in curve.lines for _, value in line if value > 0]
    if not values:
        return []
    low, high = log2(min(values)), log2(max(values))

    def y_of(value: float) -> float:
        share = (log2(value) - low) / (high - low) if high > low else 0.5
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1.0 - share)

    charts = []
    for curve in curves:
        last = max((update for line in curve.lines for update, _ in line), default=0)
        drawing = Drawing(_HEIGHT, f"{curve.name} of {curve.arm} over updates")
        for value in (2**low, 2 ** ((low + high) / 2), 2**high):
            drawing.line((12, y_of(value)), (96, y_of(value)), "grid")
            drawing.text(11, y_of(value) + 4, f"{value:.2g}", anchor="end")
        drawing.text(12, _HEIGHT - 26, "0")
        drawing.text(96, _HEIGHT - 26, str(last))
        drawing.text(54, _HEIGHT - 5, "updates", "soft")
        for style, line in enumerate(curve.lines):
            points = [(12 + 84 * u / max(last, 1), y_of(v)) for u, v in line if v > 0]
            for start, end in pairwise(points):
                drawing.line(start, end, f"line {colour(style)}")
        charts.append(Chart(title=f"{curve.arm}: {curve.name}", picture=drawing.markup()))
    return charts
