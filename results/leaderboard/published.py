"""Published results of others, kept apart from the runs of this machine.

Their simulators, protocols, demos and episodes differ and mostly cannot be checked. So they have no
rank and a table of their own, each with its source.
"""

import dataclasses
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from results.statistics.intervals import wilson_interval

if TYPE_CHECKING:
    from rich.table import Table

CAUTION = (
    "Published by others, not run here: simulators, protocols, demos and episodes differ, "
    "so nothing is ranked."
)

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
"""Suites for which numbers are published."""

Percent = Annotated[float, Field(ge=0, le=100)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PublishedResult:
    """One policy's published success rates, in per cent."""

    policy: str
    """Name of the policy."""

    libero_spatial: Percent
    """Rate on libero_spatial."""

    libero_object: Percent
    """Rate on libero_object."""

    libero_goal: Percent
    """Rate on libero_goal."""

    libero_10: Percent
    """Rate on libero_10, also called Long."""

    mean: Percent
    """Mean over the four, as published."""

    source: str
    """Where it is published."""

    url: Annotated[str, Field(pattern="^https://")]
    """Address of the source."""

    episodes: Annotated[int, Field(ge=1)] | None = None
    """Episodes per suite; None where they are not known."""

    note: str = ""
    """A remark for readers."""

    @property
    def remark(self) -> str:
        """Episodes with the intervals they give, and the note, on one line."""
        parts = [self.note] if self.note else []
        if self.episodes is not None:
            wins = [round(getattr(self, suite) * self.episodes / 100) for suite in SUITES]
            intervals = [wilson_interval(k, self.episodes) for k in wins]
            spans = ", ".join(f"{100 * low:.0f}–{100 * high:.0f}" for low, high in intervals)
            parts.insert(0, f"{self.episodes} episodes per suite, hence 95 % Wilson {spans}")
        return "; ".join(parts)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PublishedPlusResult:
    """One policy's published success rates on LIBERO-Plus, in per cent."""

    policy: str
    """Name of the policy."""

    camera: Percent
    """Rate under other poses of the camera."""

    robot: Percent
    """Rate from other starts of the arm."""

    language: Percent
    """Rate in other words."""

    light: Percent
    """Rate in other light."""

    background: Percent
    """Rate before other textures."""

    noise: Percent
    """Rate with corrupted images."""

    layout: Percent
    """Rate with objects elsewhere, or more of them."""

    total: Percent
    """Mean over all tasks, as published."""

    source: str
    """Where it is published."""

    url: Annotated[str, Field(pattern="^https://")]
    """Address of the source."""

    note: str = ""
    """A remark for readers."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ReproducedResult:
    """What somebody else got with a published checkpoint, in per cent."""

    policy: str
    """Name of the policy."""

    of: str
    """Benchmark and number, such as ``LIBERO-Plus, Total``."""

    rate: Percent
    """What they got."""

    reported: Percent | None = None
    """What was reported for the policy; None where nothing was."""

    source: str
    """Who, and where."""

    url: Annotated[str, Field(pattern="^https://")]
    """Address of the source."""

    note: str = ""
    """A remark for readers."""


@cache
def load_published_plus() -> tuple[PublishedPlusResult, ...]:
    """Return the published results on LIBERO-Plus, in the order of their Total."""
    return TypeAdapter(tuple[PublishedPlusResult, ...]).validate_python(_file()["plus"])


@cache
def load_reproduced() -> tuple[ReproducedResult, ...]:
    """Return what others got with published checkpoints."""
    return TypeAdapter(tuple[ReproducedResult, ...]).validate_python(_file()["reproduced"])


def _file() -> dict[str, Any]:
    text = Path(__file__).with_name("published.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def load_published() -> tuple[PublishedResult, ...]:
    """Return the published results, in the order of their mean."""
    return TypeAdapter(tuple[PublishedResult, ...]).validate_python(_file()["results"])


def published_table(results: Sequence[PublishedResult]) -> "Table":
    """Make the table for a terminal.

    Args:
        results: What to show.

    Returns:
        A table for ``rich.console.Console.print``.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(CAUTION, style="dim"),
        title_justify="left",
        caption=Text("\n".join(remarks(results)), style="dim"),
        caption_justify="left",
    )
    header, *lines = published_lines(results)
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if 0 < index <= len(SUITES) + 1 else "left")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    return table


def remarks(results: Sequence[PublishedResult]) -> list[str]:
    """Return what a reader must know of single results, for below the table."""
    return [f"{result.policy}: {result.remark}." for result in results if result.remark]


def published_lines(results: Sequence[PublishedResult], *, links: bool = False) -> list[list[str]]:
    """Return header and cells for a table in text.

    Args:
        results: What to show.
        links: Write sources as links of Markdown.

    Returns:
        Lines of cells, the header first.
    """
    names = (*SUITES, "mean")
    short = (name.removeprefix("libero_") for name in names)
    lines = [["published, %", *short, "n per suite", "source"]]
    for result in results:
        rates = [f"{getattr(result, name):.1f}" for name in names]
        source = f"[{result.source}]({result.url})" if links else result.source
        episodes = "not stated" if result.episodes is None else str(result.episodes)
        lines.append([result.policy, *rates, episodes, source])
    return lines


def published_values(results: Sequence[PublishedResult]) -> list[dict[str, Any]]:
    """Return the results for machines, rates in [0, 1] as those of runs are.

    Args:
        results: What to show.

    Returns:
        One mapping for each.
    """
    values = []
    for result in results:
        plain = dataclasses.asdict(result)
        rates = {name: round(plain.pop(name) / 100, 6) for name in (*SUITES, "mean")}
        values.append({**plain, "rates": rates})
    return values
