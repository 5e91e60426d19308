"""When rows were seen, read off what real and simulated arms do: found, refused, never guessed."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest

from tasks.demos.file import open_demo_file
from tasks.demos.timing import Timing, check_states, observation_timing, timing_evidence
from tasks.errors import ConfigError
from tests.training.demo_files import as_openvla, write_collected

Arrays = dict[str, Any]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seen before the action; nothing says so."""
    folder = tmp_path_factory.mktemp("timing")
    return as_openvla(write_collected(folder / "ours.hdf5"), folder / "openvla.hdf5")


@pytest.fixture(scope="module")
def human(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a human did with LIBERO's controller and arm: demonstrations that robosuite brings.

    They hold states and actions; the hand is found from the joints.
    """
    mujoco = pytest.importorskip("mujoco")
    spec = importlib.util.find_spec("robosuite")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("robosuite is not installed")
    root = Path(spec.submodule_search_locations[0])
    path = tmp_path_factory.mktemp("human") / "lift.hdf5"
    source = root / "models" / "assets" / "demonstrations" / "lift" / "demo.hdf5"
    with h5py.File(source) as given, h5py.File(path, "w") as made:
        model = mujoco.MjModel.from_xml_string(_bones(given["data/demo_1"].attrs["model_file"]))
        data = mujoco.MjData(model)
        site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, "gripper0_grip_site")
        for name, demo in given["data"].items():
            states, rows = demo["states"][...], []
            for state in states:
                data.qpos[:] = state[1 : 1 + model.nq]
                mujoco.mj_kinematics(model, data)
                rows.append([*state[8:10], *data.site_xpos[site], 1.0, 0.0, 0.0, 0.0])
            group = made.create_group(f"data/{name}")
            group["actions"], group["robot_states"] = demo["actions"][...], np.array(rows)
            group["obs/joint_states"] = states[:, 1:8]
    return path


def _bones(mjcf: str) -> str:
    """Leave out all that has a shape: only where links are is asked."""
    root = ElementTree.fromstring(mjcf)
    for parent in [*root.iter()]:
        for child in [*parent]:
            if child.tag in ("geom", "asset"):
                parent.remove(child)
    root.find("compiler").attrib.update(boundmass="0.01", boundinertia="0.01")
    return ElementTree.tostring(root, encoding="unicode")


def rewritten(source: Path, path: Path, edit: Callable[[Arrays], Arrays], only: int = 99) -> Path:
    """Copy a file, its first demonstrations edited."""
    with h5py.File(source) as given, h5py.File(path, "w") as made:
        for index, (name, demo) in enumerate(given["data"].items()):
            arrays: Arrays = {}
            demo.visititems(
                lambda key, item, to=arrays: (
                    to.update({key: item[()]}) if isinstance(item, h5py.Dataset) else None
                )
            )
            for key, values in (edit(arrays) if index < only else arrays).items():
                made[f"data/{name}/{key}"] = values
    return path


def after_action(arrays: Arrays) -> Arrays:
    seen = {k: v[1:] for k, v in arrays.items() if k.startswith("obs/") or k == "robot_states"}
    return {k: seen.get(k, v[:-1]) for k, v in arrays.items()}


def without(*names: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {k: v for k, v in arrays.items() if k not in names}


def without_pauses(arrays: Arrays) -> Arrays:
    keep = np.linalg.norm(arrays["actions"][:, :6], axis=1) > 1e-4
    keep[0] = True
    return {k: v[keep] for k, v in arrays.items()}


def single(arrays: Arrays) -> Arrays:
    return {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in arrays.items()}


def timing(path: Path, *given: Any) -> Timing:
    with open_demo_file(path) as file:
        return observation_timing(file, *given)


@pytest.mark.parametrize(
    "edit", [without("states"), single, lambda a: without("robot_states")(without("states")(a))]
)
def test_the_hand_tells(simulated: Path, tmp_path: Path, edit: Callable[[Arrays], Arrays]) -> None:
    before = timing(rewritten(simulated, tmp_path / "before.hdf5", edit))
    assert (before.convention, before.source) == ("before_action", "found")
    moved = rewritten(simulated, tmp_path / "after.hdf5", lambda a: after_action(edit(a)))
    assert timing(moved).convention == "after_action"
    assert "as the next row's action says (fit " in str(timing(moved))


@pytest.mark.parametrize("pauses", [False, True])
def test_a_humans_hand_tells(human: Path, tmp_path: Path, pauses: bool) -> None:
    """Also where rows were cut out, and from each demonstration alone."""
    cut = (lambda a: a) if pauses else without_pauses
    before = rewritten(human, tmp_path / "before.hdf5", cut)
    after = rewritten(human, tmp_path / "after.hdf5", lambda a: cut(after_action(a)))
    assert timing(before).convention == "before_action"
    assert timing(after).convention == "after_action"
    for path in (before, after):
        whole = timing(path).convention
        for name in ("demo_1", "demo_2", "demo_3"):
            alone = tmp_path / f"{path.stem}_{name}.hdf5"
            with h5py.File(path) as given, h5py.File(alone, "w") as made:
                given.copy(f"data/{name}", made.create_group("data"))
            assert timing(alone).convention == whole


def test_a_few_steps_tell_right_or_nothing(human: Path, tmp_path: Path) -> None:
    path = tmp_path / "some.hdf5"
    told = 0
    for first in range(0, 480, 160):
        for steps in (3, 12, 20, 40):
            for shift in (0, 1):
                with h5py.File(human) as given, h5py.File(path, "w") as made:
                    for key in ("actions", "robot_states", "obs/joint_states"):
                        begin = first + (shift if key != "actions" else 0)
                        made[f"data/demo_1/{key}"] = given[f"data/demo_1/{key}"][
                            begin : begin + steps
                        ]
                with open_demo_file(path) as file:
                    found = timing_evidence(file).convention
                assert found in (None, ("before_action", "after_action")[shift])
                told += found is not None
    assert told > 5


def test_states_tell_where_the_hand_does_not(simulated: Path, tmp_path: Path) -> None:
    def other_actions(arrays: Arrays) -> Arrays:
        drawn = np.random.default_rng(5).uniform(-1, 1, arrays["actions"].shape)
        return arrays | {"actions": drawn}

    path = rewritten(simulated, tmp_path / "a.hdf5", other_actions)
    assert "joints are those of their row's state" in str(timing(path))
    moved = rewritten(simulated, tmp_path / "b.hdf5", lambda a: after_action(other_actions(a)))
    assert timing(moved).convention == "after_action"
    blind = rewritten(path, tmp_path / "c.hdf5", without("states"))
    with pytest.raises(ConfigError, match=r"as neither its own .*--convention before_action"):
        timing(blind)
    assert timing(blind, "after_action").source == "given"


@pytest.mark.parametrize("steps", [3, 5])
def test_too_few_steps_are_said_to_be_few(simulated: Path, tmp_path: Path, steps: int) -> None:
    short = rewritten(
        simulated,
        tmp_path / "a.hdf5",
        lambda a: {k: v[:steps] for k, v in a.items() if k != "states"},
    )
    with pytest.raises(ConfigError, match=r"none of its demonstrations has more than|neither"):
        timing(short)


def still(arrays: Arrays) -> Arrays:
    """Only the fingers move, from the step on at which they are told to."""
    steps = len(arrays["actions"])
    command = np.where(np.arange(steps) < 20, -1.0, 1.0)
    gap = np.full(steps, 0.08)
    gap[21:] = np.maximum(0.02, 0.079 - 0.005 * np.arange(steps - 21))
    robot = np.tile(arrays["robot_states"][0], (steps, 1))
    robot[:, 0], robot[:, 1] = gap / 2, -gap / 2
    actions = np.zeros((steps, 7))
    actions[:, 6] = command
    joints = np.tile(arrays["obs/joint_states"][0], (steps, 1))
    return {"actions": actions, "robot_states": robot, "obs/joint_states": joints}


def test_fingers_tell_where_nothing_else_moves(simulated: Path, tmp_path: Path) -> None:
    before = rewritten(simulated, tmp_path / "a.hdf5", still)
    assert timing(before).convention == "before_action"
    assert "fingers start" in str(timing(before))
    after = rewritten(simulated, tmp_path / "b.hdf5", lambda a: after_action(still(a)))
    assert timing(after).convention == "after_action"

    def at_rest(arrays: Arrays) -> Arrays:
        return still(arrays) | {"robot_states": np.tile(arrays["robot_states"][0], (60, 1))}

    with pytest.raises(ConfigError, match="the hand stays within 1 cm, and the fingers do not"):
        timing(rewritten(simulated, tmp_path / "c.hdf5", at_rest))


def test_what_contradicts_itself_is_refused(simulated: Path, tmp_path: Path) -> None:
    mixed = rewritten(simulated, tmp_path / "mixed.hdf5", after_action, only=1)
    with pytest.raises(ConfigError, match=r"in demo_1 .*in demo_10 .*Fix: keep"):
        timing(mixed)
    assert timing(mixed, "before_action").doubtful

    def late_states(arrays: Arrays) -> Arrays:
        return after_action(arrays) | {"states": arrays["states"][1:]}

    late = rewritten(simulated, tmp_path / "late.hdf5", late_states)
    with pytest.raises(ConfigError, match=r"next row's action .*but joints are those of their"):
        timing(late)
    with open_demo_file(late) as file, pytest.raises(ConfigError, match="not those before its"):
        check_states(file, "demo_1")


def test_a_file_that_says_otherwise_than_its_numbers(simulated: Path, tmp_path: Path) -> None:
    path = rewritten(simulated, tmp_path / "a.hdf5", lambda a: a)
    with h5py.File(path, "r+") as file:
        file["data"].attrs["obs_convention"] = "before_action"
    assert (timing(path).source, timing(path).doubtful) == ("stated", False)
    with h5py.File(path, "r+") as file:
        file["data"].attrs["obs_convention"] = "after_action"
    with pytest.raises(ConfigError, match=r"says after_action, but the hand .*it is before_action"):
        timing(path)
    given = timing(path, "after_action")
    assert given.doubtful
    assert "as --convention says, but the hand" in str(given)


def test_rows_that_are_two_actions_late_are_neither(simulated: Path, tmp_path: Path) -> None:
    path = rewritten(
        simulated,
        tmp_path / "a.hdf5",
        lambda a: after_action(after_action(without("states")(a))),
    )
    with pytest.raises(ConfigError, match="two rows later"):
        timing(path)
