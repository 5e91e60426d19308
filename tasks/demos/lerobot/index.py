"""Which episodes a LeRobot data set has, of which task, and in which files their frames lie."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tasks.demos.lerobot.info import Info, read_json_lines
from tasks.demos.lerobot.parquet import open_parquet

_MOST_EPISODES = 1_000_000
_MOST_TASK_BYTES = 2000


@dataclass(frozen=True, kw_only=True)
class Span:
    """Where the frames of an episode lie in a video: its file, and the first frame's number."""

    path: Path
    first: int


@dataclass(frozen=True, kw_only=True)
class Episode:
    """An episode as the data set lists it.

    Attributes:
        number: Its ``episode_index``.
        tasks: Its tasks in words.
        length: Frames.
        data: The Parquet file of its numbers.
        videos: By feature, where its frames lie.
    """

    number: int
    tasks: tuple[str, ...]
    length: int
    data: Path
    videos: Mapping[str, Span]


@dataclass(frozen=True, kw_only=True)
class Index:
    """The episodes of a data set.

    Attributes:
        tasks: Words by ``task_index``.
        episodes: All, in order.
        notes: What was odd about the lists, as clauses.
    """

    tasks: dict[int, str]
    episodes: tuple[Episode, ...]
    notes: tuple[str, ...]


def read_index(info: Info) -> Index:
    """Read the lists of tasks and episodes of a data set.

    Raises:
        ConfigError: A list is missing or damaged, or contradicts ``meta/info.json``.
    """
    tasks = _tasks_3(info) if info.version == "v3.0" else _tasks_2(info)
    if not tasks:
        raise info.refuse("it names no task")
    if info.version == "v3.0":
        episodes, notes = _episodes_3(info)
    else:
        episodes, notes = _episodes_2(info), []
    numbers = [episode.number for episode in episodes]
    if len(set(numbers)) < len(numbers):
        raise info.refuse("it lists an episode twice")
    if len(episodes) != info.episodes:
        notes.append(f"info.json declares {info.episodes:,} episodes, {len(episodes):,} are listed")
    return Index(tasks=tasks, episodes=tuple(episodes), notes=tuple(notes))


def _tasks_2(info: Info) -> dict[int, str]:
    lines = read_json_lines(info.root, info.root / "meta/tasks.jsonl")
    try:
        return {_whole(line["task_index"]): _words(line["task"]) for line in lines}
    except (KeyError, TypeError, ValueError) as error:
        raise info.refuse(f"meta/tasks.jsonl is impossible ({error})") from error


def _tasks_3(info: Info) -> dict[int, str]:
    with open_parquet(info.root, info.root / "meta/tasks.parquet") as file:
        names = [name for name in ("task", "__index_level_0__") if name in file.names]
        if not names:
            raise info.refuse("meta/tasks.parquet has no column of tasks")
        numbers, words = file.numbers("task_index"), file.texts(names[0])
    try:
        return {_whole(n): _words(w) for n, w in zip(numbers.tolist(), words, strict=True)}
    except (TypeError, ValueError) as error:
        raise info.refuse(f"meta/tasks.parquet is impossible ({error})") from error


