import numpy as np
import pytest

from policies.expert.pose import axis_rotation, hand_rotation, rotation_vector


@pytest.mark.parametrize("angle", [0.0, 1e-8, 0.3, 1.5, np.pi - 1e-4])
def test_rotation_vector_inverts_axis_rotation(angle):
    axis = np.array([0.6, 0.0, 0.8])
    assert np.allclose(rotation_vector(axis_rotation(axis, angle)), angle * axis, atol=1e-6)


def test_half_a_turn_has_its_angle_and_axis():
    axis = np.array([0.6, 0.0, 0.8])
    vector = rotation_vector(axis_rotation(axis, np.pi))
    assert np.linalg.norm(vector) == pytest.approx(np.pi)
    assert abs(vector @ axis) == pytest.approx(np.pi)


def test_hand_rotation_is_right_handed():
    rotation = hand_rotation(np.array([1.0, 0.2, 0.5]), np.array([0.0, 0, -1]))
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert np.allclose(rotation[:, 2], [0, 0, -1])
