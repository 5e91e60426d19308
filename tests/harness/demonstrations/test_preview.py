"""Contact sheets show what a demonstration has."""

from dataclasses import replace
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from harness.demonstrations.preview import draw_demo, draw_overview, frame_steps, overview_row
from tasks.demos.motion import Phase
from tasks.demos.reader import read_demos
from tests.training.demo_files import write_official


@pytest.mark.slow
def test_sheets_are_pictures_with_the_frames_in_them(tmp_path: Path) -> None:
    demos = list(read_demos(write_official(tmp_path / "a.hdf5")))
    plain = imageio.imread(draw_demo(demos[0], tmp_path / "out" / "demo.png"))
    assert plain.shape[0] > 600
    assert plain.shape[1] > 900
    block = (plain[..., :3] == 220).all(axis=-1)  # the block that moves in the pictures
    assert block.sum() > 500
    sheet = imageio.imread(
        draw_overview([overview_row(demo) for demo in demos], tmp_path / "out" / "all.png")
    )
    assert (sheet[..., :3] == 220).all(axis=-1).sum() > 500
    assert not list(tmp_path.rglob("*.writing"))


@pytest.mark.slow
def test_phases_are_drawn_in_their_colours(tmp_path: Path) -> None:
    demo = replace(next(read_demos(write_official(tmp_path / "a.hdf5"))), phases=())
    green = np.array([39, 174, 96])
    count = []
    for phases in ((), (Phase(step=20, kind="goal", what="On(a, b)"),)):
        image = imageio.imread(draw_demo(replace(demo, phases=phases), tmp_path / "a.png"))
        count.append(int((np.abs(image[..., :3].astype(int) - green).max(-1) < 12).sum()))
    assert count[1] > count[0] + 300


def test_every_phase_has_a_frame_near_it(tmp_path: Path) -> None:
    demo = next(read_demos(write_official(tmp_path / "a.hdf5", steps=200)))
    phases = tuple(Phase(step=step, kind="slow") for step in (3, 40, 41, 90, 150))
    steps = frame_steps(replace(demo, phases=phases))
    assert steps == sorted(set(steps))
    assert {3, 40, 90, 150} <= set(steps)
    assert 41 not in steps
    assert max(steps) == demo.steps - 1
    many = tuple(Phase(step=step, kind="slow") for step in range(0, 199, 6))
    assert len(frame_steps(replace(demo, phases=many))) <= 16
