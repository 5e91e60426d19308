"""How to lean or lay a gripped object where it would not stand: poses tried in imagination."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from policies.expert.drop_simulation import Imagination
from policies.expert.geometry import Boxes, any_overlap
from policies.expert.grasp import MAX_GAP, nearby
from policies.expert.kinematics import Kinematics
from policies.expert.placing import aligning_yaws
from policies.expert.pose import Pose, axis_rotation
from policies.expert.scene import Scene
from tasks.observation import FloatArray

RETREAT = 0.08
"""How far the hand draws back along its fingers after it let go, metres."""

_TILTS = (1.0, 0.8, 1.15, 0.65, 0.55, 0.45)
_SHARES = (0.0, 0.4, -0.4)
_MAX_YAW = 2.0
_HIGH, _STEP = 0.20, 0.005
_FAR = 0.09
_TOUCH = 0.002
_LEVEL = 0.5
_MARGIN = 0.06
_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Lying:
    """Where an object is let go.

    Attributes:
        position: (3,) of its origin, metres.
        rotation: (3, 3) of its body.
    """

    position: FloatArray
    rotation: FloatArray

    def hand(self, scene: Scene, name: str) -> Pose:
        """Give where the hand is then, with the object as it now is in its grip.

        Args:
            scene: The scene; the object is gripped.
            name: The object.
        """
        hand, turn = scene.hand_pose(), self.rotation @ scene.rotation(name).T
        return Pose(
            self.position + turn @ (hand.position - scene.position(name)), turn @ hand.rotation
        )


def find_lying(
    scene: Scene, kinematics: Kinematics, name: str, predicate: str, region: str
) -> Lying | None:
    """Find a tilted pose from which a gripped object comes to rest in a region.

    Args:
        scene: The scene; the object is gripped.
        kinematics: Of its robot.
        name: The object.
        predicate: ``on`` or ``in``.
        region: BDDL name of the region.

    Returns:
        None if none of the poses works out in imagination.
    """
    imagination = Imagination(scene)
    others = scene.obstacles(without=scene.subtree(scene.body(name)))
    middle, _ = scene.region(region)
    own = scene.object_boxes(name)
    near = nearby(others, Boxes.concatenate([own.moved(np.eye(3), middle - scene.position(name))]))
    gripper = scene.gripper_boxes(MAX_GAP)
    for lying in _candidates(scene, name, region):
        hand = lying.hand(scene, name)
        if abs(hand.rotation[2, 0]) > _LEVEL or not kinematics.reach(hand).reached:
            continue  # a finger that opens downwards would push against what is below
        lowered = _lowered(own, scene, name, lying, near)
        if lowered is None or np.linalg.norm(lowered.position - lying.position) > _FAR:
            continue
        hand = lowered.hand(scene, name)
        back = hand.shifted(-RETREAT * hand.rotation[:, 2])
        if any_overlap(gripper.moved(hand.rotation, hand.position), near):
            continue
        reaches = [kinematics.reach(pose) for pose in (hand, back)]
        if not all(r.reached and r.margin > _MARGIN for r in reaches):
            continue
        if imagination.stays(name, lowered.position, lowered.rotation, predicate, region):
            return lowered
    return None


def _candidates(scene: Scene, name: str, region: str) -> Iterator[Lying]:
    """Poses with the object's sides along the region's, leaning along them."""
    middle, extent = scene.region(region)
    frame = scene.region_axes(region)
    flat = [axis * [1.0, 1.0, 0.0] for axis in frame.T if np.hypot(axis[0], axis[1]) > 0.4]
    ways = [sign * axis / np.linalg.norm(axis) for axis in flat for sign in (1.0, -1.0)]
    turns = [yaw for yaw in aligning_yaws(scene, name, region) if abs(yaw) < _MAX_YAW]
    # On a slope the object lies along it; in a narrow compartment it leans.
    steep = [t for t in frame[2] if 0.1 < abs(t) < 0.95]
    tilts: tuple[float, ...] = _TILTS
    if steep:
        lying = float(np.arccos(min(abs(t) for t in steep)))
        tilts = tuple(sorted(_TILTS, key=lambda tilt: abs(tilt - lying)))
    for tilt, yaw, way, share in product(tilts, turns, ways, _SHARES):
        rotation = axis_rotation(np.cross(_UP, way), tilt) @ axis_rotation(_UP, yaw or 1e-9)
        offset = share * float(np.abs(way) @ extent) * way
        yield Lying(middle + offset, rotation @ scene.rotation(name))


def _lowered(own: Boxes, scene: Scene, name: str, lying: Lying, others: Boxes) -> Lying | None:
    """Lower an object from above until it nearly touches something."""
    turn = lying.rotation @ scene.rotation(name).T
    fat = others.inflated(_TOUCH)
    before = None
    for rise in np.arange(_HIGH, -_FAR, -_STEP):
        position = lying.position + rise * _UP
        if any_overlap(own.moved(turn, position - turn @ scene.position(name)), fat):
            break
        before = Lying(position, lying.rotation)
    return before
