"""Collecting demonstrations on the real simulator."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from harness.collection import collect
from harness.collection_config import CollectionConfig
from harness.evaluation import evaluate
from harness.evaluation_config import EvaluationConfig
from policies.expert.errors import UnsupportedGoalError
from policies.interface import PlanRequest
from policies.registry import PolicyRecipe
from policies.replay import ReplayPolicy
from results.store import load_run
from tasks.environment import LiberoEnv
from tasks.errors import ConfigError
from tasks.observation import CAMERAS
from tasks.protocols import get_protocol
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task
from training.demo_format import PICTURES
from training.demo_reader import read_demos

SIZE = 32


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> CollectionConfig:
    return CollectionConfig(
        suite="libero_object",
        tasks=(0,),
        out=tmp_path_factory.mktemp("demos"),
        demos=2,
        resolution=SIZE,
        workers=2,
    )


@pytest.fixture(scope="module")
def file(config: CollectionConfig) -> Path:
    return collect(config)[0].path


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
        states, seed = group["states"][...], int(group.attrs["scene_seed"])
        starts = [opened[f"data/demo_{i}/states"][0] for i in (0, 1)]
    try:
        observation = simulator.reset(None, seed=seed, cameras=CAMERAS)
        for step, action in enumerate(demo.actions):
            np.testing.assert_array_equal(simulator.get_state(), states[step])
            np.testing.assert_array_equal(observation["joint_pos"], demo.joint_pos[step])
            if step in (0, 1, 50, demo.steps - 1):
                for camera in PICTURES:
                    np.testing.assert_array_equal(observation[camera], demo.pictures[camera][step])
            near = step + 1 in (1, 50, demo.steps - 1)
            observation = simulator.step(action, cameras=CAMERAS if near else ())
        assert simulator.success()
    finally:
        simulator.close()
    evaluated = task.init_states()
    for start in starts:
        assert np.abs(evaluated[:, 1:] - start[1:]).max(axis=1).min() > 1e-3


@pytest.mark.sim
def test_demos_replay_to_success_through_an_evaluation(file: Path, tmp_path: Path) -> None:
    config = EvaluationConfig(
        policy=PolicyRecipe(name="replay", options={"demos": str(file)}),
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
        # Collecting goes on for ten steps after success, replaying ends with it.
        assert [(record.outcome, record.steps, record.scene_hash) for record in records] == [
            ("success", int(demo["num_samples"]) - 10, demo["scene_hash"]) for demo in demos
        ]
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
    try:
        env.reset(options={"start": policy.start("libero_object", 0, 1)})
        policy.begin(env.simulator, 0)
        for step, state in enumerate(states[:-10]):
            np.testing.assert_array_equal(env.get_state(), state)
            env.execute(policy.plan([replace(request, step=step)])[0][:1])
        assert env.info()["success"]
        stored = ReplayPolicy(file, start="stored")
        env.reset(options={"start": stored.start("libero_object", 0, 1)})
        np.testing.assert_array_equal(env.get_state(), states[0])
        env.execute(stored.plan([request])[0][:20])
        # The controller was told nothing of where the arm was meant to be before.
        apart = np.abs(env.get_state() - states[20])[1:8]
        assert 0 < apart.max() < 0.02
    finally:
        env.close()


@pytest.mark.sim
def test_finished_demos_are_not_collected_again_nor_replaced(
    config: CollectionConfig, file: Path
) -> None:
    before = file.stat().st_mtime_ns
    assert collect(config)[0].attempts == ()
    with pytest.raises(ConfigError, match=r"noise: 0\.15 there, 0\.2 asked"):
        collect(replace(config, noise=0.2))
    assert file.stat().st_mtime_ns == before


@pytest.mark.sim
def test_a_task_beyond_the_expert_is_refused_with_what_is_supported(tmp_path: Path) -> None:
    goals = CollectionConfig(suite="libero_goal", tasks=(0,), out=tmp_path, demos=1, workers=1)
    with pytest.raises(UnsupportedGoalError, match="no skill for the goal 'open"):
        collect(goals)
