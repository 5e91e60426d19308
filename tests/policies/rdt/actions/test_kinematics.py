"""Commands that lead through poses, and layouts of future poses and joints in the simulator."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from policies.expert import ExpertPolicy
from policies.interface import PlanRequest
from policies.rdt.actions.kinematics import commands_to, hand_poses, poses_after
from policies.rdt.actions.layout import Layout
from policies.rdt.actions.layout_file import get_layout
from tasks.observation import Observation, RobotState
from tasks.protocols import get_protocol
from tasks.rotations import quat_to_matrix
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task
from tests.policies.rdt.actions.robots import random_state

SEED = 5
EXECUTED = 16


def robot(seen: list[Observation]) -> RobotState:
    return RobotState(
        joint_pos=np.stack([each["joint_pos"] for each in seen]),
        ee_pos=np.stack([each["ee_pos"] for each in seen]),
        ee_quat=np.stack([each["ee_quat"] for each in seen]),
        gripper_qpos=np.stack([each["gripper_qpos"] for each in seen]),
    )


def demonstrate(simulator: Simulator) -> tuple[np.ndarray, RobotState]:
    """Let the expert act until well after success; return its actions and the robot before each.

    Where the goal just begins to hold, a millimetre less is no success.
    """
    expert = ExpertPolicy(speed=1.0, noise=0.0)
    seen = [simulator.reset(None, seed=SEED)]
    expert.begin(simulator, SEED)
    request = PlanRequest(window=[], instruction="", seed=SEED)
    actions: list[np.ndarray] = []
    held = 0
    while held < EXECUTED:
        held += simulator.success()
        actions.append(expert.plan([request])[0][0])
        seen.append(simulator.step(actions[-1]))
    return np.stack(actions), robot(seen[:-1])


def follow(
    simulator: Simulator, layout: Layout, actions: np.ndarray, state: RobotState
) -> tuple[bool, float]:
    """Execute plans of 16 steps that know the demonstration; return success and mean error, m."""
    vectors = layout.targets(actions, state, tail=EXECUTED * 4)
    now, step, errors = simulator.reset(None, seed=SEED), 0, []
    while step < len(actions) + 2 * EXECUTED and not simulator.success():
        plan = layout.decode_actions(vectors[None, step : step + EXECUTED], robot([now]))[0]
        for action in plan:
            now, step = simulator.step(action), step + 1
            there = state["ee_pos"][min(step, len(actions) - 1)]
            errors.append(float(np.linalg.norm(now["ee_pos"] - there)))
            if simulator.success():
                return True, float(np.mean(errors))
    return simulator.success(), float(np.mean(errors))


@pytest.mark.sim
def test_demonstrations_are_followed_through_future_poses_and_joints() -> None:
    simulator = Simulator(find_task("libero_object", 0), get_protocol(), images=False)
    try:
        actions, state = demonstrate(simulator)
        start = {key: value[0] for key, value in state.items()}
        positions, matrices = hand_poses(state["joint_pos"], start)  # type: ignore[arg-type]
        # Joints are seen 2 ms later than the hand.
        np.testing.assert_allclose(positions, state["ee_pos"], atol=2e-3)
        np.testing.assert_allclose(matrices, quat_to_matrix(state["ee_quat"]), atol=5e-3)
        for name in ("eef-pose", "joints"):
            success, error = follow(simulator, get_layout(name), actions, state)
            assert success, name
            assert error < 0.02, "with a response of 0.265 the error is 13 mm"
        whole = replace(get_layout("eef-pose"), response=1.0)
        success, error = follow(simulator, whole, actions, state)
        assert not success
        assert error > 0.05, "the hand does not cover a whole delta in a step"
    finally:
        simulator.close()


def test_what_clipping_leaves_is_made_up_for() -> None:
    """A jump takes as many full steps as it needs, and turns go the short way round."""
    state = random_state(1, seed=5)
    far = state["ee_pos"][:, None] + np.array([0.04, 0.0, -0.01])
    half_turn = Rotation.from_rotvec([0, 0, 1.2 * np.pi]) * Rotation.from_quat(state["ee_quat"][0])
    positions = np.repeat(far, 30, axis=1)
    matrices = np.repeat(half_turn.as_matrix()[None, None], 30, axis=1)
    deltas = commands_to(positions, matrices, state, 0.265)
    assert np.abs(deltas).max() <= 1
    assert deltas[0, :3, 0].tolist() == [1.0, 1.0, 1.0]
    assert (deltas[0, :3, 5] == -1).all()
    reached, turned = poses_after(deltas, state, 0.265)
    np.testing.assert_allclose(reached[0, -1], far[0, 0], atol=1e-12)
    np.testing.assert_allclose(turned[0, -1], half_turn.as_matrix(), atol=1e-9)


def test_joints_of_the_state_itself_put_the_hand_where_the_state_has_it() -> None:
    state = random_state(8)
    joints = np.repeat(np.asarray(state["joint_pos"])[:, None], 2, axis=1)
    joints[:, 1, 6] += 0.3  # the last joint turns the hand about its approach
    positions, matrices = hand_poses(joints, state)
    hands = quat_to_matrix(state["ee_quat"])
    np.testing.assert_allclose(positions[:, 0], state["ee_pos"], atol=1e-9)
    np.testing.assert_allclose(matrices[:, 0], hands, atol=1e-9)
    np.testing.assert_allclose(positions[:, 1], state["ee_pos"], atol=1e-9)
    turn = Rotation.from_rotvec([0, 0, 0.3]).as_matrix()
    np.testing.assert_allclose(matrices[:, 1], hands @ turn, atol=1e-9)
