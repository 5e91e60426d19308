"""Frames are found by their number, whatever the codec, the order and the drift of noted times."""

import gc
import multiprocessing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.demos.folders import find_demo_files
from tasks.demos.lerobot.dataset import open_dataset
from tasks.demos.lerobot.video import Video, read_frames
from tasks.demos.reader import read_demos
from tasks.errors import ConfigError
from tests.tasks.demos.lerobot.robot import record
from tests.tasks.demos.lerobot.sets import LEROBOT, write_set

SIZE, COUNT = 64, 50


def encode(path: Path, encoder: str, *, fps: int, group: int, options: dict[str, str]) -> Path:
    """Write frames whose brightness is their number."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=fps, options=options)
        stream.height = stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = group
        for number in range(COUNT):
            picture = np.full((SIZE, SIZE, 3), 4 * number + 20, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


CODECS = {
    "h264": ("libx264", {"crf": "10"}),
    "h264 without B-frames": ("libx264", {"crf": "10", "bf": "0"}),
    "hevc": ("libx265", {"crf": "10", "x265-params": "log-level=none"}),
    "av1": ("libsvtav1", {"crf": "20", "preset": "10"}),
}


@pytest.mark.parametrize("group", [2, 12, 250])
@pytest.mark.parametrize("codec", CODECS)
def test_every_frame_is_found_in_any_order(
    codec: str, group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SVT_LOG", "1")
    encoder, options = CODECS[codec]
    path = encode(tmp_path / "v.mp4", encoder, fps=10, group=group, options=options)
    rng = np.random.default_rng(0)
    for _ in range(12):
        wanted = np.sort(rng.integers(0, COUNT, 3)).tolist()
        frames = read_frames(path, wanted, size=(SIZE, SIZE), fps=Fraction(10))
        shown = (frames.mean(axis=(1, 2, 3)) - 20) / 4
        assert np.abs(shown - wanted).max() < 0.4


def test_a_frame_beyond_the_end_and_another_codec_are_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "v.mp4", "libx264", fps=20, group=2, options={})
    with pytest.raises(ConfigError, match="frame 50 is missing"):
        read_frames(path, [50], size=(SIZE, SIZE), fps=Fraction(20))
    other = encode(tmp_path / "w.mp4", "mpeg4", fps=20, group=2, options={})
    with pytest.raises(ConfigError, match="codec is not one of av1, h264, hevc"):
        Video(other, size=(SIZE, SIZE), fps=Fraction(20))


def edit_starts(root: Path, key: str, change: object) -> None:
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    name = f"videos/{key}/from_timestamp"
    column = pa.array([change(row, start) for row, start in enumerate(table[name].to_pylist())])
    position = table.schema.get_field_index(name)
    pq.write_table(table.set_column(position, name, column), path)


def _read_and_free(path: Path) -> None:
    frames = read_frames(path, [0, 9], size=(SIZE, SIZE), fps=Fraction(20))
    assert frames.shape == (2, SIZE, SIZE, 3)
    gc.collect()


def test_a_forked_process_reads_and_frees_videos(tmp_path: Path) -> None:
    path = encode(tmp_path / "v.mp4", "libx264", fps=20, group=2, options={"crf": "10"})
    closed = Video(path, size=(SIZE, SIZE), fps=Fraction(20))
    closed.read([0, 1, 2])
    del closed
    read_frames(path, [3, 4], size=(SIZE, SIZE), fps=Fraction(20))
    forks = multiprocessing.get_context("fork")
    children = [forks.Process(target=_read_and_free, args=(path,)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        if child.exitcode is None:
            child.kill()
            pytest.fail("the forked process hangs")
        assert child.exitcode == 0


def test_times_that_drift_do_not_move_frames(tmp_path: Path) -> None:
    episodes = [record(seed, steps=24, size=32) for seed in range(4)]
    exact = write_set(tmp_path / "exact", episodes, LEROBOT)
    before = [demo.images["wrist"] for demo in read_demos(find_demo_files(exact)[1])]
    root = write_set(tmp_path / "set", episodes, LEROBOT)
    edit_starts(root, LEROBOT.wrist, lambda row, start: start + 0.06 * row)  # over half a frame
    after = [demo.images["wrist"] for demo in read_demos(find_demo_files(root)[1])]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert "frames were counted instead" in open_dataset(root).index.notes[0]


def test_cameras_begin_at_their_own_times(tmp_path: Path) -> None:
    episodes = [record(seed, steps=24, size=32) for seed in range(3)]
    root = write_set(tmp_path / "set", episodes, LEROBOT, tasks=("turn on the stove",))
    # Episode 0 was taken out of the list; its frames are still in the videos.
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    demos = list(read_demos(find_demo_files(root)[0]))
    assert len(demos) == 2
    for demo, recorded in zip(demos, episodes[1:], strict=True):
        shown, given = demo.images["agentview"].astype(int), recorded.agentview[:, ::-1, ::-1]
        assert np.abs(shown - given).mean() < 2
        assert np.abs(demo.ee_pos - recorded.position).max() < 1e-6
