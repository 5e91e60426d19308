"""Where LIBERO-Plus puts the camera ``agentview``.

Its code rounds every result to four decimals, so that a camera that is not moved at all stands
elsewhere than LIBERO's by some 10⁻⁵, which changes a tenth of the pixels. The steps and their order
are those of ``_setup_camera`` in ``libero/libero/envs/problems`` of sylvestf/LIBERO-plus.
"""

import numpy as np
import scipy  # its parts are imported when they are used

from tasks.observation import FloatArray
from tasks.perturbation import CameraMove

_TABLE_CENTRE = np.array([0.0, 0.0, 0.8])
_DECIMALS = 4


def moved_camera(
    position: FloatArray, quaternion: FloatArray, move: CameraMove
) -> tuple[FloatArray, FloatArray]:
    """Return the pose of a moved camera, in the world's frame.

    Args:
        position: Where it stands unmoved, (3,) metres.
        quaternion: How it looks unmoved, (4,) as (w, x, y, z), of about unit length.
        move: The move.

    Returns:
        Position (3,), and quaternion (4,) as (w, x, y, z) of unit length.
    """
    pos: FloatArray = np.asarray(position, dtype=np.float64)
    quat: FloatArray = np.asarray(quaternion, dtype=np.float64)
    if move.v != 0:
        up = _about_y(-move.v)
        pos = _rounded(up.apply(pos - _TABLE_CENTRE) + _TABLE_CENTRE)
        quat = _turned(up, quat)
    around = _about_z(move.h)
    pos, quat = _rounded(around.apply(pos)), _turned(around, quat)
    if move.s != 100:
        pos = _rounded(_TABLE_CENTRE + (pos - _TABLE_CENTRE) * (move.s / 100))
    if move.er != 0:
        quat = _turned(_about_z(move.er), quat)
    if move.ev != 0:
        quat = _turned(_about_y(-move.ev), quat)
    return pos, quat / np.linalg.norm(quat)


def _about_y(degrees: float) -> "scipy.spatial.transform.Rotation":
    return scipy.spatial.transform.Rotation.from_rotvec(
        np.radians(degrees) * np.array([0.0, 1.0, 0.0])
    )


def _about_z(degrees: float) -> "scipy.spatial.transform.Rotation":
    return scipy.spatial.transform.Rotation.from_euler("z", degrees, degrees=True)


def _turned(rotation: "scipy.spatial.transform.Rotation", quaternion: FloatArray) -> FloatArray:
    """Turn an orientation, (w, x, y, z) before and after, and round it."""
    w, x, y, z = quaternion
    turned = (rotation * scipy.spatial.transform.Rotation.from_quat([x, y, z, w])).as_quat()
    return _rounded(turned[[3, 0, 1, 2]])


def _rounded(numbers: FloatArray) -> FloatArray:
    """Round as Python does, which differs from NumPy's rounding in the last bit."""
    return np.array([round(float(number), _DECIMALS) for number in numbers])
