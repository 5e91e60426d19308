"""A small SVG drawn from percent coordinates.

Horizontal positions are per cent of the width, vertical ones pixels. There is no view box, so a
drawing takes whatever width it is given and its letters keep their size: a phone shows the same
text as a desktop. Everything is escaped by the XML writer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

COLOURS = 6
"""Colours of the style sheet, classes ``c0`` and so on."""

SHAPES = (
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "M-4-4H4V4H-4z",
    "M0-5.6 5.6 0 0 5.6-5.6 0z",
    "M0-5 5 4H-5z",
    "M0 5 5-4H-5z",
)
"""Path data of the marks; with ``COLOURS`` it has no common divisor, so that pairs last long."""

Ticks = Iterable[tuple[float, str]]
"""Position in per cent and text of each tick."""


class Drawing:
    """A picture being drawn.

    Args:
        height: Pixels.
        label: What the picture says, for those who do not see it; None for a decoration.
    """

    def __init__(self, height: float, label: str | None = None) -> None:
        role = {"role": "img", "aria-label": label} if label else {"aria-hidden": "true"}
        self._root = Element("svg", {"class": "plot", "height": _number(height), **role})
        self.height = height

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """Draw a line between two positions (per cent, pixels)."""
        (x1, y1), (x2, y2) = start, end
        SubElement(
            self._root,
            "line",
            {"class": kind, "x1": _percent(x1), "y1": _number(y1)}
            | {"x2": _percent(x2), "y2": _number(y2)},
        )

    def bar(
        self, x: float, y: float, width: float, height: float, kind: str, about: str | None = None
    ) -> None:
        """Draw a filled rectangle; ``about`` is shown to a pointer resting on it."""
        position = {"x": _percent(x), "y": _number(y), "width": _percent(width)}
        bar = SubElement(self._root, "rect", {"class": kind, **position, "height": _number(height)})
        _titled(bar, about)

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "middle") -> None:
        """Write at a position; ``anchor`` is ``start``, ``middle`` or ``end``."""
        position = {"x": _percent(x), "y": _number(y), "text-anchor": anchor}
        SubElement(self._root, "text", position | ({"class": kind} if kind else {})).text = text

    def whisker(self, x: float, low: float, high: float, style: int) -> None:
        """Draw an upright interval, ends in pixels."""
        holder = SubElement(
            self._root, "svg", {"x": _percent(x), "overflow": "visible", "class": colour(style)}
        )
        path = f"M0 {_number(low)}V{_number(high)}M-4 {_number(low)}h8M-4 {_number(high)}h8"
        SubElement(holder, "path", {"class": "whisker", "d": path})

    def mark(
        self, x: float, y: float, style: int, *, hollow: bool = False, about: str | None = None
    ) -> None:
        """Draw the mark of a series; colour and shape follow from its number."""
        # A nested picture can stand at per cents, a path cannot.
        holder = SubElement(
            self._root,
            "svg",
            {"x": _percent(x), "y": _number(y), "overflow": "visible", "class": colour(style)},
        )
        kind = "mark hollow" if hollow else "mark"
        mark = SubElement(holder, "path", {"class": kind, "d": SHAPES[style % len(SHAPES)]})
        _titled(mark, about)

    def markup(self) -> Markup:
        """Return the picture as HTML."""
        return Markup(tostring(self._root, encoding="unicode"))


def colour(style: int) -> str:
    """Return the class of a series' colour."""
    return f"c{style % COLOURS}"


def swatch(style: int) -> Markup:
    """Draw the mark of a series for a legend."""
    root = Element(
        "svg", {"class": f"swatch {colour(style)}", "viewBox": "-7 -7 14 14", "aria-hidden": "true"}
    )
    SubElement(root, "path", {"class": "mark", "d": SHAPES[style % len(SHAPES)]})
    return Markup(tostring(root, encoding="unicode"))


def legend(names: Iterable[str]) -> tuple[tuple[Markup, str], ...]:
    """Return the mark and the name of each series, in their order."""
    return tuple((swatch(style), name) for style, name in enumerate(names))


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A picture with its heading and legend."""

    title: str
    """Heading."""

    picture: Markup
    """The drawing."""

    legend: tuple[tuple[Markup, str], ...] = ()
    """Mark and name of each series."""


def axis(ticks: Ticks, *, lines: float = 0.0) -> Markup:
    """Draw a row of numbers under, or over, other drawings of the same width.

    Args:
        ticks: What stands where.
        lines: Length of the tick lines above the numbers, pixels.
    """
    drawing = Drawing(lines + 16)
    for x, text in ticks:
        if lines:
            drawing.line((x, 0), (x, lines), "grid")
        drawing.text(x, lines + 12, text)
    return drawing.markup()


def rulers(drawing: Drawing, positions: Sequence[float]) -> None:
    """Draw upright lines through a drawing at positions in per cent."""
    for x in positions:
        drawing.line((x, 0), (x, drawing.height), "grid")


def _titled(element: Element, about: str | None) -> None:
    if about:
        SubElement(element, "title").text = about


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _percent(value: float) -> str:
    return f"{_number(value)}%"
