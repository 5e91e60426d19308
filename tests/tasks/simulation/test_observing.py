"""Looking at a state that was set, without a control step."""

import numpy as np
import pytest

from tasks.observation import CAMERAS
from tasks.protocols import get_protocol
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task


@pytest.mark.sim
def test_a_state_is_shown_as_it_is() -> None:
    simulator = Simulator(find_task("libero_object", 0), get_protocol(resolution=32))
    try:
        simulator.reset(0)
        action = np.array([0.9, 0.0, 0.0, 0.0, 0.0, 0.3, 1.0])
        for _ in range(5):
            latest = simulator.step(action)
        state = simulator.get_state()
        simulator.set_state(state)
        now = simulator.observe(cameras=CAMERAS)
        joints = 1 + np.asarray(simulator.env.robots[0]._ref_joint_pos_indexes)
        np.testing.assert_array_equal(now["joint_pos"], state[joints])
        # A control step shows the arm 2 ms before its end.
        assert 0 < np.abs(now["joint_pos"] - latest["joint_pos"]).max() < 5e-3
        assert now["agentview"].shape == (32, 32, 3)
        np.testing.assert_array_equal(simulator.get_state(), state)
        simulator.step(action)
        simulator.set_state(state)
        again = simulator.observe(cameras=CAMERAS)
        for name in ("joint_pos", "ee_pos", "ee_quat", "gripper_qpos", *CAMERAS):
            np.testing.assert_array_equal(again[name], now[name])
    finally:
        simulator.close()
