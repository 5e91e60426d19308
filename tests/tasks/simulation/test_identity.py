"""Bit for bit the same as LIBERO's own environment, whatever ran before."""

import numpy as np
import pytest

from tasks.observation import CAMERAS
from tasks.protocols import get_protocol
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task

PROTOCOL = get_protocol(resolution=64)
INIT_STATE = 3


def official_episode(task, actions):
    """LIBERO's own loop: seed, reset, initial state, settle, act, with pictures at every step."""
    from libero.libero.envs.env_wrapper import OffScreenRenderEnv

    env = OffScreenRenderEnv(
        bddl_file_name=str(task.bddl_file), camera_heights=64, camera_widths=64
    )
    try:
        env.seed(PROTOCOL.scene(INIT_STATE).seed)
        env.reset()
        env.set_init_state(task.init_states()[INIT_STATE])
        for _ in range(PROTOCOL.settle_steps):
            observation, *_ = env.step(list(PROTOCOL.settle_action))
        seen = [observation]
        for action in actions:
            observation, *_ = env.step(action)
            seen.append(observation)
        return seen, env.get_sim_state(), env.sim.model.body_pos.copy()
    finally:
        env.close()


@pytest.mark.sim
@pytest.mark.parametrize(("suite", "index"), [("libero_90", 1), ("libero_object", 0)])
def test_identical_to_the_official_environment(suite: str, index: int) -> None:
    task = find_task(suite, index)
    actions = np.random.default_rng(1).uniform(-1, 1, (5, 7))
    seen, state, bodies = official_episode(task, actions)
    simulator = Simulator(task, PROTOCOL)
    try:
        simulator.reset(7)  # another episode first: nothing of it may be left
        for action in -actions:
            simulator.step(action)
        ours = [simulator.reset(INIT_STATE, cameras=CAMERAS)]
        ours += [simulator.step(action) for action in actions[:-1]]
        ours.append(simulator.step(actions[-1], cameras=CAMERAS))
        np.testing.assert_array_equal(simulator.get_state(), state)
        np.testing.assert_array_equal(simulator.env.sim.model.body_pos, bodies)
        for official, observation in zip(seen, ours, strict=True):
            np.testing.assert_array_equal(observation["ee_pos"], official["robot0_eef_pos"])
            np.testing.assert_array_equal(observation["joint_pos"], official["robot0_joint_pos"])
        for index in (0, -1):
            picture = seen[index]["agentview_image"][::-1, ::-1]
            np.testing.assert_array_equal(ours[index]["agentview"], picture)
            picture = seen[index]["robot0_eye_in_hand_image"][::-1, ::-1]
            np.testing.assert_array_equal(ours[index]["wrist"], picture)
    finally:
        simulator.close()


@pytest.mark.sim
def test_the_scene_depends_on_the_episode_alone() -> None:
    simulator = Simulator(find_task("libero_goal", 0), PROTOCOL, images=False)
    try:
        hashes = []
        for episode in (0, 1, 0):
            simulator.reset(episode)
            hashes.append(simulator.scene_hash())
        assert hashes[0] == hashes[2] != hashes[1]
        before = np.random.get_state()[1].copy()
        simulator.reset(0, seed=99)
        assert simulator.scene_hash() not in hashes
        np.testing.assert_array_equal(np.random.get_state()[1], before)
    finally:
        simulator.close()


@pytest.mark.sim
def test_two_simulators_in_one_process_do_not_mix_their_pictures() -> None:
    first = Simulator(find_task("libero_object", 0), PROTOCOL)
    alone = first.reset(0, cameras=CAMERAS)
    second = Simulator(find_task("libero_goal", 0), PROTOCOL)
    other = second.reset(0, cameras=CAMERAS)
    beside = first.reset(0, cameras=CAMERAS)
    again = second.reset(0, cameras=CAMERAS)
    second.close()
    after = first.reset(0, cameras=CAMERAS)
    first.close()
    for camera in CAMERAS:
        np.testing.assert_array_equal(beside[camera], alone[camera])
        np.testing.assert_array_equal(after[camera], alone[camera])
        np.testing.assert_array_equal(again[camera], other[camera])
