"""LeRobot sets written by hand, as others publish LIBERO: their schema and conventions."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.tasks.demos.lerobot.robot import Recorded
from training.demos.lerobot.encoding import encode_video, join_videos

TASKS = ("open the middle drawer of the cabinet", "put the bowl on the stove")
"""Of libero_goal."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The conventions of a published set."""

    version: str
    codec: str  # png, or a video's
    image: str
    wrist: str
    state: str = "observation.state"
    action: str = "action"
    fps: float = 10
    grip: Callable[[np.ndarray], np.ndarray] = lambda g: g
    joints: str | None = None
    names: dict[str, Any] = field(default_factory=dict)
    turn: Callable[[np.ndarray], np.ndarray] = lambda images: images[:, ::-1, ::-1]
    to_state: Callable[[Recorded], np.ndarray] = lambda recorded: recorded.state
    plain_lists: bool = False


PHYSICAL_INTELLIGENCE = Kind(
    version="v2.0",
    codec="png",
    image="image",
    wrist="wrist_image",
    state="state",
    action="actions",
    plain_lists=True,
)
HUGGINGFACE_VLA = Kind(
    version="v3.0", codec="png", image="observation.images.image", wrist="observation.images.image2"
)
LEROBOT = Kind(
    version="v3.0", codec="av1", image="observation.images.image", wrist="observation.images.image2"
)
IPEC = Kind(
    version="v2.1",
    codec="av1",
    image="observation.images.image",
    wrist="observation.images.wrist_image",
    fps=20,
    grip=lambda g: (1 - g) / 2,
    names={"observation.state": ["x", "y", "z", "rx", "ry", "rz", "rw", "gripper"]},
)
DROID_AI = Kind(
    version="v2.1",
    codec="png",
    image="image",
    wrist="wrist_image",
    state="state",
    action="actions",
    fps=30,
    joints="joint_state",
)
PUBLIC = {
    "physical-intelligence": PHYSICAL_INTELLIGENCE,
    "HuggingFaceVLA": HUGGINGFACE_VLA,
    "lerobot": LEROBOT,
    "IPEC": IPEC,
    "droid-ai": DROID_AI,
}


def write_set(
    root: Path, episodes: Sequence[Recorded], kind: Kind, *, tasks: Sequence[str] = TASKS
) -> Path:
    """Write episodes as a set; episode k is of task k modulo the number of tasks."""
    features = _features(kind, episodes[0])
    rows = [_rows(kind, features, e, n, episodes, tasks) for n, e in enumerate(episodes)]
    info = {
        "codebase_version": kind.version,
        "robot_type": "panda",
        "fps": kind.fps,
        "total_episodes": len(episodes),
        "total_frames": sum(len(e.actions) for e in episodes),
        "total_tasks": len(tasks),
        "chunks_size": 1000,
        "features": features,
        "splits": {"train": f"0:{len(episodes)}"},
    }
    (root / "meta").mkdir(parents=True)
    write = _write_3 if kind.version == "v3.0" else _write_2
    info |= write(root, episodes, kind, rows, tasks)
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


def _features(kind: Kind, recorded: Recorded) -> dict[str, Any]:
    size = list(recorded.agentview.shape[1:])
    image = {"dtype": "image" if kind.codec == "png" else "video", "shape": size}
    if kind.codec != "png":
        image["info"] = {"video.codec": kind.codec}
    features: dict[str, Any] = {kind.image: image, kind.wrist: image}
    features[kind.state] = {"dtype": "float32", "shape": [kind.to_state(recorded).shape[1]]}
    features[kind.action] = {"dtype": "float32", "shape": [7]}
    if kind.joints:
        features[kind.joints] = {"dtype": "float32", "shape": [7]}
    features["timestamp"] = {"dtype": "float32", "shape": [1]}
    for key in ("frame_index", "episode_index", "index", "task_index"):
        features[key] = {"dtype": "int64", "shape": [1]}
    for key, feature in features.items():
        feature["names"] = kind.names.get(key)
    return features


