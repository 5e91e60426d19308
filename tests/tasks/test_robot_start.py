"""LIBERO-Plus's starts of the arm."""

import hashlib

import numpy as np
import pytest

from tasks.perturbation import ROBOT_STARTS, RobotStart
from tasks.robot_start import HOME, robot_qpos


def test_the_500_starts_are_those_of_upstreams_table() -> None:
    starts = np.array([robot_qpos(RobotStart(start=k)) for k in range(1, ROBOT_STARTS + 1)])
    # Of the table in libero/libero/envs/robots/mounted_panda.py of sylvestf/LIBERO-plus 4976dc3.
    assert hashlib.sha256(starts.tobytes()).hexdigest()[:16] == "4f456cb553f227ae"


@pytest.mark.parametrize(("number", "distance"), [(1, 0.1), (100, 0.1), (101, 0.2), (500, 0.5)])
def test_a_start_lies_a_tenth_of_a_radian_further_off_for_every_hundred(
    number: int, distance: float
) -> None:
    away = np.linalg.norm(robot_qpos(RobotStart(start=number)) - HOME)
    assert away == pytest.approx(distance, abs=1e-7)


def test_an_offset_has_its_length_and_a_direction_of_its_seed() -> None:
    one, other = (robot_qpos(RobotStart(offset=0.3, seed=seed)) - HOME for seed in (1, 2))
    assert np.linalg.norm(one) == pytest.approx(0.3)
    assert np.linalg.norm(one - other) > 0.05
