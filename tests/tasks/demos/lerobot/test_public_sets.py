"""The conventions of the public sets, and of others that could be, each found from its data."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.demos.file import open_demos
from tasks.demos.folders import demo_task, find_demo_files
from tasks.demos.reader import read_demos
from tasks.demos.start import read_start
from tasks.errors import ConfigError
from tasks.protocols import IndexedStart
from tasks.rotations import quat_to_axisangle
from tests.tasks.demos.lerobot.robot import Recorded, record
from tests.tasks.demos.lerobot.sets import (
    DROID_AI,
    HUGGINGFACE_VLA,
    IPEC,
    LEROBOT,
    PUBLIC,
    TASKS,
    Kind,
    write_set,
)
from training.demos.check import check_demo_file

EPISODES = [record(seed) for seed in range(4)]
FINDINGS = {
    "physical-intelligence": {"gripper map": "ok", "frequency": "warning", "joints": "warning"},
    "HuggingFaceVLA": {"gripper map": "ok", "frequency": "warning", "joints": "warning"},
    "lerobot": {"gripper map": "ok", "frequency": "warning", "joints": "warning"},
    "IPEC": {"gripper map": "warning", "frequency": "ok", "joints": "warning"},
    "droid-ai": {"gripper map": "ok", "frequency": "warning", "joints": "ok"},
}


def check_same(root: Path, episodes: list[Recorded], *, lossless: bool, tasks: int = 2) -> None:
    """Compare what is read of a set with what was recorded."""
    for number, path in enumerate(find_demo_files(root)):
        for row, demo in enumerate(read_demos(path)):
            recorded = episodes[number + tasks * row]
            assert np.abs(demo.actions - recorded.actions).max() < 1e-7
            assert np.abs(demo.ee_pos - recorded.position).max() < 1e-6
            assert np.abs(demo.gripper_qpos - recorded.fingers).max() < 1e-7
            alike = np.abs((demo.ee_quat * recorded.quaternion).sum(1))
            assert alike.min() > 1 - 1e-6  # q and −q are the same orientation
            seen, shown = demo.images["agentview"], recorded.agentview[:, ::-1, ::-1]
            error = np.abs(seen.astype(int) - shown).mean()
            assert error == 0 if lossless else error < 1
            if lossless:
                np.testing.assert_array_equal(demo.images["wrist"], recorded.wrist[:, ::-1, ::-1])


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_set_is_read_as_it_was_recorded_and_its_oddities_are_named(
    name: str, tmp_path: Path
) -> None:
    kind = PUBLIC[name]
    root = write_set(tmp_path / "set", EPISODES, kind)
    check_same(root, EPISODES, lossless=kind.codec == "png")
    first = find_demo_files(root)[0]
    findings = {each.name: each for each in check_demo_file(first)}
    assert {key: findings[key].status for key in FINDINGS[name]} == FINDINGS[name]
    assert "failed" not in {each.status for each in findings.values()}
    assert f"labelled {kind.fps:g}" in findings["frequency"].detail
    assert "turned by 180°" in findings["pictures"].detail
    assert "seen before their action" in findings["observations"].detail


def test_tasks_are_found_by_their_sentences(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", EPISODES, HUGGINGFACE_VLA, tasks=("Turn on the stove.", "x"))
    files = find_demo_files(root)
    with open_demos(files[0]) as task:
        assert (demo_task(task).suite, demo_task(task).name) == ("libero_goal", "turn_on_the_stove")
    with open_demos(files[1]) as task, pytest.raises(ConfigError, match="no task"):
        demo_task(task)


def euler(recorded: Recorded) -> np.ndarray:
    """Orientation as extrinsic xyz Euler angles."""
    from scipy.spatial.transform import Rotation

    angles = Rotation.from_quat(recorded.quaternion).as_euler("xyz")
    return np.concatenate([recorded.position, angles, recorded.fingers], axis=1)


def negated(recorded: Recorded) -> np.ndarray:
    state = recorded.state
    state[:, 3:6] *= -1
    return state


def other_sign(recorded: Recorded) -> np.ndarray:
    """robosuite's sign where w < 0: angles beyond π."""
    turned = quat_to_axisangle(-recorded.quaternion, keep_sign=True)
    return np.concatenate([recorded.position, turned, recorded.fingers], axis=1)


