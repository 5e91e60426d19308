"""Broken and hostile sets: one clear line each; nothing is executed, nothing outside is read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.demos.file import open_demos
from tasks.demos.folders import find_demo_files
from tasks.errors import ConfigError
from tests.tasks.demos.lerobot.robot import record
from tests.tasks.demos.lerobot.sets import HUGGINGFACE_VLA, IPEC, LEROBOT, Kind, write_set
from training.demos.check import check_demo_file

EPISODES = [record(seed, steps=12, size=16) for seed in range(2)]
DATA, INFO = "data/chunk-000/file-000.parquet", "meta/info.json"


def edit_info(**changes: Any) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        path = root / INFO
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def edit_features(key: str, **changes: Any) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        info = json.loads((root / INFO).read_text())
        info["features"][key] |= changes
        (root / INFO).write_text(json.dumps(info))

    return edit


def write(name: str, content: bytes | str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return edit


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:size]) and None


def edit_column(name: str, change: Callable[[pa.ChunkedArray], Any]) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        table = pq.read_table(root / DATA)
        column = change(table[name])
        position = table.schema.get_field_index(name)
        pq.write_table(table.set_column(position, name, column), root / DATA)

    return edit


class Pickled:
    """Executes code when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.write_text, (Path("executed"), "yes")


def pickles(column: pa.ChunkedArray) -> pa.Array:
    import pickle

    return pa.array([pickle.dumps(Pickled())] * len(column), type=pa.binary())


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "info is no JSON": (write(INFO, "{"), "info.json is not JSON"),
    "info is a list": (write(INFO, "[]"), "no object"),
    "deep JSON": (write(INFO, "[" * 100_000), "not JSON"),
    "no features": (write(INFO, '{"codebase_version": "v3.0"}'), "has no 'features'"),
    "old version": (edit_info(codebase_version="v1.6"), "codebase_version is 'v1.6'"),
    "escape sequences": (edit_info(codebase_version="\x1b[31m"), "codebase_version is '"),
    "fps 0": (edit_info(fps=0), "fps is 0"),
    "fps NaN": (edit_info(fps=float("nan")), "impossible"),
    "data path climbs": (edit_info(data_path="../../etc/passwd"), "leaves the folder"),
    "data path absolute": (edit_info(data_path="/etc/passwd"), "leaves the folder"),
    "data path formats": (
        edit_info(data_path="{chunk_index.__class__}/x.parquet"),
        "leaves the folder",
    ),
    "unknown field": (edit_info(data_path="data/{secret}.parquet"), "unknown field 'secret'"),
    "long padding": (edit_info(data_path="{chunk_index:0999999999d}.parquet"), "is missing"),
    "no data path": (edit_info(data_path=None), "data_path is"),
    "huge frames": (edit_info(total_frames=1 << 39), "more than memory should hold"),
    "negative episodes": (edit_info(total_episodes=-1), "total_episodes"),
    "huge images": (
        edit_features("observation.images.image", shape=[1 << 20, 1 << 20, 3]),
        "have the shape",
    ),
    "huge state": (edit_features("observation.state", shape=[1 << 30]), "no state"),
    "wrong state": (edit_features("observation.state", shape=[9]), "do not have 9 numbers"),
    "wrong action": (edit_features("action", shape=[14]), "action of 7 numbers"),
    "images of another size": (
        edit_features("observation.images.image", shape=[32, 32, 3]),
        "an image is damaged",
    ),
    "no data": (lambda root: (root / DATA).unlink(), f"{DATA} is missing"),
    "no tasks": (lambda root: (root / "meta/tasks.parquet").unlink(), "tasks.parquet is missing"),
    "truncated data": (cut(DATA, 2000), "no Parquet file, or a truncated one"),
    "data is a pickle": (write(DATA, b"\x80\x04."), "no Parquet file"),
    "a column of pickles": (edit_column("action", pickles), "binary, not a list"),
    "text for numbers": (
        edit_column("task_index", lambda column: pa.array(["0"] * len(column))),
        "not numbers",
    ),
    "rows without a value": (
        edit_column("episode_index", lambda c: pa.array([None] * len(c), type=pa.int64())),
        "without a value",
    ),
    "a task that nobody lists": (
        edit_column("task_index", lambda column: pa.array([7] * len(column))),
        "task 7 is not listed",
    ),
    "rows in disorder": (
        edit_column("frame_index", lambda column: pa.array(np.zeros(len(column), dtype=int))),
        "not in order",
    ),
    "images that are none": (
        edit_column(
            "observation.images.image",
            lambda column: pa.array([{"bytes": b"GIF89a", "path": None}] * len(column)),
        ),
        "an image is damaged",
    ),
    "images by path": (
        edit_column(
            "observation.images.image",
            lambda column: pa.array([{"bytes": None, "path": "/etc/passwd"}] * len(column)),
        ),
        "at 'observation.images.image'",
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sound") / "set", EPISODES, HUGGINGFACE_VLA)


def copied(source: Path, target: Path) -> Path:
    import shutil

    shutil.copytree(source, target)
    (target / "meta/libero-bench.json").write_text('{"conventions": {"pictures": "rotated"}}')
    return target


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_set_is_refused_in_one_line(
    name: str, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    edit, words = HOSTILE[name]
    root = copied(sound, tmp_path / "set")
    edit(root)
    with pytest.raises(ConfigError) as refusal:
        for path in find_demo_files(root):
            with open_demos(path) as task:
                task.numbers("data/demo_0/actions", (7,))
                task.read(task.images("data/demo_0/obs/agentview_rgb"), 0)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not Path("executed").exists()


def test_rows_with_nan_are_left_out(sound: Path, tmp_path: Path) -> None:
    root = copied(sound, tmp_path / "set")

    def poison(column: pa.ChunkedArray) -> pa.Array:
        values = np.array(column.to_pylist(), dtype=np.float32)
        values[3, 2] = np.nan
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 7)

    edit_column("action", poison)(root)
    (path,) = find_demo_files(root)
    with open_demos(path) as task:
        assert task.conventions()["left_out"] == {"0": "action has NaN or infinity"}


@pytest.mark.parametrize("kind", [IPEC, LEROBOT], ids=["v2.1", "v3.0"])
@pytest.mark.parametrize(
    "content",
    [b"", b"#EXTM3U\nhttp://127.0.0.1:9/x.mp4\n", b"ffconcat version 1.0\nfile /etc/passwd\n"],
    ids=["empty", "playlist", "concat"],
)
def test_a_video_that_is_none_reaches_nothing(kind: Kind, content: bytes, tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", EPISODES, kind)
    for video in root.glob("videos/**/*.mp4"):
        video.write_bytes(content)
    with pytest.raises(ConfigError, match="no MP4 file"):
        find_demo_files(root)


def test_a_truncated_video_is_named(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", EPISODES, IPEC)
    video = next(iter(sorted(root.glob("videos/**/*.mp4"))))
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    left_out = next(f for f in check_demo_file(find_demo_files(root)[0]) if f.name == "left out")
    assert video.name in left_out.detail


def test_a_video_of_another_size_is_named(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", EPISODES, IPEC)
    edit_features("observation.images.image", shape=[32, 32, 3])(root)
    with pytest.raises(ConfigError, match="16×16"):
        find_demo_files(root)
