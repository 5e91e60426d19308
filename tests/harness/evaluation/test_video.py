from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from harness.evaluation.rollout import run_episode
from harness.evaluation.video import VideoWriter, video_name
from policies.delay import Delay
from policies.executor import PlanExecutor
from results.records import EpisodeKey
from tests.harness.doubles import EchoEnvironment, LocalPlanner, RecordingPolicy

KEY = EpisodeKey("libero_object", 2, 5, 7)


def film(tmp_path: Path, goal: float = 1e9) -> Path:
    policy = RecordingPolicy()
    record = run_episode(
        EchoEnvironment(2, goal=goal),
        LocalPlanner(policy),
        policy.spec,
        PlanExecutor(64, 8),
        key=KEY,
        task_name="two",
        subscribers=[VideoWriter(tmp_path, KEY)],
    )
    assert record.video == "videos/libero_object-t2-i5-s7.mp4"
    return tmp_path / record.video


def first_frame(folder: Path, writer: VideoWriter) -> np.ndarray:
    return imageio.imread(folder / writer.end("failure"), plugin="pyav")[0].astype(int)


@pytest.mark.slow
def test_a_browser_can_play_it_at_real_speed(tmp_path: Path) -> None:
    path = film(tmp_path)
    about = imageio.immeta(path, plugin="pyav")
    assert (about["codec"], about["video_format"], about["fps"]) == ("h264", "yuv420p", 20.0)
    frames = imageio.imread(path, plugin="pyav")
    assert len(frames) == 1 + 40 + 20  # the start, every step, and the outcome for a second
    assert frames.shape[1] % 2 == 0
    assert frames.shape[2] % 2 == 0
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.slow
def test_the_outcome_is_on_the_last_frames(tmp_path: Path) -> None:
    failed = imageio.imread(film(tmp_path / "f"), plugin="pyav")[-1].astype(int)
    solved = imageio.imread(film(tmp_path / "s", goal=0.1), plugin="pyav")[-1].astype(int)
    badge = (slice(60, 104), slice(250, 390))
    assert (failed[badge][..., 0] - failed[badge][..., 1]).max() > 80  # red
    assert (solved[badge][..., 1] - solved[badge][..., 0]).max() > 60  # green


@pytest.mark.slow
def test_pictures_of_a_protocol_that_leaves_them_upside_down_are_turned(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path, KEY, upright=False)
    env = EchoEnvironment()
    seen, _ = env.reset(seed=7, options={"init_state": 0, "cameras": writer.cameras})
    seen["agentview"][:8] = 255  # bright at the top as rendered
    writer.begin(seen, 40)  # type: ignore[arg-type]
    frame = first_frame(tmp_path, writer)
    assert frame[80, 160].mean() < 50 < frame[330, 160].mean()


@pytest.mark.slow
def test_an_aborted_episode_leaves_no_file(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path, KEY)
    seen, _ = EchoEnvironment().reset(seed=7, options={"init_state": 0, "cameras": writer.cameras})
    writer.begin(seen, 40)  # type: ignore[arg-type]
    writer.abort()
    assert list((tmp_path / "videos").iterdir()) == []


def test_names_differ_wherever_episodes_do() -> None:
    keys = {EpisodeKey(s, t, i, e) for s in "ab" for t in (1, 11) for i in (1, 11) for e in (1, 7)}
    assert len({video_name(key) for key in keys}) == len(keys)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "width"),
    [("x", (4, 20)), ("put it there " * 5, (300, 624)), ("put " * 40, (600, 640))],
)
def test_instructions_of_any_length_are_shown(
    tmp_path: Path, words: str, width: tuple[int, int]
) -> None:
    writer = VideoWriter(tmp_path, KEY)
    seen, _ = EchoEnvironment().reset(seed=7, options={"init_state": 0, "cameras": writer.cameras})
    writer.begin({**seen, "instruction": words}, 40)  # type: ignore[typeddict-item]
    line = first_frame(tmp_path, writer)[8:28].max(axis=(0, 2))
    bright = np.flatnonzero(line > 120)
    assert width[0] <= bright.max() - bright.min() <= width[1]


@pytest.mark.slow
def test_late_plans_and_a_held_hand_are_drawn(tmp_path: Path) -> None:
    def frames(delay: Delay) -> np.ndarray:
        policy = RecordingPolicy()
        folder = tmp_path / str(delay.steps)
        record = run_episode(
            EchoEnvironment(2, goal=1e9, max_steps=12),
            LocalPlanner(policy),
            policy.spec,
            PlanExecutor(64, 8, delay=delay),
            key=KEY,
            task_name="two",
            subscribers=[VideoWriter(folder, KEY)],
        )
        assert record.video
        return imageio.imread(folder / record.video, plugin="pyav").astype(int)

    plain, late = frames(Delay()), frames(Delay(steps=3, first="hold"))
    label = (slice(395, 425), slice(232, 330))  # beside the number of the plan
    assert plain[6][label].max() < 60 < late[6][label].max()
    rail = (slice(382, 388), slice(20, 120))
    purple = late[6][rail][..., 0] - late[6][rail][..., 1]
    assert purple.max() > 40
    assert (plain[6][rail][..., 0] - plain[6][rail][..., 1]).max() < 40
