"""Poses of LIBERO-Plus's camera, against its own code."""

import mujoco
import numpy as np
import pytest

from tasks.camera_pose import moved_camera
from tasks.perturbation import CameraMove

_DOWN = (0.6380177736282349, 0.3048497438430786, 0.30484986305236816, 0.6380177736282349)
_ALONG = (0.6182166934013367, 0.3432307541370392, 0.3432314395904541, 0.6182177066802979)
BASES = (
    ((0.6586131746834771, 0.0, 1.6103500240372423), _DOWN),  # table, kitchen
    ((0.4586131746834771, 0.0, 1.6103500240372423), _DOWN),  # study
    ((0.6065773716836134, 0.0, 0.96), _ALONG),  # living room
    ((0.8965773716836134, 5.216182733499864e-07, 0.65), _ALONG),  # floor
)
MOVES = (
    CameraMove(),
    CameraMove(h=30, v=15),
    CameraMove(h=334, v=15),
    CameraMove(s=152),
    CameraMove(er=2, ev=352),
    CameraMove(h=-75, v=15, s=120, er=8, ev=10),
)

# What _setup_camera of sylvestf/LIBERO-plus 4976dc3 hands to the arena, move by move.
UPSTREAM = (
    ([0.6586, 0.0, 1.6104], [0.638, 0.3048, 0.3048, 0.638]),
    ([0.3693, 0.2132, 1.7532], [0.4754, 0.1548, 0.2682, 0.8235]),
    ([0.3832, -0.1869, 1.7532], [-0.8064, -0.2626, -0.1641, -0.5039]),
    ([1.0011, 0.0, 2.0318], [0.638, 0.3048, 0.3048, 0.638]),
    ([0.6586, 0.0, 1.6104], [-0.6036, -0.3439, -0.3531, -0.6266]),
    ([0.1325, -0.4943, 1.9438], [0.9336, 0.2857, -0.0197, 0.2153]),
    ([0.4586, 0.0, 1.6104], [0.638, 0.3048, 0.3048, 0.638]),
    ([0.202, 0.1166, 1.7014], [0.4754, 0.1548, 0.2682, 0.8235]),
    ([0.2097, -0.1023, 1.7014], [-0.8064, -0.2626, -0.1641, -0.5039]),
    ([0.6971, 0.0, 2.0318], [0.638, 0.3048, 0.3048, 0.638]),
    ([0.4586, 0.0, 1.6104], [-0.6036, -0.3439, -0.3531, -0.6266]),
    ([0.0725, -0.2705, 1.8817], [0.9336, 0.2857, -0.0197, 0.2153]),
    ([0.6066, 0.0, 0.96], [0.6182, 0.3432, 0.3432, 0.6182]),
    ([0.4716, 0.2722, 1.1115], [0.4651, 0.1836, 0.318, 0.8055]),
    ([0.4894, -0.2387, 1.1115], [-0.7888, -0.3114, -0.1946, -0.4929]),
    ([0.922, 0.0, 1.0432], [0.6182, 0.3432, 0.3432, 0.6182]),
    ([0.6066, 0.0, 0.96], [-0.5815, -0.3803, -0.3907, -0.6039]),
    ([0.1691, -0.6311, 1.1738], [0.9144, 0.3423, -0.0065, 0.2161]),
    ([0.8966, 0.0, 0.65], [0.6182, 0.3432, 0.3432, 0.6182]),
    ([0.7837, 0.4524, 0.8872], [0.4651, 0.1836, 0.318, 0.8055]),
    ([0.8133, -0.3967, 0.8872], [-0.7888, -0.3114, -0.1946, -0.4929]),
    ([1.3628, 0.0, 0.572], [0.6182, 0.3432, 0.3432, 0.6182]),
    ([0.8966, 0.0, 0.65], [-0.5815, -0.3803, -0.3907, -0.6039]),
    ([0.281, -1.0489, 0.9046], [0.9144, 0.3423, -0.0065, 0.2161]),
)


@pytest.mark.parametrize("case", range(len(UPSTREAM)))
def test_a_pose_is_upstreams_as_mujoco_compiles_it(case: int) -> None:
    (position, quaternion), move = BASES[case // len(MOVES)], MOVES[case % len(MOVES)]
    pos, quat = (" ".join(map(str, part)) for part in UPSTREAM[case])
    camera = f'<camera pos="{pos}" quat="{quat}"/>'
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{camera}</worldbody></mujoco>")
    moved = moved_camera(np.array(position), np.array(quaternion), move)
    assert np.array_equal(moved[0], model.cam_pos[0])
    assert np.array_equal(moved[1], model.cam_quat[0])


def test_an_unmoved_camera_is_rounded_all_the_same() -> None:
    position, quaternion = (np.array(part) for part in BASES[0])
    moved = moved_camera(position, quaternion, CameraMove())
    assert 0 < np.abs(moved[0] - position).max() < 1e-4
    assert not CameraMove().moves
