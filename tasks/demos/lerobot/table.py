"""The numbers of a LeRobot data set's frames, in memory; images stay where they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.demos.lerobot.index import Episode, Index
from tasks.demos.lerobot.info import Info
from tasks.demos.lerobot.parquet import Numbers, ParquetColumns, open_parquet
from tasks.demos.lerobot.roles import EXACT, Roles
from tasks.demos.source import MOST_STEPS

_MOST_NUMBERS = 1 << 29


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The numbers of an episode.

    Attributes:
        episode: What the data set lists of it.
        columns: By feature, (T, n).
        task: Its ``task_index``.
        rows: Its rows in its Parquet file.
    """

    episode: Episode
    columns: dict[str, Numbers]
    task: int
    rows: range


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """An episode that is not used, and why: a clause."""

    number: int
    why: str


def read_table(info: Info, index: Index, roles: Roles) -> tuple[list[Stored], list[LeftOut]]:
    """Read the numbers of all episodes.

    Raises:
        ConfigError: A file is missing or damaged, or holds numbers that cannot be.
    """
    if info.frames * sum(_widths(info, roles).values()) > _MOST_NUMBERS:
        raise info.refuse(f"it declares {info.frames:,} frames, more than memory should hold")
    by_file: dict[Path, list[Episode]] = {}
    for episode in index.episodes:
        by_file.setdefault(episode.data, []).append(episode)
    stored: list[Stored] = []
    left_out: list[LeftOut] = []
    for path, episodes in by_file.items():
        with open_parquet(info.root, path) as file:
            columns = _columns(info, roles, file)
            numbers = file.numbers("episode_index")
            frames, tasks = file.numbers("frame_index"), file.numbers("task_index")
        for episode in episodes:
            rows = np.flatnonzero(numbers == episode.number)
            why = _fault(episode, rows, frames, tasks, index)
            if why:
                left_out.append(LeftOut(number=episode.number, why=why))
                continue
            span = range(int(rows[0]), int(rows[-1]) + 1)
            within = slice(span.start, span.stop)
            own = {name: column[within] for name, column in columns.items()}
            if bad := [name for name, each in own.items() if not np.isfinite(each).all()]:
                left_out.append(LeftOut(number=episode.number, why=f"{bad[0]} has NaN or infinity"))
                continue
            stored.append(
                Stored(episode=episode, columns=own, task=int(tasks[span.start]), rows=span)
            )
    return stored, left_out


def _widths(info: Info, roles: Roles) -> dict[str, int]:
    names = [roles.action, roles.state, roles.joints, roles.intended]
    names += [EXACT + name for name in sorted(roles.exact)]
    return {name: info.features[name].shape[0] for name in names if name is not None}


def _columns(info: Info, roles: Roles, file: ParquetColumns) -> dict[str, Numbers]:
    columns = {}
    for name, size in _widths(info, roles).items():
        column = file.numbers(name, size)
        columns[name] = column.astype(np.float64) if column.dtype.kind != "f" else column
    return columns


def _fault(episode: Episode, rows: Numbers, frames: Numbers, tasks: Numbers, index: Index) -> str:
    """Say why an episode cannot be used; empty where it can."""
    count = len(rows)
    if count != episode.length:
        return f"it has {count} rows, {episode.length} are listed"
    if not 2 <= count <= MOST_STEPS:
        return f"it has {count} rows, not 2 to {MOST_STEPS:,}"
    if rows[-1] - rows[0] != count - 1 or not np.array_equal(frames[rows], np.arange(count)):
        return "its rows are not in order"
    if len(np.unique(tasks[rows])) > 1:
        return "its rows are of several tasks"
    if int(tasks[rows[0]]) not in index.tasks:
        return f"its task {int(tasks[rows[0]])} is not listed"
    return ""


def spread(items: Sequence[Stored], count: int) -> list[Stored]:
    """Return some episodes, spread evenly over all."""
    if len(items) <= count:
        return list(items)
    return [items[int(at)] for at in np.linspace(0, len(items) - 1, count)]
