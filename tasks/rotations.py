"""Rotations in the forms that LIBERO, its controllers and RDT use, for any number at once.

Quaternions are x, y, z, w. The 6D form is the first column of the matrix, then the second
(Zhou et al. 2019, "On the continuity of rotation representations").
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]

_TINY = 1e-12


def quat_to_matrix(quat: Array) -> Doubles:
    """Turn quaternions (..., 4) of any non-zero length into matrices (..., 3, 3)."""
    x, y, z, w = np.moveaxis(_unit(quat), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_quat(matrix: Array) -> Doubles:
    """Turn matrices (..., 3, 3) into unit quaternions (..., 4) with w ≥ 0.

    Of four equivalent formulas the one with the largest divisor is taken (Shepperd 1978).
    """
    m = np.asarray(matrix, dtype=np.float64)
    trace = np.trace(m, axis1=-2, axis2=-1)
    diagonal = np.diagonal(m, axis1=-2, axis2=-1)
    xy, xz, yz = (
        m[..., 0, 1] + m[..., 1, 0],
        m[..., 0, 2] + m[..., 2, 0],
        m[..., 1, 2] + m[..., 2, 1],
    )
    xw, yw, zw = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    # Four times the products of quaternion entries: row i is 4·q_i·q.
    squares = np.concatenate([1 + 2 * diagonal - trace[..., None], 1 + trace[..., None]], axis=-1)
    products = np.stack(
        [
            np.stack([squares[..., 0], xy, xz, xw], axis=-1),
            np.stack([xy, squares[..., 1], yz, yw], axis=-1),
            np.stack([xz, yz, squares[..., 2], zw], axis=-1),
            np.stack([xw, yw, zw, squares[..., 3]], axis=-1),
        ],
        axis=-2,
    )
    largest = np.argmax(squares, axis=-1)
    row = np.take_along_axis(products, largest[..., None, None], axis=-2)[..., 0, :]
    quat = _unit(row)
    return np.where(quat[..., 3:] < 0, -quat, quat)


def matrix_to_rot6d(matrix: Array) -> Doubles:
    """Turn matrices (..., 3, 3) into their first and second columns, (..., 6)."""
    m = np.asarray(matrix, dtype=np.float64)
    return np.concatenate([m[..., :, 0], m[..., :, 1]], axis=-1)


def rot6d_to_matrix(rot6d: Array) -> Doubles:
    """Turn two columns (..., 6), orthogonal or not, into matrices (..., 3, 3) by Gram–Schmidt.

    x = a₁/|a₁|, z = x×a₂/|x×a₂|, y = z×x.
    """
    given = np.asarray(rot6d, dtype=np.float64)
    x = _unit(given[..., :3])
    z = _unit(np.cross(x, given[..., 3:]))
    return np.stack([x, np.cross(z, x), z], axis=-1)


def quat_to_rot6d(quat: Array) -> Doubles:
    """Turn quaternions (..., 4) into the 6D form (..., 6); a quaternion's sign does not matter."""
    return matrix_to_rot6d(quat_to_matrix(quat))


def wxyz_to_xyzw(quat: Array) -> Array:
    """Reorder quaternions (..., 4), for instance MuJoCo's, as this project has them."""
    return quat[..., [1, 2, 3, 0]]


def xyzw_to_wxyz(quat: Array) -> Array:
    """Reorder this project's quaternions (..., 4) as MuJoCo has them."""
    return quat[..., [3, 0, 1, 2]]


def quat_to_axisangle(quat: Array, *, keep_sign: bool = False) -> Doubles:
    """Turn quaternions (..., 4) into axis times angle (..., 3), the angle in [0, π] rad.

    Args:
        quat: Quaternions of any non-zero length.
        keep_sign: Do not take −q for q where w < 0. The angle is then in [0, 2π], as robosuite's
            ``quat2axisangle`` gives it.
    """
    unit = _unit(quat)
    if not keep_sign:
        unit = np.where(unit[..., 3:] < 0, -unit, unit)
    sine = np.linalg.norm(unit[..., :3], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, unit[..., 3:])
    # Near zero angle/sin(angle/2) tends to 2.
    scale = np.where(sine < _TINY, 2.0, angle / np.maximum(sine, _TINY))
    scaled: Doubles = unit[..., :3] * scale
    return scaled


def axisangle_to_quat(axisangle: Array) -> Doubles:
    """Turn axis times angle (..., 3), rad, into unit quaternions (..., 4)."""
    given = np.asarray(axisangle, dtype=np.float64)
    half = np.linalg.norm(given, axis=-1, keepdims=True) / 2
    # np.sinc(u) is sin(πu)/(πu), defined at zero.
    return np.concatenate([given * 0.5 * np.sinc(half / np.pi), np.cos(half)], axis=-1)


def axisangle_to_matrix(axisangle: Array) -> Doubles:
    """Turn axis times angle (..., 3), rad, into matrices (..., 3, 3)."""
    return quat_to_matrix(axisangle_to_quat(axisangle))


def matrix_to_axisangle(matrix: Array) -> Doubles:
    """Turn matrices (..., 3, 3) into axis times angle (..., 3), the angle in [0, π] rad."""
    return quat_to_axisangle(matrix_to_quat(matrix))


def _unit(vectors: Array) -> Doubles:
    given = np.asarray(vectors, dtype=np.float64)
    unit: Doubles = given / np.linalg.norm(given, axis=-1, keepdims=True)
    return unit
