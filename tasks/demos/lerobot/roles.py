"""Which features of a LeRobot data set are LIBERO's: by names, by sizes, and by their data."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.demos.lerobot.info import Info
from tasks.observation import ACTION_DIM, FloatArray
from tasks.rotations import axisangle_to_quat

StateForm = Literal["axisangle", "quaternion", "robot_states"]
"""What a state's numbers are: position, axis times angle and two fingers; position, quaternion
xyzw and the fingers' distance; or two fingers, position and quaternion, as LIBERO's HDF5 files."""

EXACT = "libero."
"""Prefix of features that hold the numbers of LIBERO's HDF5 files in double precision."""

_ACTIONS = ("action", "actions")
_INTENDED = ("action.intended", "actions.intended")
_STATES = ("observation.state", "state", "observation.states", "states")
_JOINTS = re.compile(r"(^|[._])joints?(_(states?|pos(itions?)?))?$")
_WRIST = re.compile(r"wrist|hand|gripper|image_?2$|image_?1$|cam_?2$", re.IGNORECASE)
_FINGER_M = 0.0425
_ARM_M = 2.0


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The features that LIBERO's arrays are read from.

    Attributes:
        action: (7,) commands.
        state: The hand and the fingers; None where ``exact`` has them.
        joints: (7,) rad; None without.
        intended: (7,) commands without the demonstrator's noise; None without.
        exact: Names of LIBERO's arrays that are there in double precision.
        cameras: Feature by camera; a camera may be missing.
    """

    action: str
    state: str
    joints: str | None
    intended: str | None
    exact: frozenset[str]
    cameras: dict[str, str]


def find_roles(info: Info) -> Roles:
    """Find the features that LIBERO's arrays are read from, by name and size.

    Raises:
        ConfigError: There is no action of 7 numbers, no state, or the cameras cannot be told apart.
    """
    numbers = {
        key: feature.shape[0]
        for key, feature in info.features.items()
        if not feature.holds_images and len(feature.shape) == 1 and feature.shape[0]
    }
    action = _first(numbers, _ACTIONS)
    state = _first(numbers, _STATES)
    listed = ", ".join(f"{key} {shape}" for key, shape in list(numbers.items())[:12])
    if action is None or numbers[action] != ACTION_DIM:
        size = "" if action is None else f" of {numbers[action]} numbers"
        raise info.refuse(
            f"it has no action of 7 numbers, but {action or 'none'}{size}",
            f"It has: {listed}. Fix: give a set of LIBERO's single-arm Panda.",
        )
    if state is None:
        raise info.refuse(
            "it has no state of the hand (observation.state or state)",
            f"It has: {listed}. Fix: give a set that has one.",
        )
    joints = [key for key in numbers if _JOINTS.search(key) and numbers[key] == 7]
    intended = _first(numbers, _INTENDED)
    exact = frozenset(
        key.removeprefix(EXACT)
        for key, feature in info.features.items()
        if key.startswith(EXACT) and feature.dtype == "float64" and feature.shape[0]
    )
    return Roles(
        action=action,
        state=state,
        joints=next((key for key in joints if not key.startswith(EXACT)), None),
        intended=intended if intended and numbers[intended] == ACTION_DIM else None,
        exact=exact,
        cameras=_cameras(info),
    )


def _first(numbers: dict[str, int], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in numbers), None)


def _cameras(info: Info) -> dict[str, str]:
    keys = [key for key, feature in info.features.items() if feature.holds_images]
    wrist = [key for key in keys if _WRIST.search(key.rpartition(".")[2])]
    outer = [key for key in keys if key not in wrist]
    for group in (outer, wrist):
        if len(group) > 1:
            preferred = [key for key in group if re.search(r"agentview|(^|\.)image$", key)]
            group[:] = preferred[:1] or group
    if len(outer) > 1 or len(wrist) > 1 or not keys:
        raise info.refuse(
            f"its cameras cannot be told apart: {', '.join(keys) or 'it has none'}",
            "Allowed: one fixed camera and one in the hand, whose name has 'wrist' or 'image2'. "
            "Fix: rename the features, or export the set with these two.",
        )
    found = {}
    if outer:
        found["agentview"] = outer[0]
    if wrist:
        found["wrist"] = wrist[0]
    return found


def find_state_form(info: Info, states: FloatArray) -> tuple[StateForm, str]:
    """Find out from the numbers what a state's columns are; their names are not trusted.

    Args:
        info: Of the data set.
        states: (n, D) of some episodes.

    Returns:
        The form, and what shows it: a clause.

    Raises:
        ConfigError: They fit none of the forms.
    """
    size = states.shape[1]
    if size == 9 and _is_hand(states[:, 2:5]) and _unit(states[:, 5:9]) and _fingers(states):
        return "robot_states", "two fingers, position, unit quaternion, as LIBERO's robot_states"
    if size == 8 and _is_hand(states):
        if _fingers(states[:, 6:8]) and np.abs(states[:, 3:6]).max() <= 2 * np.pi + 0.01:
            return "axisangle", "position, axis times angle, and two fingers of opposite sign"
        if _unit(states[:, 3:7]) and states[:, 7].min() >= -1e-3 and states[:, 7].max() < 0.1:
            return "quaternion", "position, a quaternion of unit length, and one gripper width"
    ranges = " ".join(f"{low:.2g}…{high:.2g}" for low, high in _ranges(states)[:12])
    raise info.refuse(
        f"its state of {size} numbers is none that is known (ranges {ranges})",
        "Allowed: position 3 (m), axis times angle 3, fingers 2; position 3, quaternion 4, gripper "
        "1; or LIBERO's robot_states 9. Fix: give such a set.",
    )


def robot_states(states: FloatArray, form: StateForm) -> FloatArray:
    """Return fingers (2), position (3) and quaternion xyzw (4), (T, 9), as LIBERO's HDF5 has them.

    Axis times angle goes through the exponential map, whatever its angle: robosuite keeps the
    quaternion's sign, so angles reach 2π.
    """
    states = np.asarray(states, dtype=np.float64)
    if form == "robot_states":
        return states
    if form == "quaternion":
        fingers = states[:, 7:] / 2
        return np.concatenate([fingers, -fingers, states[:, :7]], axis=1)
    quaternions = axisangle_to_quat(states[:, 3:6])
    return np.concatenate([states[:, 6:8], states[:, :3], quaternions], axis=1)


def _is_hand(positions: FloatArray) -> bool:
    return bool(np.abs(positions[:, :3]).max() < _ARM_M)


def _unit(quaternions: FloatArray) -> bool:
    return bool(np.abs(np.linalg.norm(quaternions, axis=1) - 1).max() < 1e-2)


def _fingers(pair: FloatArray) -> bool:
    one, other = pair[:, 0], pair[:, 1]
    near = max(np.abs(one).max(), np.abs(other).max()) <= _FINGER_M
    return bool(near and one.mean() >= -1e-3 and other.mean() <= 1e-3)


def _ranges(states: FloatArray) -> list[tuple[float, float]]:
    return list(zip(states.min(0).tolist(), states.max(0).tolist(), strict=True))
