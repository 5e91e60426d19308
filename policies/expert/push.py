"""Where and how to push a drawer or a door shut."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from policies.expert.articulation import Articulation
from policies.expert.geometry import Boxes, any_overlap, sample_surface
from policies.expert.grasp import DOWN, MAX_GAP
from policies.expert.kinematics import Kinematics
from policies.expert.pose import Pose, angle_between, axis_rotation
from policies.expert.scene import Scene
from policies.interface import PlanningError
from tasks.observation import FloatArray

_TILTS = (0.0, 0.2, 0.35, 0.5, 0.7, 0.9)
_LOWERINGS = (-0.008, -0.004, 0.0, 0.006)
_BEFORE = 0.04
_CLEARANCE = 0.006


@dataclass(frozen=True)
class Push:
    """A push: where it starts and where it touches.

    Attributes:
        start: Hand pose before the touch.
        touch: Hand pose at the touch.
    """

    start: Pose
    touch: Pose


def find_push(scene: Scene, kinematics: Kinematics, part: Articulation, home: FloatArray) -> Push:
    """Find a hand pose that pushes the outermost place of a part without touching the rest.

    Args:
        scene: The scene as it is now.
        kinematics: Of its robot.
        part: What to push.
        home: (3, 3) orientation the hand should stay close to.

    Raises:
        PlanningError: If every pose is blocked or out of reach.
    """
    fixed = scene.obstacles(without=part.bodies).inflated(_CLEARANCE)
    # What lies in a drawer moves along with it.
    without = np.concatenate([part.bodies, scene.loose()])
    lasting = scene.obstacles(without=without).inflated(_CLEARANCE)
    moving = scene.body_boxes(part.bodies)
    direction = part.direction(_farthest(moving, part))
    contact = _outermost(moving, direction)
    gripper, fingers = scene.gripper_boxes(MAX_GAP), scene.gripper_boxes(MAX_GAP, hand=False)
    shares = (0.33, 0.67, 1.0) if part.hinge else (1.0,)
    for rotation in _orientations(home, direction):
        turned = fingers.moved(rotation, np.zeros(3))
        lead = turned.extent_along(direction)
        for lowering in _LOWERINGS:
            position = contact - lead * direction
            position[2] = contact[2] + lowering
            touch = Pose(position, rotation)
            start = touch.shifted(-_BEFORE * direction)
            ends = [part.carried(touch, share * part.remaining(scene)) for share in shares]
            shapes = [gripper.moved(p.rotation, p.position) for p in (start, touch, *ends)]
            clear = not any(any_overlap(shape, fixed) for shape in shapes[:2])
            clear = clear and not any(any_overlap(shape, lasting) for shape in shapes[2:])
            # Pulled back by 8 mm the hand must be free of the part as well.
            free = gripper.moved(rotation, position - 0.008 * direction)
            clear = clear and not any_overlap(free, moving)
            if clear and all(kinematics.reach(p).reached for p in (start, *ends)):
                return Push(start, touch)
    raise PlanningError("No hand pose was found that can push the part shut.")


def _farthest(boxes: Boxes, part: Articulation) -> FloatArray:
    """Middle of the edge that moves fastest when a part turns, (3,) metres."""
    corners = boxes.corners().reshape(-1, 3)
    arms = np.linalg.norm(np.cross(corners - part.anchor, part.axis), axis=1)
    return np.asarray(corners[arms > arms.max() - 0.02].mean(0))


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
