"""Putting exported episodes together: the folder of a LeRobot data set, version 3.0 or 2.1."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tasks.demos.lerobot.info import INFO
from tasks.demos.lerobot.notes import NOTES
from tasks.files import atomic_folder, write_json
from training.demos.lerobot.encoding import join_videos
from training.demos.lerobot.parts import Part
from training.demos.lerobot.schema import FPS, NAMES, Array, Schema, indices
from training.demos.lerobot.statistics import Statistics, all_statistics
from training.demos.lerobot.tables import frame_table, import_pyarrow, write_tables, write_tasks

if TYPE_CHECKING:
    import pyarrow as pa

WrittenVersion = Literal["v3.0", "v2.1"]

CHUNK = 1000
"""Files, and in version 2.1 episodes, in a folder."""
_DATA_BYTES, _VIDEO_BYTES = 100 << 20, 200 << 20
_DATA_3 = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEO_3 = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_DATA_2 = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
_VIDEO_2 = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"


@dataclass(frozen=True, kw_only=True)
class DatasetContents:
    """What a data set is put together from.

    Attributes:
        schema: What it holds.
        tasks: Their sentences, by index.
        parts: The episodes, in order.
        task_of: The task's index of each.
        notes: Content of ``meta/libero-bench.json``.
        card: Text of ``README.md``.
    """

    schema: Schema
    tasks: Sequence[str]
    parts: Sequence[Part]
    task_of: Sequence[int]
    notes: Mapping[str, Any]
    card: str

    @property
    def firsts(self) -> list[int]:
        """Frames before each episode, and of all."""
        firsts: list[int] = np.cumsum([0, *(part.length for part in self.parts)]).tolist()
        return firsts

    def columns(self, episode: int) -> dict[str, Array]:
        """Return an episode's numbers by feature."""
        part = self.parts[episode]
        numbered = indices(
            length=part.length,
            episode=episode,
            first=self.firsts[episode],
            task=self.task_of[episode],
        )
        return part.columns | dict(numbered)

    def statistics(self, episodes: Sequence[int]) -> dict[str, Statistics]:
        """Return the statistics of some episodes together."""
        rows = [self.columns(episode) for episode in episodes]
        columns = {key: np.concatenate([each[key] for each in rows]) for key in rows[0]}
        histograms = {
            key: [self.parts[episode].histogram(key) for episode in episodes]
            for key in self.schema.image_keys.values()
        }
        return all_statistics(columns, histograms)

    def table(self, episode: int) -> "pa.Table":
        """Return an episode's rows."""
        part, images = self.parts[episode], {}
        if not self.schema.in_videos:
            images = {key: part.pngs(key) for key in self.schema.image_keys.values()}
        return frame_table(self.schema.features(), self.columns(episode), images)


def write_dataset(folder: Path, contents: DatasetContents, version: WrittenVersion) -> None:
    """Write a data set, atomically.

    Args:
        folder: The folder; it must not be there.
        contents: What it is put together from.
        version: Of the format.
    """
    import_pyarrow()
    with atomic_folder(folder) as draft:
        (draft / "meta").mkdir()
        write = _write_3 if version == "v3.0" else _write_2
        write_json(draft / INFO, _info(contents, version) | write(draft, contents), indent=4)
        write_json(draft / NOTES, contents.notes, indent=1)
        write_json(draft / "meta/modality.json", _modality(contents.schema), indent=4)
        (draft / "README.md").write_text(contents.card, encoding="utf-8")


def _info(contents: DatasetContents, version: WrittenVersion) -> dict[str, Any]:
    return {
        "codebase_version": version,
        "robot_type": "panda",
        "total_episodes": len(contents.parts),
        "total_frames": contents.firsts[-1],
        "total_tasks": len(contents.tasks),
        "chunks_size": CHUNK,
        "fps": FPS,
        "splits": {"train": f"0:{len(contents.parts)}"},
        "features": contents.schema.features(),
    }


def _modality(schema: Schema) -> dict[str, Any]:
    """Return GR00T's description of the columns."""
    names = NAMES[schema.keys]
    state, action = names["state"], names["action"]

    def span(key: str, start: int, end: int) -> dict[str, Any]:
        return {"start": start, "end": end, "original_key": key}

    state_spans = {"eef_position": (0, 3), "eef_axis_angle": (3, 6), "gripper": (6, 8)}
    action_spans = {"eef_position_delta": (0, 3), "eef_axis_angle_delta": (3, 6), "gripper": (6, 7)}
    return {
        "state": {name: span(state, *ends) for name, ends in state_spans.items()},
        "action": {name: span(action, *ends) for name, ends in action_spans.items()},
        "video": {camera: {"original_key": key} for camera, key in schema.image_keys.items()},
        "annotation": {"human.task_description": {"original_key": "task_index"}},
    }


