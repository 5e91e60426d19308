"""Images kept on the disk are those that are read, and are read once."""

from collections import namedtuple
from pathlib import Path

import pytest
import torch

from tasks.errors import ConfigError
from tests.tasks.demos.lerobot.robot import record
from tests.tasks.demos.lerobot.sets import LEROBOT, write_set
from tests.training.demo_files import write_file
from tests.training.windows import load

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/libero-bench/images"


def test_kept_images_are_the_same_and_survive_their_source(tmp_path: Path, folder: Path) -> None:
    root = write_set(tmp_path / "set", [record(seed) for seed in range(2)], LEROBOT)
    steps = [0, 5, 5, 3, 47]
    lazy = load(root, pictures="lazy").training[0].images.at(steps)
    kept = load(root, pictures="cache")
    assert torch.equal(kept.training[0].images.at(steps), lazy)
    assert f"{folder}" in kept.note and "bytes" in kept.note
    again = load(root, pictures="cache").training[0].images
    for video in root.glob("videos/**/*.mp4"):
        video.write_bytes(b"")
    assert torch.equal(again.at(steps), lazy)


def test_another_encoder_size_is_another_image(tmp_path: Path) -> None:
    path = write_file(tmp_path / "x_demo.hdf5", size=24)
    for size in (16, 32):
        lazy = load(path, image_size=size, pictures="lazy").training[0].images.at([1])
        kept = load(path, image_size=size, pictures="cache").training[0].images
        assert torch.equal(kept.at([1]), lazy)
        assert torch.equal(kept.at([1]), lazy)


def test_what_does_not_fit_the_disk_is_refused_with_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    path = write_file(tmp_path / "x_demo.hdf5")
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(1 << 40, 1 << 40, 1 << 20))
    with pytest.raises(ConfigError, match=r"needs [\d,]+ bytes .* where 1,048,576 are free"):
        load(path, pictures="cache")
    assert not any(folder.iterdir())
