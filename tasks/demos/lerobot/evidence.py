"""The conventions of a LeRobot data set, found from its numbers and images, with the evidence.

Labels and names are not trusted: public sets of LIBERO call 20 Hz 10 or 30, name quaternions where
axis times angle is, and turn the gripper's command round.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from tasks.demos.conventions import View, camera_view, gripper_agreement
from tasks.observation import CONTROL_HZ, FloatArray, Image
from tasks.rotations import axisangle_to_matrix, matrix_to_axisangle, quat_to_matrix

Grip = Literal["−1 open, +1 close", "+1 open, −1 close", "0 open, 1 close", "1 open, 0 close"]
"""What the last number of an action means."""

Rotation = Literal["axisangle", "negated", "euler"]
"""How three numbers of a state give the hand's orientation."""

_OPEN_M, _CLOSED_M = 0.06, 0.03
"""Distance of the fingers beyond which a hand that never moves them is open, or closed."""
_ROWS = 10
_GAIN = 0.24
"""Of LIBERO's controller at 20 Hz: the hand's motion over some rows, as a share of the sum of their
commands; 0.19 to 0.26 in demonstrations of the expert."""
_GAIN_FIT = 0.6
_METRES_PER_COMMAND = 0.05
_TURNING = 0.05
_CLEAR_TURNS = 0.35
_STILL_LEVELS = 12
_CALM_SHARE = 0.6


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Some of a demonstration: actions (T, 7) and robot states (T, 9), with what is as recorded.

    Attributes:
        turned: (T, 3) the three numbers of the orientation; None where there is a quaternion.
        images: By camera (T, H, W, 3); may be empty.
    """

    actions: FloatArray
    robot: FloatArray
    turned: FloatArray | None
    images: dict[str, Image] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A convention, and what shows it: a clause.

    Attributes:
        value: The convention; None where nothing shows it.
        words: What shows it, or why nothing does.
    """

    value: Any
    words: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def find_grip(samples: Sequence[Sample]) -> Found:
    """Find out what the gripper's command means from its range and from how the fingers move.

    Args:
        samples: As many demonstrations as there are; images are not needed.
    """
    commands = np.concatenate([sample.actions[:, 6] for sample in samples])
    unsigned = bool(commands.min() >= 0 and (commands.max() > 0 or commands.min() == 0))
    pairs = [(s.actions[:, 6], s.robot[:, 0] - s.robot[:, 1]) for s in samples]
    agreement = gripper_agreement(pairs)
    span = f"from {commands.min():.3g} to {commands.max():.3g}"
    if agreement is not None and abs(agreement) >= 0.5:
        closes = agreement > 0
        moved = "close" if closes else "open"
        words = f"commands {span}; the fingers {moved} where they are high ({agreement:+.2f})"
        return Found(value=_grip(unsigned=unsigned, closes=closes), words=words)
    gap = float(np.median(np.concatenate([gap for _, gap in pairs])))
    level = float(np.median(commands))
    middle = 0.5 if unsigned else 0.0
    if agreement is None and abs(level - middle) > 0.25 and not _CLOSED_M < gap < _OPEN_M:
        closes = (level > middle) == (gap <= _CLOSED_M)
        words = f"commands {span}; the fingers stay {gap * 100:.1f} cm apart under {level:.3g}"
        return Found(value=_grip(unsigned=unsigned, closes=closes), words=words)
    return Found(value=None, words=f"commands {span}, and the fingers follow neither sign")


def _grip(*, unsigned: bool, closes: bool) -> Grip:
    if unsigned:
        return "0 open, 1 close" if closes else "1 open, 0 close"
    return "−1 open, +1 close" if closes else "+1 open, −1 close"


def libero_commands(commands: FloatArray, grip: Grip) -> FloatArray:
    """Return a gripper's commands as LIBERO has them: −1 opens and +1 closes."""
    if grip == "−1 open, +1 close":
        return commands
    if grip == "+1 open, −1 close":
        return -commands
    return 2 * commands - 1 if grip == "0 open, 1 close" else 1 - 2 * commands


def find_rotation(samples: Sequence[Sample]) -> Found:
    """Find out how three numbers give the hand's orientation: from how the hand turns when told.

    The rotation from one row to the next, in the world, follows the command of the earlier row, or
    of the later one where rows are seen after their action.
    """
    usable = [sample for sample in samples if sample.turned is not None and len(sample.turned) > 3]
    if not usable:
        return Found(value="axisangle", words="it has quaternions")
    longest = max(float(np.linalg.norm(s.turned, axis=1).max()) for s in usable)  # type: ignore[arg-type]
    told = float(np.abs(np.concatenate([s.actions[:, 3:6] for s in usable])).max())
    beyond = f"angles up to {longest:.2f} rad"
    beyond += (
        ", beyond π, as robosuite keeps its quaternion's sign" if longest > np.pi + 0.01 else ""
    )
    if told < _TURNING:
        return Found(value=None, words=f"{beyond}; the hand is never told to turn")
    fits = {form: _turns_as_told(usable, form) for form in ("axisangle", "negated", "euler")}
    best = max(fits, key=lambda form: fits[form])
    shown = ", ".join(f"{form} {fit:+.2f}" for form, fit in fits.items())
    words = f"{beyond}; the hand turns as told, read as {shown}"
    if fits["axisangle"] >= fits[best] - 0.05:
        best = "axisangle"
    return Found(value=best if fits[best] > _CLEAR_TURNS else None, words=words)