def _episodes_2(info: Info) -> list[Episode]:
    episodes = []
    lines = read_json_lines(info.root, info.root / "meta/episodes.jsonl")
    try:
        for line in lines[:_MOST_EPISODES]:
            number, length = _whole(line["episode_index"]), _whole(line["length"])
            fields = {"episode_chunk": number // info.chunks_size, "episode_index": number}
            spans = {
                key: Span(path=info.place(info.video_path or "", **fields, video_key=key), first=0)
                for key in _videos(info)
            }
            episodes.append(
                Episode(
                    number=number,
                    tasks=_list_of_words(line.get("tasks")),
                    length=length,
                    data=info.place(info.data_path, **fields),
                    videos=spans,
                )
            )
    except (KeyError, TypeError, ValueError) as error:
        raise info.refuse(f"meta/episodes.jsonl is impossible ({error})") from error
    return sorted(episodes, key=lambda episode: episode.number)


def _episodes_3(info: Info) -> tuple[list[Episode], list[str]]:
    files = sorted((info.root / "meta/episodes").glob("chunk-*/file-*.parquet"))
    if not files:
        raise info.refuse("meta/episodes holds no Parquet file")
    episodes: list[Episode] = []
    for path in files:
        episodes += _episode_rows(info, path)
    episodes.sort(key=lambda episode: episode.number)
    counted, moved = _counted(info, episodes)
    notes = []
    if moved:
        notes.append(
            f"from_timestamp of {moved} episodes lies off its frame, so frames were counted instead"
        )
    return counted, notes


def _episode_rows(info: Info, path: Path) -> list[Episode]:
    with open_parquet(info.root, path) as file:
        if file.rows > _MOST_EPISODES:
            raise info.refuse(f"it lists {file.rows:,} episodes")
        numbers, lengths = file.numbers("episode_index"), file.numbers("length")
        words = file.texts("tasks")
        data = zip(file.numbers("data/chunk_index"), file.numbers("data/file_index"), strict=True)
        paths = [_file(info, info.data_path, chunk, number) for chunk, number in data]
        spans: dict[str, list[Span]] = {}
        for key in _videos(info):
            columns = (
                file.numbers(f"videos/{key}/{name}")
                for name in ("chunk_index", "file_index", "from_timestamp")
            )
            spans[key] = [
                _span(info, key, chunk, number, start)
                for chunk, number, start in zip(*columns, strict=True)
            ]
    try:
        return [
            Episode(
                number=_whole(int(number)),
                tasks=_list_of_words(words[row]),
                length=_whole(int(lengths[row])),
                data=paths[row],
                videos={key: each[row] for key, each in spans.items()},
            )
            for row, number in enumerate(numbers)
        ]
    except (TypeError, ValueError) as error:
        raise info.refuse(f"{path.relative_to(info.root)} is impossible ({error})") from error


def _file(info: Info, template: str, chunk: Any, number: Any, key: str = "") -> Path:
    fields = {"chunk_index": int(chunk), "file_index": int(number)}
    return info.place(template, **fields, video_key=key)


def _span(info: Info, key: str, chunk: Any, number: Any, start: float) -> Span:
    if not (np.isfinite(start) and 0 <= start < 1e8):
        raise info.refuse(f"an episode begins at {start} s of its video")
    path = _file(info, info.video_path or "", chunk, number, key)
    return Span(path=path, first=round(Fraction(float(start)) * info.fps))


def _counted(info: Info, episodes: Sequence[Episode]) -> tuple[list[Episode], int]:
    """Number the frames of each video by the lengths of the episodes before, where these agree.

    ``from_timestamp`` is a sum of floating-point durations in some sets, and drifts. Where an
    episode begins within two frames of the end of the one before, the sum of the lengths counts.
    Where it begins later, episodes were taken out of the list, and the video keeps their frames.
    """
    moved: set[int] = set()
    changed = {episode.number: dict(episode.videos) for episode in episodes}
    for key in _videos(info):
        files: dict[Path, list[Episode]] = defaultdict(list)
        for episode in episodes:
            files[episode.videos[key].path].append(episode)
        for inside in files.values():
            inside.sort(key=lambda episode: episode.videos[key].first)
            first = 0
            for episode in inside:
                span = episode.videos[key]
                if span.first != first and abs(span.first - first) <= 2:
                    moved.add(episode.number)
                    changed[episode.number][key] = replace(span, first=first)
                elif span.first != first:
                    first = span.first
                first += episode.length
    counted = [replace(episode, videos=changed[episode.number]) for episode in episodes]
    return counted, len(moved)


def _videos(info: Info) -> Iterable[str]:
    keys = [key for key, feature in info.features.items() if feature.dtype == "video"]
    if keys and info.video_path is None:
        raise info.refuse("it has videos, but info.json has no video_path")
    return keys


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 40:
        raise ValueError(f"{str(value)[:40]!r} is no number from 0")
    return value


def _words(value: Any) -> str:
    if not isinstance(value, str) or len(value.encode()) > _MOST_TASK_BYTES:
        raise ValueError(f"the task {str(value)[:40]!r} is no text of at most 2,000 bytes")
    return value


def _list_of_words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    return tuple(_words(each) for each in value or ())
