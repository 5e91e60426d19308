"""Replaying demonstrations: which one, what of it, and mistakes; no simulator is built."""

import json
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from policies.interface import PlanRequest, StartingPolicy
from policies.registry import PolicyConfig
from policies.replay import HORIZON, ReplayPolicy
from tasks.demos.file import open_demo_file
from tasks.demos.start import read_start
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import FloatArray
from tasks.protocols import IndexedStart, SampledStart, StoredStart
from tasks.suites import find_task

SUITE = "libero_object"
LENGTHS = (70, 3, 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A demo folder for tasks 0 and 1; the second file is not in its suite's folder."""
    for index in (0, 1):
        task = find_task(SUITE, index)
        path = tmp_path / (task.demo_file if index == 0 else Path(task.demo_file).name)
        write(path, bddl=f"libero/bddl_files/{SUITE}/{task.bddl_file.name}", seed=index)
    return tmp_path


def write(path: Path, *, bddl: str | None, seed: int, scene_seed: bool = True) -> None:
    """Write demos 2, 10 and 11, so that the order of names is not that of text."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        if bddl:
            data.attrs["bddl_file_name"] = bddl
        for number, steps in zip((2, 10, 11), LENGTHS, strict=True):
            group = data.create_group(f"demo_{number}")
            actions = rng.uniform(-1, 1, (steps, 7))
            actions[:, 6] = 1.0
            group["actions"] = actions
            group["states"] = rng.normal(size=(steps, 12))
            group.attrs["model_file"] = "<mujoco/>"
            if scene_seed:
                group.attrs["scene_seed"] = 100_000 + number


def file_of(folder: Path, task: int) -> Path:
    demo_file = Path(find_task(SUITE, task).demo_file)
    inside = folder / demo_file
    return inside if inside.exists() else folder / demo_file.name


def stored(folder: Path, task: int, name: str, key: str) -> FloatArray:
    with h5py.File(file_of(folder, task)) as file:
        array: FloatArray = file[f"data/{name}/{key}"][...]
        return array


def build(demos: Path, **options: object) -> ReplayPolicy:
    recipe = PolicyConfig(name="replay", options={"demos": str(demos), **options})
    policy = pickle.loads(pickle.dumps(recipe)).build()
    assert isinstance(policy, ReplayPolicy)
    return policy


def ask(policy: ReplayPolicy, step: int) -> FloatArray:
    request = PlanRequest(window=(), instruction="", seed=0, step=step)
    return policy.plan([request])[0]


def test_a_plan_is_what_the_demo_did_from_that_step_on(folder: Path) -> None:
    policy = build(folder)
    assert isinstance(policy, StartingPolicy)
    assert (policy.spec.privileged, policy.spec.cameras) == (True, ())
    policy.start(SUITE, 0, 0)
    actions = stored(folder, 0, "demo_2", "actions")
    np.testing.assert_array_equal(ask(policy, 0), actions[:HORIZON])
    for step in (7, 69, 70, 500):
        plan = ask(policy, step)
        left = actions[step : step + HORIZON]
        np.testing.assert_array_equal(plan[: len(left)], left)
        assert (plan[len(left) :, :6] == 0).all()
        assert (plan[len(left) :, 6] == 1.0).all()  # the gripper stays as it was


@pytest.mark.parametrize(("init_state", "name"), [(0, "demo_2"), (1, "demo_10"), (2, "demo_11")])
def test_an_initial_state_counts_the_demos_of_the_task(folder, init_state: int, name: str) -> None:
    for task in (0, 1):
        policy = build(folder)
        assert policy.start(SUITE, task, init_state) == SampledStart(
            seed=100_000 + int(name.removeprefix("demo_"))
        )
        actions = stored(folder, task, name, "actions")
        np.testing.assert_array_equal(ask(policy, 0)[: len(actions)], actions[:HORIZON])


def test_one_demo_for_every_episode(folder: Path) -> None:
    policy = build(folder, demo=2)
    assert {policy.start(SUITE, 0, k) for k in (0, 1, 40)} == {SampledStart(seed=100_011)}


def test_where_an_episode_starts(folder: Path, tmp_path: Path) -> None:
    state = stored(folder, 0, "demo_2", "states")[0]
    given = build(folder, start="stored").start(SUITE, 0, 0)
    assert isinstance(given, StoredStart)
    np.testing.assert_array_equal(given.state, state)
    assert given.model_xml == "<mujoco/>"
    official = tmp_path / f"{find_task(SUITE, 0).name}_demo.hdf5"
    write(official, bddl=None, seed=0, scene_seed=False)
    assert isinstance(build(official).start(SUITE, 0, 0), StoredStart)


def test_a_demo_of_an_initial_state_starts_there_again(folder: Path) -> None:
    """As ``demos replay`` starts it: both ask one reader."""
    path = file_of(folder, 0)
    with h5py.File(path, "r+") as file:
        attributes = file["data/demo_2"].attrs
        del attributes["scene_seed"]
        attributes["start"] = json.dumps({"init_state": 4, "seed": 7})
    policy = build(path)
    start = policy.start(SUITE, 0, 0)
    assert start == IndexedStart(init_state=4, seed=7)
    with open_demo_file(path) as file:
        assert read_start(file, "demo_2") == start
    elsewhere = SimpleNamespace(get_state=lambda: np.zeros(12))
    with pytest.raises(SpecMismatchError, match="another state than its seed 7 gives"):
        policy.begin(elsewhere, 0)


def test_a_demo_that_was_taken_up_unsettled_settles_again(folder: Path) -> None:
    path = file_of(folder, 0)
    with h5py.File(path, "r+") as file:
        del file["data/demo_2"].attrs["scene_seed"]
        file["data/demo_2/states"][:, 0] = 0.05 * (np.arange(70) + 10 * (np.arange(70) > 0))
    start = build(path).start(SUITE, 0, 0)
    assert isinstance(start, StoredStart)
    assert start.settle_steps == 10


def test_another_state_than_the_demos_is_refused(folder: Path) -> None:
    policy = build(folder)
    with pytest.raises(ConfigError, match="has no episode"):
        policy.begin(None, 0)
    with pytest.raises(ConfigError, match="has no episode"):
        ask(policy, 0)
    policy.start(SUITE, 0, 0)
    state = stored(folder, 0, "demo_2", "states")[0]
    policy.begin(SimpleNamespace(get_state=lambda: state), 0)
    moved = SimpleNamespace(get_state=lambda: state + 0.25)
    with pytest.raises(SpecMismatchError, match=r"demo_2 starts.*100002.*0\.25 apart.*stored"):
        policy.begin(moved, 0)
    longer = SimpleNamespace(get_state=lambda: np.zeros(20))
    with pytest.raises(SpecMismatchError, match="inf apart"):
        policy.begin(longer, 0)
    lax = build(folder, start="stored")
    lax.start(SUITE, 0, 0)
    lax.begin(moved, 0)
    request = PlanRequest(window=(), instruction="", seed=0)
    with pytest.raises(ConfigError, match="got 2 requests"):
        policy.plan([request, request])


def test_episodes_are_checked_before_any_is_run(folder: Path, tmp_path: Path) -> None:
    policy = build(folder)
    whole = policy.check_episodes(SUITE, (0, 1), (0, 1, 2))
    assert policy.check_episodes(SUITE, (0, 1), (0, 1, 2)) == whole
    assert policy.check_episodes(SUITE, (0, 1), (0, 1)) != whole
    with pytest.raises(ConfigError, match=r"no demonstration 3, it holds 3.*--episodes 3"):
        policy.check_episodes(SUITE, (0,), (0, 3))
    with pytest.raises(ConfigError, match=r"no demos of libero_object task 2: neither"):
        policy.check_episodes(SUITE, (0, 2), (0,))
    with pytest.raises(ConfigError, match="do not exist"):
        build(tmp_path / "nowhere").check_episodes(SUITE, (0,), (0,))
    with pytest.raises(SpecMismatchError, match=r"holds demos of '.*alphabet.*task 1 is '.*cream"):
        build(file_of(folder, 0)).check_episodes(SUITE, (0, 1), (0,))
    write(file_of(folder, 1), bddl=None, seed=5)
    assert policy.check_episodes(SUITE, (0, 1), (0, 1, 2)) != whole


def test_damaged_files_are_refused(folder: Path) -> None:
    path = file_of(folder, 0)

    def refused(match: str) -> None:
        with pytest.raises(ConfigError, match=match):
            build(path).check_episodes(SUITE, (0,), (0,))

    with h5py.File(path, "r+") as file:
        file["data/demo_2/actions"][0, 0] = 2.0
    refused(r"An action holds 2")
    with h5py.File(path, "r+") as file:
        file["data/demo_2/actions"][0, 0] = np.nan
    refused("NaN")
    with h5py.File(path, "r+") as file:
        del file["data/demo_2/actions"]
    refused(r"demo_2/actions is missing.*Fix")
    with h5py.File(path, "r+") as file:
        file["data/demo_2/actions"] = np.zeros((0, 7))
    refused(r"shape \(0, 7\)")
    with h5py.File(path, "r+") as file:
        del file["data"]
    refused("no group 'data'")
    path.write_bytes(b"no HDF5")
    refused(r"it is no HDF5 file.*Fix")


def _trillion_rows(group: h5py.Group, other: Path) -> None:
    del group["actions"]
    group.create_dataset("actions", (10**12, 7), "f8", chunks=(4096, 7), compression="gzip")


def _wide_states(group: h5py.Group, other: Path) -> None:
    del group["states"]
    group.create_dataset("states", (70, 10**9), "f8", chunks=(1, 1024), compression="gzip")


def _nan_at_the_start(group: h5py.Group, other: Path) -> None:
    group["states"][0, 3] = np.nan


def _elsewhere(group: h5py.Group, other: Path) -> None:
    del group["states"]
    group["states"] = h5py.ExternalLink(str(other), "data/demo_2/states")


def _fewer_states(group: h5py.Group, other: Path) -> None:
    del group["states"]
    group["states"] = np.zeros((69, 12))


def _words_for_a_seed(group: h5py.Group, other: Path) -> None:
    group.attrs["scene_seed"] = "seven"


def _no_seed_of_numpy(group: h5py.Group, other: Path) -> None:
    group.attrs["scene_seed"] = -1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_trillion_rows, r"shape \(1000000000000, 7\)"),
        (_wide_states, "declares 560,000,000,000 bytes"),
        (_nan_at_the_start, "NaN or infinity"),
        (_elsewhere, "is a link"),
        (_fewer_states, "69 rows, actions has 70"),
        (_words_for_a_seed, "start of demo_2 .*'seven' is no number"),
        (_no_seed_of_numpy, "'-1' is no number from 0"),
    ],
)
def test_hostile_files_are_refused_before_memory_is_taken(
    folder: Path, damage: Callable[[h5py.Group, Path], None], words: str
) -> None:
    path = file_of(folder, 0)
    with h5py.File(path, "r+") as file:
        damage(file["data/demo_2"], file_of(folder, 1))
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match=words) as caught:
            build(path).check_episodes(SUITE, (0,), (0,))
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert "Fix:" in str(caught.value)


def test_a_demo_without_attributes_replays_from_its_state(folder: Path) -> None:
    path = file_of(folder, 0)
    with h5py.File(path, "r+") as file:
        for name in ("model_file", "scene_seed"):
            del file["data/demo_2"].attrs[name]
    start = build(path).start(SUITE, 0, 0)
    assert isinstance(start, StoredStart)
    assert start.model_xml == ""


def test_bad_options() -> None:
    for options, words in [
        ({}, "'replay': demos: it must be given"),
        ({"demos": "x", "demo": -1}, "demo: -1 given"),
        ({"demos": "x", "start": "exact"}, "start: 'exact' given"),
        ({"demo": 1, "demoss": "x"}, "Did you mean 'demos'"),
    ]:
        with pytest.raises(ConfigError, match=words):
            PolicyConfig(name="replay", options=options).build()