def orientation_matrices(turned: FloatArray, form: Rotation) -> FloatArray:
    """Return (T, 3, 3) orientations from three numbers each; Euler angles are extrinsic xyz."""
    if form != "euler":
        return axisangle_to_matrix(-turned if form == "negated" else turned)
    half = np.asarray(turned, dtype=np.float64) / 2
    parts = []
    for axis in range(3):
        quaternion = np.zeros((len(turned), 4))
        quaternion[:, axis], quaternion[:, 3] = np.sin(half[:, axis]), np.cos(half[:, axis])
        parts.append(quat_to_matrix(quaternion))
    matrices: FloatArray = parts[2] @ parts[1] @ parts[0]
    return matrices


def _turns_as_told(samples: Sequence[Sample], form: Rotation) -> float:
    best = -1.0
    for later in (0, 1):
        turns, told = [], []
        for sample in samples:
            assert sample.turned is not None
            poses = orientation_matrices(sample.turned, form)
            turns.append(matrix_to_axisangle(poses[1:] @ poses[:-1].transpose(0, 2, 1)))
            told.append(sample.actions[later : len(poses) - 1 + later, 3:6])
        one, other = np.concatenate(turns).ravel(), np.concatenate(told).ravel()
        size = float(np.sqrt((one @ one) * (other @ other)))
        best = max(best, float(one @ other) / size if size > 0 else 0.0)
    return best


def find_rate(samples: Sequence[Sample], label: float) -> Found:
    """Find out how many control steps a second rows are: from how far commands move the hand.

    Returns:
        20 where rows are LIBERO's control steps; None where nothing tells, or another rate.
    """
    moved, told = [], []
    for sample in samples:
        if len(sample.robot) <= _ROWS + 1:
            continue
        hand = sample.robot[:, 2:5]
        sums = np.cumsum(np.vstack([np.zeros(3), sample.actions[:, :3]]), axis=0)
        moved.append((hand[_ROWS:] - hand[:-_ROWS]).ravel())
        told.append((sums[_ROWS:-1] - sums[: -_ROWS - 1]).ravel() * _METRES_PER_COMMAND)
    if not moved:
        return Found(value=None, words=f"labelled {label:g}; demonstrations are too short to tell")
    motion, command = np.concatenate(moved), np.concatenate(told)
    power, all_motion = float(command @ command), float(motion @ motion)
    gain = float(command @ motion) / power if power > 0 else 0.0
    fit = 1 - float(np.square(motion - gain * command).sum()) / all_motion if all_motion else 0.0
    if fit < _GAIN_FIT or gain <= 0:
        return Found(value=None, words=f"labelled {label:g}; the hand's motion does not tell")
    words = f"labelled {label:g}; the hand moves {gain:.2f} of its commands over {_ROWS} rows"
    times = gain / _GAIN
    if times < 1.6:
        return Found(value=CONTROL_HZ, words=f"{words}, as at {CONTROL_HZ:g} Hz")
    return Found(
        value=CONTROL_HZ / round(times), words=f"{words}, where {CONTROL_HZ:g} Hz give 0.24"
    )


def find_turn(samples: Sequence[Sample]) -> Found:
    """Find out how the fixed camera's images are turned; see ``camera_view``."""
    views = [(s.images["agentview"], s.robot[:, 2:5]) for s in samples if "agentview" in s.images]
    if not views:
        return Found(value=None, words="no image of the fixed camera was looked at")
    view = camera_view(views)
    words = {
        None: "too little moves in the images to tell how they are turned",
        "raw": "what moves lies as in images stored as rendered, upside down",
        "rotated": "what moves lies as in images turned by 180° since they were rendered",
        "upright": "what moves lies as in images flipped vertically since they were rendered",
        "mirrored": "what moves lies as in images mirrored since they were rendered",
    }
    return Found(value=view, words=words[view])


def to_raw(images: Image, view: View) -> Image:
    """Return images as LIBERO's HDF5 files have them, as rendered; a view of the same memory."""
    if view == "rotated":
        return images[..., ::-1, ::-1, :]
    if view == "upright":
        return images[..., ::-1, :, :]
    return images[..., ::-1, :] if view == "mirrored" else images


def find_cameras(samples: Sequence[Sample]) -> Found:
    """Find out which of two cameras is the fixed one: most of its image stays as it is.

    Returns:
        Whether the names have it the other way round; None where nothing tells.
    """
    both = [s for s in samples if {"agentview", "wrist"} <= s.images.keys()]
    if not both:
        return Found(value=False, words="there is one camera")
    calm = {
        camera: float(np.mean([_calm(sample.images[camera]) for sample in both]))
        for camera in ("agentview", "wrist")
    }
    words = f"{calm['agentview']:.0%} of one stays as it is, {calm['wrist']:.0%} of the other"
    if max(calm.values()) < _CALM_SHARE or abs(calm["agentview"] - calm["wrist"]) < 0.1:
        return Found(value=None, words=words)
    return Found(value=calm["wrist"] > calm["agentview"], words=words)


def _calm(images: Image) -> float:
    """Return the share of pixels that change little over the images."""
    some = images[np.unique(np.linspace(0, len(images) - 1, 12).astype(int))].astype(np.int16)
    change = np.abs(some - np.median(some, axis=0)).max(axis=-1)
    return float((np.median(change, axis=0) <= _STILL_LEVELS).mean())
