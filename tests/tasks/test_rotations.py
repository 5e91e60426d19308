"""Rotations against scipy."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tasks import rotations
from tasks.rotations import Doubles


@pytest.fixture(scope="module")
def quats() -> Doubles:
    """Random rotations, then the identity, half turns and nearly nothing."""
    special = [
        [0, 0, 0, 1],
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [1e-14, 0, 0, 1],
        [1, 1, 0, 0],
    ]
    random = Rotation.random(200, random_state=np.random.RandomState(0)).as_quat()
    both = np.concatenate([random, np.array(special, dtype=float)])
    result: Doubles = both / np.linalg.norm(both, axis=1, keepdims=True)
    return result


def test_matrix(quats: Doubles) -> None:
    matrix = rotations.quat_to_matrix(quats * 3.0)
    np.testing.assert_allclose(matrix, Rotation.from_quat(quats).as_matrix(), atol=1e-14)


def test_quaternion_from_matrix(quats: Doubles) -> None:
    back = rotations.matrix_to_quat(rotations.quat_to_matrix(quats))
    np.testing.assert_allclose(np.abs((back * quats).sum(-1)), 1.0, atol=1e-14)
    assert (back[:, 3] >= 0).all()


def test_rot6d_is_two_columns_and_comes_back(quats: Doubles) -> None:
    matrix = Rotation.from_quat(quats).as_matrix()
    rot6d = rotations.quat_to_rot6d(quats)
    np.testing.assert_allclose(
        rot6d, np.concatenate([matrix[..., 0], matrix[..., 1]], -1), atol=1e-14
    )
    np.testing.assert_allclose(rotations.rot6d_to_matrix(rot6d), matrix, atol=1e-14)


def test_skewed_rot6d_gives_a_rotation_with_the_same_first_axis() -> None:
    skewed = np.random.RandomState(1).randn(50, 6)
    matrix = rotations.rot6d_to_matrix(skewed)
    np.testing.assert_allclose(np.linalg.det(matrix), 1.0, atol=1e-12)
    eye = np.broadcast_to(np.eye(3), matrix.shape)
    np.testing.assert_allclose(matrix @ matrix.swapaxes(-1, -2), eye, atol=1e-12)
    first = skewed[:, :3] / np.linalg.norm(skewed[:, :3], axis=1, keepdims=True)
    np.testing.assert_allclose(matrix[..., 0], first, atol=1e-12)


def test_axis_angle(quats: Doubles) -> None:
    given = rotations.quat_to_axisangle(quats)
    assert (np.linalg.norm(given, axis=1) <= np.pi + 1e-12).all()
    random = slice(0, 200)
    wanted = Rotation.from_quat(quats).as_rotvec()
    np.testing.assert_allclose(given[random], wanted[random], atol=1e-12)
    back = rotations.axisangle_to_matrix(given)
    np.testing.assert_allclose(back, rotations.quat_to_matrix(quats), atol=1e-12)
    np.testing.assert_allclose(
        np.abs((rotations.axisangle_to_quat(given) * quats).sum(-1)), 1.0, atol=1e-14
    )
    again = rotations.matrix_to_axisangle(back[random])
    np.testing.assert_allclose(again, wanted[random], atol=1e-7)


def test_leading_axes_are_kept(quats: Doubles) -> None:
    grid = quats[:200].reshape(4, 50, 4)
    assert rotations.quat_to_matrix(grid).shape == (4, 50, 3, 3)
    assert rotations.quat_to_rot6d(grid[0, 0]).shape == (6,)
    assert rotations.matrix_to_quat(rotations.quat_to_matrix(grid)).shape == (4, 50, 4)
    assert rotations.quat_to_axisangle(grid).shape == (4, 50, 3)


def test_quaternions_are_reordered(quats: Doubles) -> None:
    np.testing.assert_array_equal(rotations.xyzw_to_wxyz(np.array([1.0, 2, 3, 4])), [4, 1, 2, 3])
    np.testing.assert_array_equal(rotations.wxyz_to_xyzw(rotations.xyzw_to_wxyz(quats)), quats)