def _write_2(draft: Path, contents: DatasetContents) -> dict[str, Any]:
    videos = list(contents.schema.image_keys.values()) if contents.schema.in_videos else []
    episodes, statistics = [], []
    for number, part in enumerate(contents.parts):
        fields = {"episode_chunk": number // CHUNK, "episode_index": number}
        write_tables(draft / _DATA_2.format(**fields), [contents.table(number)])
        for key in videos:
            target = draft / _VIDEO_2.format(**fields, video_key=key)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(part.video(key), target)
        words = contents.tasks[contents.task_of[number]]
        episodes.append({"episode_index": number, "tasks": [words], "length": part.length})
        statistics.append({"episode_index": number, "stats": contents.statistics([number])})
    tasks = [{"task_index": n, "task": words} for n, words in enumerate(contents.tasks)]
    for name, lines in (
        ("tasks", tasks),
        ("episodes", episodes),
        ("episodes_stats", statistics),
    ):
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (draft / f"meta/{name}.jsonl").write_text(text, encoding="utf-8")
    return {
        "total_videos": len(videos) * len(contents.parts),
        "total_chunks": -(-len(contents.parts) // CHUNK),
        "data_path": _DATA_2,
        "video_path": _VIDEO_2 if videos else None,
    }


def _write_3(draft: Path, contents: DatasetContents) -> dict[str, Any]:
    count = len(contents.parts)
    videos = list(contents.schema.image_keys.values()) if contents.schema.in_videos else []
    listed: list[dict[str, Any]] = [{} for _ in range(count)]
    sizes = [sum(path.stat().st_size for path in _data_files(contents, n)) for n in range(count)]
    for place, episodes in _rolled(sizes, _DATA_BYTES):
        write_tables(draft / _DATA_3.format(**place), map(contents.table, episodes))
        for episode in episodes:
            listed[episode] |= {f"data/{name}": index for name, index in place.items()}
    for key in videos:
        files = [part.video(key) for part in contents.parts]
        for place, episodes in _rolled([file.stat().st_size for file in files], _VIDEO_BYTES):
            target = draft / _VIDEO_3.format(**place, video_key=key)
            target.parent.mkdir(parents=True, exist_ok=True)
            lengths = [contents.parts[episode].length for episode in episodes]
            join_videos(target, [files[episode] for episode in episodes], lengths)
            ends = np.cumsum([0, *lengths]).tolist()
            for row, episode in enumerate(episodes):
                listed[episode] |= {
                    **{f"videos/{key}/{name}": index for name, index in place.items()},
                    f"videos/{key}/from_timestamp": ends[row] / FPS,
                    f"videos/{key}/to_timestamp": ends[row + 1] / FPS,
                }
    write_tasks(draft / "meta/tasks.parquet", contents.tasks)
    _write_episodes(draft, contents, listed)
    write_json(draft / "meta/stats.json", contents.statistics(range(count)), indent=4)
    return {
        "data_files_size_in_mb": _DATA_BYTES >> 20,
        "video_files_size_in_mb": _VIDEO_BYTES >> 20,
        "data_path": _DATA_3,
        "video_path": _VIDEO_3 if videos else None,
    }


def _data_files(contents: DatasetContents, episode: int) -> list[Path]:
    folder = contents.parts[episode].folder
    return [path for path in folder.iterdir() if path.suffix == ".npz"]


def _rolled(sizes: Sequence[int], limit: int) -> Iterator[tuple[dict[str, int], list[int]]]:
    """Yield files' indices and their episodes; a file begins where the one before would be full."""
    inside: list[int] = []
    number = total = 0
    for episode, size in enumerate(sizes):
        if inside and total + size >= limit:
            yield _place(number), inside
            number, inside, total = number + 1, [], 0
        inside.append(episode)
        total += size
    yield _place(number), inside


def _place(number: int) -> dict[str, int]:
    return {"chunk_index": number // CHUNK, "file_index": number % CHUNK}


def _write_episodes(
    draft: Path, contents: DatasetContents, listed: Sequence[dict[str, Any]]
) -> None:
    pa = import_pyarrow()
    rows = []
    for episode, part in enumerate(contents.parts):
        first = contents.firsts[episode]
        row = {
            "episode_index": episode,
            "tasks": [contents.tasks[contents.task_of[episode]]],
            "length": part.length,
            **listed[episode],
            "dataset_from_index": first,
            "dataset_to_index": first + part.length,
        }
        for feature, statistics in contents.statistics([episode]).items():
            row |= {f"stats/{feature}/{name}": value for name, value in statistics.items()}
        row |= {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        rows.append(row)
    write_tables(draft / "meta/episodes/chunk-000/file-000.parquet", [pa.Table.from_pylist(rows)])