def with_quaternion(recorded: Recorded) -> np.ndarray:
    width = recorded.fingers[:, :1] - recorded.fingers[:, 1:]
    return np.concatenate([recorded.position, recorded.quaternion, width], axis=1)


ODD: dict[str, tuple[dict[str, Any], str, str]] = {
    "gripper negated": ({"grip": lambda g: -g}, "gripper map", r"\+1 open, −1 close"),
    "gripper 0 and 1": ({"grip": lambda g: (g + 1) / 2}, "gripper map", "0 open, 1 close"),
    "as rendered": ({"turn": lambda images: images}, "pictures", "raw"),
    "flipped": ({"turn": lambda images: images[:, ::-1]}, "pictures", "upright"),
    "mirrored": ({"turn": lambda images: images[:, :, ::-1]}, "pictures", "mirrored"),
    "Euler angles": ({"to_state": euler}, "rotation", "euler:"),
    "negated axis": ({"to_state": negated}, "rotation", "negated:"),
    "angles beyond π": ({"to_state": other_sign}, "rotation", "beyond π"),
    "quaternions": ({"to_state": with_quaternion}, "state", "quaternion xyzw"),
    "robot_states": ({"to_state": lambda r: r.robot_states}, "state", "robot_states"),
    "names swapped": (
        {"image": "observation.images.image2", "wrist": "observation.images.image"},
        "state",
        "the wrong way round",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_convention_is_found_and_mapped(name: str, tmp_path: Path) -> None:
    changes, check, evidence = ODD[name]
    root = write_set(tmp_path / "set", EPISODES, replace(HUGGINGFACE_VLA, **changes))
    check_same(root, EPISODES, lossless=True)
    findings = {each.name: each for each in check_demo_file(find_demo_files(root)[0])}
    assert evidence.replace("\\", "") in findings[check].detail


def later(recorded: Recorded) -> Recorded:
    """Rows seen after their action."""
    arrays = {key: value[1:] for key, value in vars(recorded).items() if key != "actions"}
    return replace(recorded, **arrays, actions=recorded.actions[:-1])


def test_rows_seen_after_their_action_are_paired_with_the_next(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [later(each) for each in EPISODES], HUGGINGFACE_VLA)
    demo = next(read_demos(find_demo_files(root)[0]))
    assert np.abs(demo.actions - EPISODES[0].actions[1:-1]).max() < 1e-7
    assert np.abs(demo.ee_pos - EPISODES[0].position[1:-1]).max() < 1e-6


def test_rows_without_no_ops_are_taken_as_they_are(tmp_path: Path) -> None:
    def pause(recorded: Recorded) -> Recorded:
        keep = np.ones(len(recorded.actions), dtype=bool)
        keep[10:13] = keep[30:32] = False
        return replace(recorded, **{key: value[keep] for key, value in vars(recorded).items()})

    episodes = [pause(each) for each in EPISODES]
    root = write_set(tmp_path / "set", episodes, HUGGINGFACE_VLA)
    check_same(root, episodes, lossless=True)
    findings = {each.name: each for each in check_demo_file(find_demo_files(root)[0])}
    assert "left out before" in findings["no-ops"].detail


def every_other(recorded: Recorded) -> Recorded:
    return replace(recorded, **{key: value[::2] for key, value in vars(recorded).items()})


UNUSABLE: dict[str, tuple[Callable[[Recorded], Recorded], Kind, str]] = {
    "rows dropped": (every_other, HUGGINGFACE_VLA, "no control steps of 20 Hz"),
    "nothing moves in the images": (
        lambda r: replace(r, agentview=np.zeros_like(r.agentview) + r.agentview[:1]),
        HUGGINGFACE_VLA,
        "how its images are turned",
    ),
    "a state that nobody knows": (
        lambda r: r,
        replace(HUGGINGFACE_VLA, to_state=lambda r: r.state * 100),
        "state of 8 numbers is none that is known",
    ),
    "no hand": (
        lambda r: r,
        replace(HUGGINGFACE_VLA, to_state=lambda r: r.joints),
        "state of 7 numbers is none that is known",
    ),
    "a gripper that does not follow": (
        lambda r: replace(r, fingers=np.tile([0.025, -0.025], (len(r.actions), 1))),
        HUGGINGFACE_VLA,
        "how its gripper is commanded",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_cannot_be_told_is_refused_with_a_fix(name: str, tmp_path: Path) -> None:
    edit, kind, words = UNUSABLE[name]
    root = write_set(tmp_path / "set", [edit(each) for each in EPISODES], kind)
    with open_demos(find_demo_files(root)[0]) as task, pytest.raises(ConfigError) as refusal:
        task.conventions()
        task.images("data/demo_0/obs/agentview_rgb")
    assert words in str(refusal.value)
    assert "Fix:" in str(refusal.value)


def test_a_stated_convention_counts_where_the_data_do_not_tell(tmp_path: Path) -> None:
    still = [replace(e, agentview=np.zeros_like(e.agentview) + e.agentview[:1]) for e in EPISODES]
    root = write_set(tmp_path / "set", still, HUGGINGFACE_VLA)
    notes = root / "meta/libero-bench.json"
    notes.write_text(json.dumps({"conventions": {"pictures": "rotated"}}))
    check_same(root, still, lossless=True)
    notes.write_text(json.dumps({"conventions": {"pictures": "sideways"}}))
    with pytest.raises(ConfigError, match="Allowed: raw, upright, rotated, mirrored"):
        find_demo_files(root)
    notes.write_text(json.dumps({"conventions": {"gripper": "1 open, 0 close"}}))
    with open_demos(find_demo_files(root)[0]) as task, pytest.raises(ConfigError, match="states"):
        task.numbers("data/demo_0/actions", (7,))


def test_an_episode_of_others_begins_at_an_initial_state_of_the_evaluation(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", EPISODES, LEROBOT)
    with open_demos(find_demo_files(root)[1]) as task:
        assert read_start(task, "demo_1") == IndexedStart(init_state=1, seed=0)
        with pytest.raises(ConfigError, match="no states of the simulator"):
            read_start(task, "demo_1", stored=True)


@pytest.mark.parametrize("kind", [IPEC, LEROBOT], ids=["IPEC", "lerobot"])
def test_episodes_with_a_broken_video_are_left_out_and_named(kind: Kind, tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", EPISODES, kind)
    videos = sorted(root.glob(f"videos/**/*{kind.wrist}*/**/*.mp4"))
    videos[0].write_bytes(videos[0].read_bytes()[:-3000])
    if kind is LEROBOT:  # all episodes are in one video
        with pytest.raises(ConfigError, match="none of its 4 episodes can be used; episode 0: vid"):
            find_demo_files(root)
        return
    with open_demos(find_demo_files(root)[0]) as task:
        assert [task.conventions()["left_out"].keys(), task.demos()] == [{"0"}, ["demo_0"]]
    left_out = next(f for f in check_demo_file(root / "task_0") if f.name == "left out")
    assert "episode 0: videos" in left_out.detail


def test_damage_inside_a_video_is_found_by_decoding(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", EPISODES, replace(IPEC, codec="h264"))
    video = root / "videos/chunk-000/observation.images.wrist_image/episode_000000.mp4"
    content = bytearray(video.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    video.write_bytes(content)
    finding = next(f for f in check_demo_file(root / "task_0") if f.name == "videos")
    assert finding.status == "failed"
    assert "wrist_image of episode 0: frame" in finding.detail


def test_joints_come_from_the_sets_that_have_them(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", EPISODES, DROID_AI)
    demo = next(read_demos(find_demo_files(root)[1]))
    assert demo.has_joints
    np.testing.assert_array_equal(demo.joint_pos, EPISODES[1].joints.astype(np.float32))
    assert demo.instruction == TASKS[1]
