"""Success rates with intervals over a number: the lines of several series in one chart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from results.report.drawing import Drawing, colour

HEIGHT = 268
"""Pixels of a chart."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 9.0, 98.0, 12.0, 46.0
_MARGIN = 8.0
_APART = 1.3
_RATES = (0, 25, 50, 75, 100)


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """A rate at a position."""

    at: float
    """The number that the chart is over."""

    rate: float
    """In [0, 1]."""

    low: float
    """Lower end of the interval."""

    high: float
    """Upper end of it."""

    about: str
    """The same in words."""

    hollow: bool = False
    """Whether the mark is hollow, as of incomplete runs."""


def in_words(rate: float, low: float, high: float, successes: int, episodes: int) -> str:
    """Write a rate with its interval, all in [0, 1], and its counts."""
    return f"{100 * rate:.1f} % ({100 * low:.0f}–{100 * high:.0f}), {successes}/{episodes}"


def described(title: str, names: Sequence[str], series: Sequence[Sequence[CurvePoint]]) -> str:
    """Say what a chart shows, for those who do not see it."""
    lines = (
        f"{name}: {', '.join(point.about for point in points)}"
        for name, points in zip(names, series, strict=True)
    )
    return f"Success by {title}. {'; '.join(lines)}"


def draw_curves(
    description: str,
    series: Sequence[Sequence[CurvePoint]],
    *,
    axis: str,
    ticks: Sequence[tuple[float, str]],
    scale: Callable[[float], float] = float,
) -> Markup:
    """Draw a chart.

    Args:
        description: What it shows, for those who do not see it.
        series: The points of each series, in the order of the legend.
        axis: What the numbers are, below them.
        ticks: Numbers and their text; the first and the last are the ends of the axis.
        scale: Maps numbers to what is drawn in equal steps.
    """
    first, last = scale(ticks[0][0]), scale(ticks[-1][0])
    span = _RIGHT - _LEFT - 2 * _MARGIN

    def x_of(number: float) -> float:
        along = (scale(number) - first) / (last - first) if last > first else 0.5
        return _LEFT + _MARGIN + span * along

    def y_of(rate: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1.0 - rate)

    drawing = Drawing(HEIGHT, description)
    for per_cent in _RATES:
        y = y_of(per_cent / 100)
        drawing.line((_LEFT, y), (_RIGHT, y), "grid")
        drawing.text(_LEFT - 1.5, y + 4, str(per_cent), anchor="end")
    for number, text in ticks:
        drawing.text(x_of(number), HEIGHT - 26, text)
    drawing.text((_LEFT + _RIGHT) / 2, HEIGHT - 5, axis, "soft")
    for style, points in enumerate(series):
        # Intervals at the same number stand beside one another.
        shift = _APART * (style - (len(series) - 1) / 2)
        placed = [(x_of(point.at) + shift, y_of(point.rate), point) for point in points]
        for (x1, y1, _), (x2, y2, _) in pairwise(placed):
            drawing.line((x1, y1), (x2, y2), f"line {colour(style)}")
        for x, y, point in placed:
            drawing.whisker(x, y_of(point.low), y_of(point.high), style)
            drawing.mark(x, y, style, hollow=point.hollow, about=point.about)
    return drawing.markup()
