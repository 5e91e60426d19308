"""The gripper's sign and the camera's orientation, measured on a demo file's data."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tasks.observation import FloatArray

View = Literal["raw", "upright", "rotated", "mirrored"]
"""Orientation of stored images: ``raw``: as rendered, upside down; ``upright``: as one sees the
scene; ``rotated``: raw turned by 180°, so upright but mirrored; ``mirrored``: raw mirrored."""

_CLEAR = 5.0


def gripper_agreement(pairs: Sequence[tuple[FloatArray, FloatArray]]) -> float | None:
    """Measure whether the fingers close when the gripper's command is positive.

    Args:
        pairs: Per demonstration the commands (T,) and the fingers' distance (T,) metres.

    Returns:
        Of the moments with moving fingers, the share at which these follow the command less the
        share at which they do not: 1 for full agreement. None if command or fingers never change.
    """
    commands: list[FloatArray] = []
    closings: list[FloatArray] = []
    for command, gap in pairs:
        # Fingers lag, and observations are noted before or after the action of their row: the
        # command at the later of two rows fits what happened between them either way.
        commands.append(command[1:])
        closings.append(gap[:-1] - gap[1:])
    if not commands:
        return None
    command, closing = np.concatenate(commands), np.concatenate(closings)
    middle = (command.max() + command.min()) / 2
    moving = np.abs(closing) > 5e-4
    if command.max() == command.min() or moving.sum() < 2:
        return None
    agree = np.sign(command[moving] - middle) * np.sign(closing[moving])
    return float(agree.mean())


def camera_view(pairs: Sequence[tuple[Any, FloatArray]]) -> View | None:
    """Infer the orientation of the fixed camera's images from their changes as the hand moves.

    The camera looks at the robot from the front and down, and the moving arm is what changes
    between two images. In upright ones the changes lie higher the higher the hand is and the nearer
    to the robot, and further right the further the hand is to the robot's left.

    Args:
        pairs: Per demonstration images (T, H, W, 3) uint8 and the hand's positions (T, 3) metres,
            world frame (x away from the robot, y to its left, z up).

    Returns:
        None if too little moves to be sure.
    """
    rows: list[FloatArray] = []
    for pictures, hand in pairs:
        grey = pictures.astype(np.float32).mean(axis=-1)
        change = np.abs(np.diff(grey, axis=0))
        change[change < 12] = 0  # noise of compression and of flickering edges
        weight = change.sum(axis=(1, 2))
        keep = weight > 0
        if not keep.any():
            continue
        height, width = grey.shape[1:]
        row = (change.sum(2) @ np.arange(height))[keep] / weight[keep] / height
        column = (change.sum(1) @ np.arange(width))[keep] / weight[keep] / width
        middle = ((hand[1:] + hand[:-1]) / 2)[keep]
        rows.append(np.column_stack([row, column, middle]))
    if not rows:
        return None
    table = np.concatenate(rows)
    row, column, hand = table[:, 0], table[:, 1], table[:, 2:]
    down = (_slope(row, hand, 2) - _slope(row, hand, 0)) / np.sqrt(2)
    right = _slope(column, hand, 1)
    if min(abs(down), abs(right)) < _CLEAR:
        return None
    flipped, mirrored = down > 0, right < 0
    if flipped:
        return "mirrored" if mirrored else "raw"
    return "rotated" if mirrored else "upright"


def _slope(values: FloatArray, hand: FloatArray, axis: int) -> float:
    """Return the slope of values along one axis of the hand's position, in standard errors."""
    known = np.column_stack([np.ones(len(hand)), hand - hand.mean(0)])
    if len(values) < 12 or np.linalg.matrix_rank(known) < 4:
        return 0.0
    solution, *_ = np.linalg.lstsq(known, values, rcond=None)
    rest = values - known @ solution
    variance = rest @ rest / (len(values) - 4) * np.linalg.inv(known.T @ known)[1 + axis, 1 + axis]
    return float(solution[1 + axis] / np.sqrt(variance)) if variance > 0 else 0.0
