"""Where and how to push a drawer shut."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from policies.expert.errors import PlanningError, UnsupportedGoalError
from policies.expert.geometry import Boxes, IdArray, any_overlap, sample_surface
from policies.expert.grasp import DOWN, MAX_GAP
from policies.expert.kinematics import Kinematics
from policies.expert.pose import Pose, angle_between, axis_rotation
from policies.expert.scene import Scene
from tasks.observation import FloatArray

_TILTS = (0.0, 0.2, 0.35, 0.5, 0.7, 0.9)
_LOWERINGS = (-0.008, -0.004, 0.0, 0.006)
_BEFORE = 0.04


@dataclass(frozen=True)
class Slide:
    """A sliding part and the way it must go.

    Attributes:
        joint: Joint id.
        bodies: (B,) ids of the bodies that move.
        direction: (3,) unit vector of the wished motion, world frame.
        sign: Of the joint's change along the direction.
        target: Joint value to reach, metres.
    """

    joint: int
    bodies: IdArray
    direction: FloatArray
    sign: float
    target: float

    def remaining(self, scene: Scene) -> float:
        """Distance still to go, metres; negative once past the target."""
        value = float(scene.data.qpos[int(scene.model.jnt_qposadr[self.joint])])
        return self.sign * (self.target - value)


@dataclass(frozen=True)
class Push:
    """A push: where it starts, where it touches and the slide it moves.

    Attributes:
        start: Hand pose before the touch.
        touch: Hand pose at the touch.
        slide: What is pushed.
    """

    start: Pose
    touch: Pose
    slide: Slide


def closing_slide(scene: Scene, region: str, supported: frozenset[str]) -> Slide:
    """Find the joint that closes a region and the direction in which it does.

    Args:
        scene: The scene.
        region: BDDL name of the region, such as ``wooden_cabinet_1_top_region``.
        supported: Predicates to name in the error.

    Raises:
        UnsupportedGoalError: If no sliding joint belongs to the region.
    """
    site = scene.env.object_sites_dict.get(region)
    joints = list(getattr(site, "joints", None) or [])
    if len(joints) != 1:
        raise UnsupportedGoalError(["close", region], supported, "only single drawers")
    joint = int(scene.model.joint(joints[0]).id)
    if int(scene.model.jnt_type[joint]) != 2:
        raise UnsupportedGoalError(["close", region], supported, "only drawers, no hinges")
    closed = scene.env.get_object(site.parent_name).is_close
    low, high = (float(v) for v in scene.model.jnt_range[joint])
    sign = 1.0 if closed(high) else -1.0
    values = np.linspace(low, high, 200)[:: int(sign)]
    threshold = float(next(v for v in values if closed(float(v))))
    end = high if sign > 0 else low
    direction = sign * np.array(scene.data.xaxis[joint])
    bodies = scene.subtree(int(scene.model.jnt_bodyid[joint]))
    return Slide(joint, bodies, direction, sign, (threshold + end) / 2)


def find_push(scene: Scene, kinematics: Kinematics, slide: Slide, home: FloatArray) -> Push:
    """Find a hand pose that pushes the outermost part of a slide without touching the rest.

    Args:
        scene: The scene as it is now.
        kinematics: Of its robot.
        slide: What to push.
        home: (3, 3) orientation the hand should stay close to.

    Raises:
        PlanningError: If every pose is blocked or out of reach.
    """
    fixed = scene.obstacles(without=slide.bodies).inflated(0.006)
    moving = scene.body_boxes(slide.bodies)
    contact = _outermost(moving, slide.direction)
    travel = slide.remaining(scene) * slide.direction
    gripper, fingers = scene.gripper_boxes(MAX_GAP), scene.gripper_boxes(MAX_GAP, hand=False)
    for rotation in _orientations(home, slide.direction):
        turned = fingers.moved(rotation, np.zeros(3))
        lead = turned.extent_along(slide.direction)
        for lowering in _LOWERINGS:
            position = contact - lead * slide.direction
            position[2] = contact[2] + lowering
            touch = Pose(position, rotation)
            start = touch.shifted(-_BEFORE * slide.direction)
            end = touch.shifted(travel)
            shapes = [gripper.moved(p.rotation, p.position) for p in (start, touch, end)]
            clear = not any(any_overlap(shape, fixed) for shape in shapes)
            # Pulled back by 8 mm the hand must be free of the drawer as well.
            free = gripper.moved(rotation, position - 0.008 * slide.direction)
            clear = clear and not any_overlap(free, moving)
            if clear and all(kinematics.reach(p).reached for p in (start, end)):
                return Push(start, touch, slide)
    raise PlanningError("No hand pose was found that can push the drawer shut.")


def _outermost(boxes: Boxes, direction: FloatArray) -> FloatArray:
    """Middle of the surface that sticks out farthest against a direction, (3,) metres."""
    surface = sample_surface(boxes)
    points = surface.points[surface.normals @ direction < -0.9]
    depth = points @ direction
    outer = points[depth < depth.min() + 0.004]
    return np.asarray((outer.min(0) + outer.max(0)) / 2)


def _orientations(home: FloatArray, direction: FloatArray) -> list[FloatArray]:
    """Hand orientations to try, the least turn from home first.

    The hand leans back from the push, so that the fingers go ahead of it.
    """
    yaw = float(np.arctan2(home[1, 0], home[0, 0]))
    lean = np.cross(DOWN, direction)
    found = []
    for tilt, quarter in product(_TILTS, (0.0, 0.5 * np.pi, -0.5 * np.pi)):
        x = np.array([np.cos(yaw + quarter), np.sin(yaw + quarter), 0.0])
        upright = np.stack([x, np.cross(DOWN, x), DOWN], axis=1)
        found.append(axis_rotation(lean, tilt) @ upright)
    return sorted(found, key=lambda rotation: angle_between(home, rotation))
