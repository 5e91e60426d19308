"""Cutting training samples from demonstrations."""

from pathlib import Path

import numpy as np
import torch

from policies.rdt.images import resize_frames
from policies.rdt.layout import get_layout
from tests.training.demo_files import write_file
from training.data.windows import DemoWindows
from training.demo_reader import read_demos

LAYOUT = get_layout("eef-velocity")


def windows(path: Path, horizon: int = 8) -> DemoWindows:
    return DemoWindows(
        [path],
        layout=LAYOUT,
        cameras=("agentview", "wrist"),
        image_size=8,
        history=2,
        horizon=horizon,
        max_words=32,
    )


def test_a_sample_is_what_was_seen_and_what_was_done_next(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", convention="before_action")
    demo = list(read_demos(path))[1]
    data = windows(path)
    assert len(data) == 24
    sample = data[12 + 3]
    frames = resize_frames(demo.pictures["wrist"][2:4], 8)
    assert torch.equal(sample["images"][:, 1], frames)
    np.testing.assert_allclose(
        LAYOUT.decode_actions(sample["actions"].numpy()), demo.actions[3:11], atol=1e-6
    )


def test_the_first_frame_repeats_and_the_tail_stands_still(tmp_path: Path) -> None:
    data = windows(write_file(tmp_path / "a.hdf5", convention="before_action"))
    first, last = data[0]["images"], data[11]["actions"]
    assert torch.equal(first[0], first[1])
    decoded = LAYOUT.decode_actions(last.numpy())
    assert (decoded[1:, :6] == 0).all()
    assert (decoded[:, 6] == 1.0).all()
