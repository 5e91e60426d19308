"""Where LIBERO-Plus starts the arm: off its home by a fixed distance in a random direction."""

from functools import cache
from math import ceil, pi

import numpy as np

from tasks.observation import FloatArray
from tasks.perturbation import ROBOT_STARTS, RobotStart

HOME: FloatArray = np.array([0.0, -0.161037389, 0.0, -2.44459747, 0.0, 2.2267522, pi / 4])
"""The arm's usual pose in LIBERO, (7,) radians."""

_DIRECTIONS_SEED = 42
_STEP = 0.1
_OF_A_STEP = 100
_DECIMALS = 8


def robot_qpos(start: RobotStart) -> FloatArray:
    """Return the joint angles of a start, (7,) radians."""
    if start.start is not None:
        return np.array(_numbered()[start.start - 1])
    return np.asarray(HOME + start.offset * _direction(np.random.RandomState(start.seed)))


@cache
def _numbered() -> FloatArray:
    """Return LIBERO-Plus's starts 1 to 500, (500, 7), with the eight decimals of its table.

    Start k lies 0.1·⌈k/100⌉ rad from home; the directions are consecutive draws of one generator.
    """
    random = np.random.RandomState(_DIRECTIONS_SEED)
    starts = [
        HOME + _STEP * ceil(number / _OF_A_STEP) * _direction(random)
        for number in range(1, ROBOT_STARTS + 1)
    ]
    return np.round(starts, _DECIMALS)


def _direction(random: np.random.RandomState) -> FloatArray:
    drawn = random.randn(len(HOME))
    return np.asarray(drawn / np.linalg.norm(drawn))
