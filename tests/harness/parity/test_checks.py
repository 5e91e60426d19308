"""The parity check on the real simulator: a sound demonstration passes, broken ones are named."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from harness.cli import main
from harness.demonstrations.attempts import attempt_file
from harness.demonstrations.config import CollectionConfig
from harness.demonstrations.episode import make_attempt
from harness.parity.checks import compare, find_task_of
from harness.parity.images import TURNS
from harness.parity.inputs import Comparison, find_shift, graded
from harness.parity.metrics import check_instruction, check_sentence
from policies.rdt.actions.layout import Layout
from policies.rdt.actions.layout_file import get_layout
from policies.rdt.checkpoint.storage import load_contract
from tasks.demos.reader import read_recording
from tasks.demos.schema import PHASES_ATTRIBUTE
from tasks.errors import none_failed
from tasks.protocols import get_protocol
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task
from training.demos.writer import merge_demos

SIZE = 64
PROTOCOL = get_protocol(resolution=SIZE)
ROOT = Path(__file__).parents[3]
PICTURES = ("agentview_rgb", "eye_in_hand_rgb")

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def demo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demos")
    config = CollectionConfig(suite="libero_object", tasks=(0,), out=folder, resolution=SIZE)
    task = find_task("libero_object", 0)
    assert make_attempt(config, task, folder, 0).kept
    path = folder / task.demo_file
    merge_demos(path, [attempt_file(folder, 0)], task, PROTOCOL, {})
    return path


@pytest.fixture(scope="module")
def simulator():
    simulator = Simulator(find_task("libero_object", 0), PROTOCOL)
    yield simulator
    simulator.close()


@pytest.fixture
def examine(demo_file: Path, simulator: Simulator, tmp_path: Path):
    """Compare a copy of the demonstration that was changed first."""

    def of(
        change: Callable[[h5py.File], None] = lambda file: None,
        *,
        layout: Layout | None = None,
    ) -> dict[str, Comparison]:
        copy = tmp_path / demo_file.parent.name / demo_file.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(demo_file.read_bytes())
        with h5py.File(copy, "r+") as file:
            change(file)
        recording = read_recording(copy)
        assert find_task_of(recording, None, None) == simulator.task
        rows = compare(recording, simulator, PROTOCOL, layout or get_layout())
        return {row.name: row for row in rows}

    return of


def wrong(rows: dict[str, Comparison]) -> dict[str, str]:
    """What is not ok, with its status; each with a fix."""
    found = {name: row.status for name, row in rows.items() if row.status != "ok"}
    assert all(rows[name].fix for name in found)
    return found


def rewrite(file: h5py.File, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    values = file[f"data/demo_0/{name}"][...]
    del file[f"data/demo_0/{name}"]
    file[f"data/demo_0/{name}"] = change(values)


def test_a_sound_demonstration_passes(examine) -> None:
    rows = examine()
    assert wrong(rows) == {}
    assert "upright matches best: 0.0" in rows["pictures of agentview"].demo
    assert "motion × 1.00" in rows["action effect"].environment
    assert none_failed(rows.values())


def test_official_files_pass_with_their_own_convention(examine) -> None:
    """Theirs show what was seen after the action, and say nothing of it."""

    def make_official(file: h5py.File) -> None:
        del file["data"].attrs["obs_convention"], file["data/demo_0/intended_actions"]
        group = file["data/demo_0"]
        del group.attrs[PHASES_ATTRIBUTE]
        steps = len(group["actions"])
        for name in ("robot_states", *(f"obs/{each}" for each in group["obs"])):
            rewrite(file, name, lambda values: values[1:])
        for name in ("actions", "states", "rewards", "dones"):
            rewrite(file, name, lambda values: values[: steps - 1])

    rows = examine(make_official)
    assert wrong(rows) == {}
    assert "rows are seen after their action: the hand" in rows["observation time"].demo


def test_flipped_pictures(examine) -> None:
    def flip(file: h5py.File) -> None:
        rewrite(file, "obs/agentview_rgb", lambda pictures: pictures[:, ::-1])
        rewrite(file, "obs/eye_in_hand_rgb", lambda pictures: pictures[:, :, ::-1])

    rows = examine(flip)
    assert wrong(rows) == {"pictures of agentview": "failed", "pictures of wrist": "failed"}
    assert rows["pictures of agentview"].demo.startswith("flipped vertically matches best: 0.0")
    assert "store pictures[:, ::-1] instead" in rows["pictures of agentview"].fix
    assert rows["pictures of wrist"].demo.startswith("flipped horizontally matches best: 0.0")


def test_pictures_stored_upright(examine) -> None:
    def turn(file: h5py.File) -> None:
        for name in PICTURES:
            rewrite(file, f"obs/{name}", lambda pictures: pictures[:, ::-1, ::-1])

    rows = examine(turn)
    assert wrong(rows) == {"pictures of agentview": "failed", "pictures of wrist": "failed"}
    assert rows["pictures of wrist"].demo.startswith("rotated by 180° matches best: 0.0")


def test_swapped_cameras(examine) -> None:
    def swap(file: h5py.File) -> None:
        obs = file["data/demo_0/obs"]
        obs.move(PICTURES[0], "kept")
        obs.move(PICTURES[1], PICTURES[0])
        obs.move("kept", PICTURES[1])

    rows = examine(swap)
    assert wrong(rows) == {"cameras": "failed"}
    assert rows["cameras"].demo == "agentview shows wrist, wrist shows agentview"


def test_a_negated_gripper_command(examine) -> None:
    def negate(file: h5py.File) -> None:
        for name in ("actions", "intended_actions"):
            rewrite(file, name, lambda actions: actions * np.array([1] * 6 + [-1]))

    rows = examine(negate)
    assert wrong(rows) == {"gripper command": "failed"}
    assert "+1 open, −1 close explains" in rows["gripper command"].demo


def test_signs_of_quaternion_and_fingers(examine) -> None:
    """The sign of a quaternion matters to others, that of the fingers to RDT."""

    def negate(file: h5py.File) -> None:
        rewrite(file, "robot_states", lambda rows: rows * np.array([-1, -1] + [1] * 3 + [-1] * 4))

    rows = examine(negate)
    assert wrong(rows) == {
        "hand quaternion": "warning",
        "gripper state": "failed",
        "encoded state": "failed",
    }
    assert "with the other sign in 5 of 5 rows" in rows["hand quaternion"].demo
    assert "signs are the other way round" in rows["gripper state"].fix


def test_other_forms_of_quaternion_gripper_and_colours(examine) -> None:
    def reform(file: h5py.File) -> None:
        rewrite(file, "robot_states", lambda rows: rows[:, [0, 1, 2, 3, 4, 8, 5, 6, 7]])
        rewrite(file, "obs/agentview_rgb", lambda pictures: pictures[..., ::-1])
        for name in ("actions", "intended_actions"):
            rewrite(
                file,
                name,
                lambda actions: np.column_stack([actions[:, :6], (actions[:, 6] + 1) / 2]),
            )

    rows = examine(reform)
    assert wrong(rows) == {
        "pictures of agentview": "failed",
        "hand quaternion": "failed",
        "gripper command": "failed",
        "encoded state": "failed",
        "actions and back": "failed",
    }
    assert "it is w x y z" in rows["hand quaternion"].demo
    assert "0 open, 1 close explains" in rows["gripper command"].demo
    assert "red and blue" in rows["pictures of agentview"].fix


def test_shifted_observations(examine) -> None:
    def shift(file: h5py.File) -> None:
        for name in ("robot_states", *(f"obs/{each}" for each in file["data/demo_0/obs"])):
            rewrite(file, name, lambda values: np.concatenate([values[1:], values[-1:]]))

    rows = examine(shift)
    assert wrong(rows) == {"observation time": "failed"}
    assert "row t shows the state of row t+1" in rows["observation time"].demo
    assert "--convention after_action" in rows["observation time"].fix


def test_shifted_pictures_alone(examine) -> None:
    def shift(file: h5py.File) -> None:
        for name in PICTURES:
            rewrite(file, f"obs/{name}", lambda values: np.concatenate([values[:1], values[:-1]]))

    rows = examine(shift)
    assert rows["pictures in time"].status == "failed"
    row = int(rows["pictures in time"].demo.split()[1])
    assert rows["pictures in time"].demo == f"row {row} shows row {row - 1}"


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        (lambda actions: actions * np.array([0.5] * 6 + [1]), "2 times as far"),
        (lambda actions: np.concatenate([actions[:1], actions[:-1]]), "leads to states[t]"),
        (lambda actions: np.concatenate([actions[1:], actions[-1:]]), "starts from states[t + 1]"),
    ],
)
def test_actions_that_are_not_those_executed(examine, change, fix: str) -> None:
    def spoil(file: h5py.File) -> None:
        for name in ("actions", "intended_actions"):
            rewrite(file, name, change)

    rows = examine(spoil)
    assert rows["action effect"].status == "failed"
    assert fix in rows["action effect"].fix
    for check in ("joint positions", "hand position", "pictures of wrist", "observation time"):
        assert rows[check].status == "ok", check


def test_what_is_said_and_how_it_is_masked(examine, tmp_path: Path) -> None:
    layout = tmp_path / "own.toml"
    text = (ROOT / "policies/rdt/layouts/eef-velocity.toml").read_text()
    layout.write_text(text.replace("eef-velocity", "own").replace('n = "union"', 'n = "state"'))

    def say(file: h5py.File) -> None:
        data = file["data"]
        data.attrs["problem_info"] = json.dumps({"language_instruction": "open the drawer"})
        args = json.loads(data.attrs["env_args"])
        args["env_kwargs"]["control_freq"] = 10
        data.attrs["env_args"] = json.dumps(args)
        del data["demo_0"].attrs["model_file"]

    rows = examine(say, layout=get_layout(layout))
    said = "pick up the alphabet soup and place it in the basket"
    assert rows["instruction"].demo == f"{said} (not what problem_info notes: open the drawer)"
    assert rows["instruction"].environment == said
    assert wrong(rows) == {
        "fixtures": "warning",
        "control frequency": "failed",
        "mask": "failed",
    }
    assert "slots 39–44 of an action are masked" in rows["mask"].fix


def test_words_of_training_evaluation_and_checkpoint(
    demo_file: Path, small_checkpoint: Path
) -> None:
    task = find_task("libero_object", 0)
    bddl = get_protocol(resolution=SIZE, instructions="bddl")
    by_name, by_bddl = read_recording(demo_file), read_recording(demo_file, instructions="bddl")
    for protocol, same, other in ((PROTOCOL, by_name, by_bddl), (bddl, by_bddl, by_name)):
        assert check_instruction(same, task, protocol).status == "ok"
        assert check_instruction(other, task, protocol).status == "failed"
    contract = load_contract(small_checkpoint)
    for sentences, status, fix in (
        ([task.name_instruction], "ok", ""),
        ([task.bddl_instruction], "failed", "evaluate with --instructions bddl"),
        (["wipe the table"], "warning", "not trained on"),
        ([], "warning", "does not say"),
    ):
        row = check_sentence(replace(contract, demos={"instructions": sentences}), task, PROTOCOL)
        assert row.status == status
        assert fix in row.fix


def test_the_command(
    demo_file: Path, small_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["parity", str(demo_file), "--resolution", str(SIZE)]
    assert main(words) == 0
    table = capsys.readouterr().out
    assert "pictures of agentview" in table
    assert "failed" not in table
    given = [*words, "--protocol", "libero", "--checkpoint", str(small_checkpoint), "--json"]
    assert main(given) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["passed"] is False
    verdicts = {row["check"]: row["verdict"] for row in said["checks"]}
    assert {name for name, status in verdicts.items() if status == "failed"} == {
        "pictures of agentview",
        "pictures of wrist",
        "checkpoint: orientation",
        "checkpoint: picture size",
    }
    fixes = {row["check"]: row["fix"] for row in said["checks"]}
    assert "choose one with rotate180" in fixes["pictures of wrist"]
    assert fixes["checkpoint: picture size"] == "evaluate with --resolution 128"


def test_what_cannot_be_compared(
    demo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = tmp_path / "stranger.hdf5"
    stranger.write_bytes(demo_file.read_bytes())
    with h5py.File(stranger, "r+") as file:
        del file["data"].attrs["bddl_file_name"]
    other = ("--suite", "libero_spatial", "--task", "0")
    for words, why in (
        ((tmp_path / "nothing.hdf5",), "does not exist"),
        ((demo_file, "--demo", "1"), "holds no demonstration 1. Allowed: 0 to 0"),
        ((demo_file, "--demo", "-1"), "--demo: -1 given"),
        ((demo_file, *other), "it is another task's"),
        ((demo_file, "--layout", "eef-velocty"), "Did you mean 'eef-velocity'?"),
        ((stranger,), "does not say which task"),
    ):
        assert main(["parity", *map(str, words)]) == 2
        assert why in capsys.readouterr().err


def test_shifts_and_grades_without_a_simulator() -> None:
    rng = np.random.default_rng(0)
    recorded = np.cumsum(rng.normal(0, 0.05, (40, 7)), axis=0)
    for shift in (-2, -1, 0, 1, 2):
        assert find_shift(np.roll(recorded, -shift, axis=0), recorded).shift == shift
    assert not find_shift(np.zeros((5, 7)), np.zeros((5, 7))).certain
    assert [graded(x, 1.0, 2.0) for x in (1.0, 1.5, 2.5)] == ["ok", "warning", "failed"]
    picture = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert all(np.array_equal(turn(turn(picture)), picture) for turn in TURNS.values())
