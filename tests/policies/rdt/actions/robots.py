"""Random states and actions of the robot."""

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.observation import RobotState

LIMITS = np.array(
    [
        [-2.8973, 2.8973],
        [-1.7628, 1.7628],
        [-2.8973, 2.8973],
        [-3.0718, -0.0698],
        [-2.8973, 2.8973],
        [-0.0175, 3.7525],
        [-2.8973, 2.8973],
    ]
)


def random_actions(*shape: int, seed: int = 0) -> np.ndarray:
    actions = np.random.RandomState(seed).uniform(-1, 1, (*shape, 7))
    actions[..., 6] = np.sign(actions[..., 6])
    return actions


def random_state(count: int = 40, seed: int = 1) -> RobotState:
    """Give states of all orientations, half turns about each axis and w = 0 among them."""
    rng = np.random.RandomState(seed)
    half_turns = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.6, 0.8, 0, 0]]
    random = Rotation.random(count, random_state=rng).as_quat()
    fingers = rng.uniform(0.001, 0.039, (count, 1))
    return RobotState(
        joint_pos=rng.uniform(*LIMITS.T, (count, 7)),
        ee_pos=rng.uniform(-0.5, 1.5, (count, 3)),
        ee_quat=np.concatenate([random, half_turns])[-count:] if count > 10 else random,
        gripper_qpos=np.hstack([fingers, -fingers]),
    )
