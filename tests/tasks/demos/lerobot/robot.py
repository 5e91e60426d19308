"""A double of LIBERO's robot: episodes whose hand, fingers and images follow their actions."""

from dataclasses import dataclass

import numpy as np

from tasks.rotations import axisangle_to_matrix, matrix_to_quat, quat_to_axisangle

_LAG, _GAIN = 0.5, 0.125  # a steady command moves the hand by a quarter of it
_DOWN = np.array([1.0, 0.0, 0.0, 0.0])


@dataclass
class Recorded:
    """T steps, each seen before its action; images as the simulator renders them."""

    actions: np.ndarray
    position: np.ndarray
    quaternion: np.ndarray
    fingers: np.ndarray
    joints: np.ndarray
    agentview: np.ndarray
    wrist: np.ndarray

    @property
    def state(self) -> np.ndarray:
        """Position, axis times angle with robosuite's sign, fingers, as the public sets have it."""
        turned = quat_to_axisangle(self.quaternion, keep_sign=True)
        return np.concatenate([self.position, turned, self.fingers], axis=1)

    @property
    def robot_states(self) -> np.ndarray:
        return np.concatenate([self.fingers, self.position, self.quaternion], axis=1)


def record(seed: int, *, steps: int = 48, size: int = 48) -> Recorded:
    rng = np.random.default_rng(seed)
    clock, phase = np.arange(steps), rng.uniform(0, 6, 6)
    waves = 0.7 * np.sin(clock[:, None] / np.array([7, 5, 4, 6, 9, 8]) + phase)
    actions = np.zeros((steps, 7))
    actions[:, :6] = np.clip(waves + rng.normal(scale=0.2, size=(steps, 6)), -1, 1)
    actions[:, 6] = np.where((clock > steps // 3) & (clock < 2 * steps // 3), 1.0, -1.0)
    position, quaternion, gap = [np.array([-0.1, 0.0, 1.1])], [_DOWN], [0.08]
    speed = np.zeros(6)
    for action in actions[:-1]:
        speed = _LAG * speed + _GAIN * np.array([0.05] * 3 + [0.5] * 3) * action[:6]
        position.append(position[-1] + speed[:3] * 3)
        turned = axisangle_to_matrix(speed[3:]) @ axisangle_to_matrix(
            quat_to_axisangle(quaternion[-1])
        )
        quaternion.append(matrix_to_quat(turned))
        gap.append(float(np.clip(gap[-1] - 0.02 * action[6], 0.02, 0.08)))
    hand = np.array(position)
    hand = hand[0] + (hand - hand[0]) / 3
    fingers = np.stack([np.array(gap) / 2, -np.array(gap) / 2], axis=1)
    return Recorded(
        actions=actions,
        position=hand,
        quaternion=np.array(quaternion),
        fingers=fingers,
        joints=0.3 * np.sin(clock[:, None] / 6 + np.arange(7)),
        agentview=_seen(hand, size),
        wrist=_moving_background(rng, steps, size),
    )


def _seen(hand: np.ndarray, size: int) -> np.ndarray:
    """Draw the hand as a camera opposite the robot sees it, stored upside down."""
    pictures = np.full((len(hand), size, size, 3), 60, np.uint8)
    for picture, (_, y, z) in zip(pictures, hand, strict=True):
        column, row = int(size * (0.5 + 6 * y)), int(size * (0.5 - 6 * (z - 1.1)))
        picture[max(row - 4, 0) : max(row + 4, 0), max(column - 4, 0) : max(column + 4, 0)] = 220
    return np.ascontiguousarray(pictures[:, ::-1])


def _moving_background(rng: np.random.Generator, steps: int, size: int) -> np.ndarray:
    wide = rng.integers(0, 255, (size // 8, size // 8 + steps, 3), dtype=np.uint8)
    large = wide.repeat(8, axis=0).repeat(8, axis=1)
    return np.stack([large[:, 5 * step : 5 * step + size] for step in range(steps)])