def _rows(
    kind: Kind,
    features: dict[str, Any],
    recorded: Recorded,
    number: int,
    episodes: Sequence[Recorded],
    tasks: Sequence[str],
) -> pa.Table:
    steps = len(recorded.actions)
    actions = np.column_stack([recorded.actions[:, :6], kind.grip(recorded.actions[:, 6])])
    first = sum(len(e.actions) for e in episodes[:number])
    columns: dict[str, Any] = {kind.state: kind.to_state(recorded), kind.action: actions}
    if kind.joints:
        columns[kind.joints] = recorded.joints
    arrays: dict[str, pa.Array] = {}
    for key, values in columns.items():
        flat = pa.array(values.astype(np.float32).ravel())
        if kind.plain_lists:
            offsets = np.arange(steps + 1, dtype=np.int32) * values.shape[1]
            arrays[key] = pa.ListArray.from_arrays(offsets, flat)
        else:
            arrays[key] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    if kind.codec == "png":
        for key, images in ((kind.image, recorded.agentview), (kind.wrist, recorded.wrist)):
            files = [{"bytes": png(picture), "path": None} for picture in kind.turn(images)]
            kinds = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            arrays[key] = pa.array(files, type=kinds)
    frames = np.arange(steps)
    arrays["timestamp"] = pa.array((frames / kind.fps).astype(np.float32))
    arrays["frame_index"] = pa.array(frames)
    arrays["episode_index"] = pa.array(np.full(steps, number))
    arrays["index"] = pa.array(frames + first)
    arrays["task_index"] = pa.array(np.full(steps, number % len(tasks)))
    return pa.table({key: arrays[key] for key in features if key in arrays})


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, format="PNG")
    return file.getvalue()


def _write_2(
    root: Path,
    episodes: Sequence[Recorded],
    kind: Kind,
    rows: Sequence[pa.Table],
    tasks: Sequence[str],
) -> dict[str, Any]:
    lines = []
    for number, (recorded, table) in enumerate(zip(episodes, rows, strict=True)):
        path = root / f"data/chunk-000/episode_{number:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        lines.append(
            {"episode_index": number, "tasks": [tasks[number % len(tasks)]], "length": len(table)}
        )
        for key, images in _videos(kind, recorded):
            path = root / f"videos/chunk-000/{key}/episode_{number:06d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            encode_video(path, images, kind.codec, fps=int(kind.fps))
    tasks_lines = [{"task_index": n, "task": task} for n, task in enumerate(tasks)]
    for name, content in (("episodes", lines), ("tasks", tasks_lines)):
        (root / f"meta/{name}.jsonl").write_text("\n".join(map(json.dumps, content)))
    video = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    return {
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": None if kind.codec == "png" else video,
    }


def _videos(kind: Kind, recorded: Recorded) -> list[tuple[str, np.ndarray]]:
    if kind.codec == "png":
        return []
    return [
        (kind.image, np.ascontiguousarray(kind.turn(recorded.agentview))),
        (kind.wrist, np.ascontiguousarray(kind.turn(recorded.wrist))),
    ]


def _write_3(
    root: Path,
    episodes: Sequence[Recorded],
    kind: Kind,
    rows: Sequence[pa.Table],
    tasks: Sequence[str],
) -> dict[str, Any]:
    data = root / "data/chunk-000/file-000.parquet"
    data.parent.mkdir(parents=True)
    with pq.ParquetWriter(data, rows[0].schema) as writer:
        for table in rows:
            writer.write_table(table, row_group_size=len(table))
    lengths = [len(table) for table in rows]
    ends = np.cumsum([0, *lengths])
    listed: dict[str, Any] = {
        "episode_index": list(range(len(rows))),
        "tasks": [[tasks[n % len(tasks)]] for n in range(len(rows))],
        "length": lengths,
        "data/chunk_index": [0] * len(rows),
        "data/file_index": [0] * len(rows),
        "dataset_from_index": ends[:-1].tolist(),
        "dataset_to_index": ends[1:].tolist(),
    }
    for camera, (key, _) in enumerate(_videos(kind, episodes[0])):
        parts = []
        for number, recorded in enumerate(episodes):
            parts.append(root / f"part_{number}.mp4")
            images = _videos(kind, recorded)[camera][1]
            encode_video(parts[-1], images, kind.codec, fps=int(kind.fps))
        target = root / f"videos/{key}/chunk-000/file-000.mp4"
        target.parent.mkdir(parents=True)
        join_videos(target, parts, lengths, fps=int(kind.fps))
        for part in parts:
            part.unlink()
        listed |= {
            f"videos/{key}/chunk_index": [0] * len(rows),
            f"videos/{key}/file_index": [0] * len(rows),
            f"videos/{key}/from_timestamp": (ends[:-1] / kind.fps).tolist(),
            f"videos/{key}/to_timestamp": (ends[1:] / kind.fps).tolist(),
        }
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(listed), path)
    pq.write_table(
        pa.table({"task_index": list(range(len(tasks))), "__index_level_0__": list(tasks)}),
        root / "meta/tasks.parquet",
    )
    video = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    return {
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None if kind.codec == "png" else video,
    }
