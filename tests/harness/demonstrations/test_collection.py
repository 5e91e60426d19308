"""Collecting demonstrations on the real simulator."""

import fcntl
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from harness.demonstrations.attempts import Attempt, demo_start
from harness.demonstrations.collection import Collected, TaskAttempts, collect
from harness.demonstrations.config import CollectionConfig
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.run import evaluate
from policies.interface import PlanRequest, UnsupportedGoalError
from policies.registry import PolicyConfig
from policies.replay import ReplayPolicy
from results.folder import load_run
from tasks.demos.reader import read_demos
from tasks.demos.schema import IMAGE_DATASETS
from tasks.environment import LiberoEnv
from tasks.errors import ConfigError, ResultsError
from tasks.observation import CAMERAS
from tasks.protocols import IndexedStart, SampledStart, get_protocol
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task

SIZE = 32
ROOT = Path(__file__).parents[3]


@pytest.fixture
def config(collection_config: CollectionConfig) -> CollectionConfig:
    return collection_config


@pytest.fixture
def file(collected: Collected) -> Path:
    assert (collected.kept, collected.problem) == (2, "")
    return collected.path


@pytest.mark.sim
def test_the_file_is_in_liberos_format(file: Path) -> None:
    assert file.name.endswith("_demo.hdf5")
    with h5py.File(file) as opened:
        data = opened["data"]
        assert data.attrs["num_demos"] == 2
        assert data.attrs["tag"] == "libero-v1"
        assert data.attrs["macros_image_convention"] == "opengl"
        assert json.loads(data.attrs["env_args"])["type"] == 1
        assert "(:goal" in data.attrs["bddl_file_content"]
        words = json.loads(data.attrs["problem_info"])["language_instruction"]
        assert words == "pick up the alphabet soup and place it in the basket"
        assert json.loads(data.attrs["provenance"])["instructions"] == "name"
        assert "floor_manipulation" in data.attrs["env_name"].lower()
        assert data.attrs["total"] == sum(data[f"demo_{i}"].attrs["num_samples"] for i in (0, 1))
        demo = data["demo_0"]
        steps = demo.attrs["num_samples"]
        assert demo["actions"].shape == (steps, 7)
        pushed = np.abs(demo["actions"][...] - demo["intended_actions"][...])
        assert 0.01 < pushed[:, :6].mean() < 0.2
        assert pushed[:, 6].max() == 0
        assert demo["robot_states"].shape == (steps, 9)
        assert demo["obs/ee_states"].shape == (steps, 6)
        assert demo["obs/agentview_rgb"].shape == (steps, SIZE, SIZE, 3)
        assert demo["dones"][-1] == 1
        assert demo["dones"][:-1].sum() == 0
        np.testing.assert_array_equal(demo.attrs["init_state"], demo["states"][0])
        assert "<mujoco" in demo.attrs["model_file"]


@pytest.mark.sim
def test_demos_show_what_the_environment_shows_and_succeed(file: Path) -> None:
    """Executed again, a demo passes through the same states, shows the same pictures, succeeds."""
    task = find_task("libero_object", 0)
    simulator = Simulator(task, get_protocol(resolution=SIZE))
    demo = next(read_demos(file))
    with h5py.File(file) as opened:
        group = opened["data/demo_0"]
        states = group["states"][...]
        seed = int(group.attrs["scene_seed"])
        starts = [opened[f"data/demo_{i}/states"][0] for i in (0, 1)]
    try:
        observation = simulator.reset(None, seed=seed, cameras=CAMERAS)
        for step, action in enumerate(demo.actions):
            np.testing.assert_array_equal(simulator.get_state(), states[step])
            np.testing.assert_array_equal(observation["joint_pos"], demo.joint_pos[step])
            if step in (0, 1, 50, demo.steps - 1):
                for camera in IMAGE_DATASETS:
                    np.testing.assert_array_equal(observation[camera], demo.images[camera][step])
            near = step + 1 in (1, 50, demo.steps - 1)
            observation = simulator.step(action, cameras=CAMERAS if near else ())
        assert simulator.success()
    finally:
        simulator.close()
    evaluated = task.init_states()
    for start in starts:
        assert np.abs(evaluated[:, 1:] - start[1:]).max(axis=1).min() > 1e-3


def _success_step(demo: Mapping[str, Any]) -> int:
    """Return after how many actions the goal held, as noted when the demo was collected."""
    return int(next(p["step"] for p in json.loads(demo["phases"]) if p["kind"] == "goal"))


@pytest.mark.sim
def test_demos_replay_to_success_through_an_evaluation(file: Path, tmp_path: Path) -> None:
    config = EvaluationConfig(
        policy=PolicyConfig(name="replay", options={"demos": str(file)}),
        suite="libero_object",
        out=tmp_path / "run",
        tasks=(0,),
        episodes=2,
        exec_horizon=16,
        workers=1,
    )
    info, records = load_run(evaluate(config))
    with h5py.File(file) as opened:
        demos = [opened[f"data/demo_{index}"].attrs for index in (0, 1)]
        # Collecting goes on after success, replaying ends with it.
        assert [(record.outcome, record.steps, record.scene_hash) for record in records] == [
            ("success", _success_step(demo), demo["scene_hash"]) for demo in demos
        ]
        assert all(_success_step(demo) <= demo["num_samples"] - 10 for demo in demos)
    plain = get_protocol("openvla")
    assert info.protocol["starts"] == "demos"
    assert info.protocol["hash"] != plain.hash  # never ranked among policies without saying so
    with pytest.raises(ConfigError, match="no demonstration 2"):
        evaluate(replace(config, out=tmp_path / "more", episodes=3))
    assert not (tmp_path / "more").exists()


