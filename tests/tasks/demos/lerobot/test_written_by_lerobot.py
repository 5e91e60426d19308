"""Sets that LeRobot 0.4.4 itself wrote; ``write_with_lerobot.py`` makes them."""

import json
from pathlib import Path

import numpy as np
import pytest

from tasks.demos.file import open_demos
from tasks.demos.folders import demo_task, find_demo_files
from tasks.demos.reader import Demo, read_demos
from tests.tasks.demos.lerobot.robot import record
from training.demos.lerobot.statistics import image_histogram, image_statistics, number_statistics

WRITTEN = Path(__file__).parent / "written"
EPISODES = [record(seed, steps=24, size=32) for seed in range(3)]


def demos_of(root: Path) -> list[Demo]:
    return [demo for path in find_demo_files(root) for demo in read_demos(path)]


@pytest.mark.parametrize("name", ["video", "image"])
def test_what_lerobot_wrote_is_read(name: str) -> None:
    demos = demos_of(WRITTEN / name)
    for demo, number in zip(demos, (0, 2, 1), strict=True):
        recorded = EPISODES[number]
        assert np.abs(demo.actions - recorded.actions).max() < 1e-7
        assert np.abs(demo.ee_pos - recorded.position).max() < 1e-6
        for camera, given in (("agentview", recorded.agentview), ("wrist", recorded.wrist)):
            error = np.abs(demo.images[camera].astype(int) - given[:, ::-1, ::-1]).mean()
            assert error == 0 if name == "image" else error < 20  # AV1 of noise
        if name == "video":  # not one frame off: the neighbours differ more
            shown, given = demo.images["wrist"].astype(int), recorded.wrist[:, ::-1, ::-1]
            right = np.abs(shown - given).mean()
            assert right < 0.6 * np.abs(shown[1:] - given[:-1]).mean()


def test_the_tasks_are_liberos() -> None:
    with open_demos(WRITTEN / "video/task_1") as task:
        assert demo_task(task).name == "put_the_bowl_on_the_stove"


def test_statistics_are_those_that_lerobot_computes() -> None:
    theirs = json.loads((WRITTEN / "image/meta/stats.json").read_text())
    ours = number_statistics(np.concatenate([e.actions.astype(np.float32) for e in EPISODES]))
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(ours[name], theirs["action"][name], rtol=1e-5, atol=1e-6)
    assert ours["count"] == theirs["action"]["count"]
    turned = [np.ascontiguousarray(e.agentview[:, ::-1, ::-1]) for e in EPISODES]
    images = image_statistics([image_histogram(each) for each in turned])
    for name in ("min", "max", "mean"):  # its deviation of images is off: squares of bytes overflow
        np.testing.assert_allclose(
            images[name], theirs["observation.images.image"][name], atol=2e-3
        )
    shown = np.concatenate(turned) / 255
    np.testing.assert_allclose(np.ravel(images["std"]), shown.std(axis=(0, 1, 2)))
    assert np.shape(images["q50"]) == (3, 1, 1)
