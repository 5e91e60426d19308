"""Articulated parts (drawers, doors, knobs): their joint, and the value it must reach."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from policies.expert.geometry import IdArray
from policies.expert.pose import Pose, axis_rotation
from policies.expert.scene import Scene
from policies.interface import UnsupportedGoalError
from tasks.observation import FloatArray

_SLIDE = 2
_TESTS = {"open": "is_open", "close": "is_close", "turnon": "turn_on", "turnoff": "turn_off"}
_SURPLUS = {True: 0.2, False: 0.02}
"""Largest distance past the threshold, of hinges (True, rad) and slides (False, metres)."""


@dataclass(frozen=True)
class Articulation:
    """A part on one joint, and the value that the joint must reach.

    Attributes:
        joint: Joint id.
        bodies: (B,) ids of the moving bodies.
        hinge: Whether the joint turns (values in rad) or slides (metres).
        axis: (3,) unit vector of the joint.
        anchor: (3,) a point on a hinge's axis.
        sign: Sign of the change from the present value to the target.
        target: Joint value to reach.
    """

    joint: int
    bodies: IdArray
    hinge: bool
    axis: FloatArray
    anchor: FloatArray
    sign: float
    target: float

    def value(self, scene: Scene) -> float:
        """Give the joint's value now, metres or rad."""
        return float(scene.data.qpos[int(scene.model.jnt_qposadr[self.joint])])

    def remaining(self, scene: Scene) -> float:
        """Give the remaining change, metres or rad; negative once past the target."""
        return self.sign * (self.target - self.value(scene))

    def direction(self, point: FloatArray) -> FloatArray:
        """Give the direction, a (3,) unit vector, in which a point of the part must move."""
        if not self.hinge:
            return np.asarray(self.sign * self.axis)
        tangent = np.cross(self.sign * self.axis, point - self.anchor)
        return np.asarray(tangent / (np.linalg.norm(tangent) + 1e-12))

    def pose_after(self, pose: Pose, change: float) -> Pose:
        """Move a pose with the part.

        Args:
            pose: The pose now.
            change: Progress of the joint, metres or rad; positive towards the target.
        """
        if not self.hinge:
            return pose.shifted(change * self.sign * self.axis)
        turn = axis_rotation(self.axis, self.sign * change)
        return Pose(self.anchor + turn @ (pose.position - self.anchor), turn @ pose.rotation)


def find_articulation(
    scene: Scene, predicate: str, name: str, supported: frozenset[str]
) -> Articulation:
    """Find the joint that makes a predicate true, and the value it must reach.

    Args:
        scene: The scene.
        predicate: ``open``, ``close``, ``turnon`` or ``turnoff``.
        name: A fixture or one of its regions.
        supported: Predicates that the error lists.

    Raises:
        UnsupportedGoalError: Not exactly one joint belongs to the name.
    """
    site = scene.env.object_sites_dict.get(name)
    owner = scene.env.get_object(name if site is None else site.parent_name)
    joints = list(getattr(owner if site is None else site, "joints", None) or [])
    test = getattr(owner, _TESTS[predicate], None)
    if len(joints) != 1 or test is None:
        raise UnsupportedGoalError.of([predicate, name], supported, "only parts on one joint")
    joint = int(scene.model.joint(joints[0]).id)
    now = float(scene.data.qpos[int(scene.model.jnt_qposadr[joint])])
    low, high = (float(v) for v in scene.model.jnt_range[joint])
    hinge = int(scene.model.jnt_type[joint]) != _SLIDE
    target = target_value(test, now, (low, high), _SURPLUS[hinge])
    test(now)  # stoves remember the last value that was tested
    return Articulation(
        joint=joint,
        bodies=scene.subtree(int(scene.model.jnt_bodyid[joint])),
        hinge=hinge,
        axis=np.array(scene.data.xaxis[joint]),
        anchor=np.array(scene.data.xanchor[joint]),
        sign=1.0 if target >= now else -1.0,
        target=target,
    )


def target_value(
    test: Callable[[float], Any], now: float, limits: tuple[float, float], surplus: float
) -> float:
    """Find the joint value to go to: a little past the threshold of a test.

    Args:
        test: Tells whether a joint value fulfils the goal.
        now: The present value.
        limits: Lowest and highest value.
        surplus: Largest distance past the threshold; at most half of the range beyond it is used.

    Raises:
        ValueError: No value fulfils the test.
    """
    values = np.linspace(*limits, 2001)
    fulfilled = np.array([bool(test(float(v))) for v in values])
    if not fulfilled.any():
        raise ValueError("No value of the joint fulfils the goal.")
    nearest = int(np.argmin(np.where(fulfilled, np.abs(values - now), np.inf)))
    forward = values[nearest] >= now
    end = limits[1] if forward else limits[0]
    rest = 0.5 * abs(end - values[nearest])
    return float(values[nearest] + (1.0 if forward else -1.0) * min(rest, surplus))