@pytest.mark.sim
def test_a_replay_passes_through_the_demos_states(file: Path) -> None:
    """Bit for bit from the sampled start; from the stored state close by, and to success."""
    policy = ReplayPolicy(file)
    env = LiberoEnv("libero_object", 0, images=False)
    request = PlanRequest(window=(), instruction="", seed=0)
    with h5py.File(file) as opened:
        states = opened["data/demo_1/states"][...]
        success = _success_step(opened["data/demo_1"].attrs)
    try:
        env.reset(options={"start": policy.start("libero_object", 0, 1)})
        policy.begin(env.simulator, 0)
        for step, state in enumerate(states[:success]):
            np.testing.assert_array_equal(env.get_state(), state)
            env.execute(policy.plan([replace(request, step=step)])[0][:1])
        assert env.info()["success"]
        stored = ReplayPolicy(file, start="stored")
        env.reset(options={"start": stored.start("libero_object", 0, 1)})
        np.testing.assert_array_equal(env.get_state(), states[0])
        env.execute(stored.plan([request])[0][:20])
        # The controller knows where the arm was; where the constraint solver started it does not.
        assert np.abs(env.get_state() - states[20])[1:8].max() < 1e-6
    finally:
        env.close()


@pytest.mark.sim
def test_finished_demos_are_not_collected_again_nor_replaced(
    config: CollectionConfig, file: Path
) -> None:
    before = file.stat().st_mtime_ns
    again = collect(config)[0]
    assert again.before
    assert again.attempts == ()
    assert again.kept == 2
    with pytest.raises(ConfigError, match=r"noise: 0\.15 there, 0\.2 asked"):
        collect(replace(config, noise=0.2))
    assert file.stat().st_mtime_ns == before


@pytest.mark.sim
@pytest.mark.slow
def test_killed_and_resumed_with_one_worker_gives_the_same_file(
    config: CollectionConfig, file: Path, tmp_path: Path
) -> None:
    """Killed without warning when the first demo is done; a torn file is left lying around."""
    words = ["--suite", "libero_object", "--tasks", "0", "--demos", "2", "--resolution", "32"]
    command = [sys.executable, "-m", "harness.cli", "collect", *words, "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (notes := list(tmp_path.rglob("attempt_*.json"))):
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    first = json.loads(notes[0].read_text())
    (notes[0].parent / ".attempt_00001.hdf5.1").write_bytes(b"torn")
    resumed = collect(replace(config, out=tmp_path, workers=1))[0]
    assert resumed.attempts[0].render == tuple(first["render"])  # it was not done again
    assert resumed.path.read_bytes() == file.read_bytes()
    assert not (tmp_path / ".parts").exists()


@pytest.mark.slow
def test_two_collections_into_one_folder_do_not_meet(tmp_path: Path) -> None:
    config = CollectionConfig(suite="libero_object", tasks=(1,), out=tmp_path, demos=1, workers=1)
    (tmp_path / ".parts").mkdir()
    with (tmp_path / ".parts" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ResultsError, match="being written by another process"):
            collect(config)
    assert not list(tmp_path.rglob("*.hdf5"))


def _outcome(attempt: Attempt | Exception) -> "Future[Attempt]":
    future: Future[Attempt] = Future()
    if isinstance(attempt, Exception):
        future.set_exception(attempt)
    else:
        future.set_result(attempt)
    return future


def task_attempts(tmp_path: Path, demos: int) -> TaskAttempts:
    config = CollectionConfig(suite="libero_object", tasks=(0,), out=tmp_path, demos=demos)
    return TaskAttempts(config, find_task("libero_object", 0))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_first_successes_count_whatever_finishes_first(tmp_path: Path, order) -> None:
    """Of five attempts 1 and 2 fail; three run at a time, as many as can be needed."""
    job = task_attempts(tmp_path, demos=3)
    kept = {0: True, 1: False, 2: False, 3: True, 4: True}
    assert [job.start() for _ in range(4)] == [0, 1, 2, None]
    counted = []
    for index in order:
        counted += job.finish(_outcome(Attempt(index=index, kept=kept[index], reason="slipped")))
    assert not job.done
    assert [job.start() for _ in range(3)] == [3, 4, None]
    for index in (4, 3):
        counted += job.finish(_outcome(Attempt(index=index, kept=True)))
    assert job.done
    assert [attempt.index for attempt in counted] == [0, 1, 2, 3, 4]
    assert job.kept == 3


def test_a_task_that_fails_too_often_or_is_beyond_the_expert_has_a_problem(tmp_path: Path) -> None:
    job = task_attempts(tmp_path, demos=1)
    started = 0
    while (index := job.start()) is not None:
        started += 1
        list(job.finish(_outcome(Attempt(index=index, kept=False, reason="a grasp failed"))))
    assert started == 1 + 4 + 8
    assert "kept 0 of 13 attempts" in job.problem
    assert "most often: a grasp failed" in job.problem
    assert job.close().rejected == {"a grasp failed": 13}
    beyond = task_attempts(tmp_path, demos=2)
    assert beyond.start() == 0
    error = UnsupportedGoalError.of(["fly", "bowl"], ["on"])
    assert list(beyond.finish(_outcome(error))) == []
    assert beyond.start() is None
    found = beyond.close()
    assert "no skill for the goal 'fly bowl'" in found.problem
    assert not found.path.exists()


def test_evaluation_states_are_an_option_and_others_the_default(tmp_path: Path) -> None:
    config = CollectionConfig(suite="libero_object", tasks=(0,), out=tmp_path)
    task = find_task("libero_object", 0)
    assert demo_start(config, task, 3) == SampledStart(seed=100_003)
    there = replace(config, start_states="evaluation")
    assert demo_start(there, task, 53) == IndexedStart(init_state=3, seed=100_053)
    assert there.recipe()["start_states"] == "evaluation"
