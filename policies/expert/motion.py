"""Moving the hand: servoing to poses, and collision-free paths of waypoints."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, product

import numpy as np

from policies.expert.geometry import OrientedBoxes, any_overlap
from policies.expert.pose import Pose, angle_between, axis_rotation, rotation_vector
from policies.expert.scene import Scene
from policies.interface import PlanningError
from tasks.actions import POSITION_UNIT, ROTATION_UNIT
from tasks.observation import ACTION_DIM, FloatArray

Actions = Iterator[FloatArray]
"""A stream of (7,) actions, each computed when it is asked for."""

OPEN, CLOSE = -1.0, 1.0

_POSITION_GAIN = 2.0
_ROTATION_GAIN = 1.5
_NOISE_FREE = 0.03
_DRIFT_GAIN = 0.15
_MAX_DRIFT = 0.02
_PUSH_STEPS = 8
_DAMPING = 0.15
_SMOOTHING = 4
_CALMING = 30
_PASS_DISTANCE = 0.025
_SIDESTEPS = (0.04, 0.08, 0.14, 0.2)
_STEP_LENGTH = 0.015
_STEP_ANGLE = 0.15


class Arm:
    """Servos the hand to poses during one episode.

    Args:
        scene: The episode's scene.
        speed: Largest length of the position part (and of the rotation part) of an action.
        noise: Standard deviation of the noise on positions in action units; half on rotation.
            A draw lasts a few steps, so that it pushes the hand off its path.
        rng: Source of the noise.

    Attributes:
        gripper: Gripper command of every action, −1 open to +1 closed.
        intended: The latest servo action without its noise, (7,); None before the first.
    """

    def __init__(
        self, scene: Scene, *, speed: float, noise: float, rng: np.random.Generator
    ) -> None:
        self.scene = scene
        self.gripper = OPEN
        self._speed = speed
        self._noise = noise
        self._rng = rng
        self._push = np.zeros(ACTION_DIM)
        self._push_left = 0
        self._velocities: deque[FloatArray] = deque(maxlen=_SMOOTHING)
        self.intended: FloatArray | None = None

    def toward(self, target: Pose, *, noisy: bool = False, damping: float = 0.0) -> FloatArray:
        """Compute the action, (7,), that servos to a pose.

        Args:
            target: Pose of the hand.
            noisy: Whether noise may be added; none is close to the target.
            damping: Seconds by which the hand's present motion is extrapolated.
        """
        now = self.scene.hand_pose()
        error = target.position - now.position
        turn = rotation_vector(target.rotation @ now.rotation.T)
        if damping > 0:
            # Answering the latest velocity alone would come too late and swing to and fro.
            self._velocities.append(self.scene.hand_velocity())
            velocity = np.mean(self._velocities, axis=0)
            error, turn = error - damping * velocity[:3], turn - damping * velocity[3:]
        action = np.zeros(ACTION_DIM)
        action[:3] = self._limited(_POSITION_GAIN * error / POSITION_UNIT)
        action[3:6] = self._limited(_ROTATION_GAIN * turn / ROTATION_UNIT)
        action[6] = self.gripper
        self.intended = np.asarray(np.clip(action, -1.0, 1.0))
        if noisy and self._noise > 0 and np.linalg.norm(error) > _NOISE_FREE:
            action += self._disturbance()
        return np.asarray(np.clip(action, -1.0, 1.0))

    def _disturbance(self) -> FloatArray:
        """Return the present push, (7,); a new one is drawn every few steps.

        Noise of single steps averages out before the hand has moved, so a learner would never see
        the states from which it must recover.
        """
        if self._push_left == 0:
            self._push[:3] = self._rng.normal(0.0, self._noise, 3)
            self._push[3:6] = self._rng.normal(0.0, self._noise / 2, 3)
            self._push_left = _PUSH_STEPS
        self._push_left -= 1
        return self._push

    def _limited(self, vector: FloatArray) -> FloatArray:
        """Shorten a vector to the speed, keeping its direction."""
        return np.asarray(vector * min(1.0, self._speed / (float(np.linalg.norm(vector)) + 1e-9)))

    def hold(self, steps: int) -> Actions:
        """Stay where the hand is for some steps, with the present gripper command."""
        for _ in range(steps):
            action = np.zeros(ACTION_DIM)
            action[6] = self.gripper
            yield action

    def keep(self, pose: Pose, steps: int) -> Actions:
        """Servo to a pose for some steps, so that the hand does not drift away from it."""
        for _ in range(steps):
            yield self.toward(pose, damping=_DAMPING)

    def move(
        self,
        waypoints: Sequence[Pose],
        *,
        tolerance: float = 0.004,
        turn_tolerance: float = 0.05,
        noisy: bool = True,
    ) -> Actions:
        """Pass all waypoints but the last, and arrive at the last.

        Args:
            waypoints: Poses in order.
            tolerance: Distance at which the last one is reached.
            turn_tolerance: Angle at which it is reached.
            noisy: Whether noise may be added on the way. Without it, an arm that swings about the
                last waypoint, as a stretched one does, is given time to calm down.
        """
        for index, target in enumerate(waypoints):
            last = index == len(waypoints) - 1
            drift = np.zeros(3)
            near = tolerance if last else _PASS_DISTANCE
            aligned = turn_tolerance if last else 0.5
            patience = self._step_limit(target)
            calming = _CALMING if last and not noisy else 0
            for step in range(patience + calming):
                now = self.scene.hand_pose()
                distance = float(np.linalg.norm(target.position - now.position))
                if distance < near and angle_between(now.rotation, target.rotation) < aligned:
                    break
                if not noisy and distance < _NOISE_FREE:
                    # Small errors move the arm too little, so they are integrated.
                    drift += _DRIFT_GAIN * (target.position - now.position)
                    drift *= min(1.0, _MAX_DRIFT / (float(np.linalg.norm(drift)) + 1e-9))
                # Noise near an end would only be fought by the servo.
                damping = _DAMPING if step >= patience else 0.0
                yield self.toward(target.shifted(drift), noisy=noisy, damping=damping)

    def _step_limit(self, target: Pose) -> int:
        now = self.scene.hand_pose()
        travel = float(np.linalg.norm(target.position - now.position)) / _STEP_LENGTH
        turn = angle_between(now.rotation, target.rotation) / _STEP_ANGLE
        return int(1.6 * max(travel, turn) / self._speed) + 12


def touches(shape: OrientedBoxes, poses: Iterable[Pose], obstacles: OrientedBoxes) -> bool:
    """Tell whether a shape in the hand's frame overlaps obstacles in any of some poses."""
    return any(any_overlap(shape.moved(p.rotation, p.position), obstacles) for p in poses)


def plan_path(
    start: Pose,
    goal: Pose,
    shape: OrientedBoxes,
    obstacles: OrientedBoxes,
    *,
    clearances: Sequence[float] = (0.015, 0.005, 0.0),
) -> list[Pose]:
    """Find the first of a few simple paths that keeps clear of the obstacles.

    Straight; or over the lowest height that works; or, where something is above the start or the
    goal, sideways from under it.

    Args:
        start: Present pose of the hand.
        goal: Pose to go to.
        shape: Boxes of the gripper and the held object, in the hand's frame.
        obstacles: Boxes that must not be touched.
        clearances: Distances to keep, each tried if the one before leaves no path.

    Returns:
        Waypoints after the start, the goal last.

    Raises:
        PlanningError: No path is clear.
    """
    for clearance in clearances:
        inflated = obstacles.inflated(clearance)
        for routes in (_overhead_routes, _sidestep_routes):
            for route in routes(start, goal):
                if _is_clear([start, *route], shape, inflated):
                    return route
    raise PlanningError("No clear path for the hand was found; the scene is too crowded.")


def _overhead_routes(start: Pose, goal: Pose) -> Iterator[list[Pose]]:
    """Enumerate routes: straight, then over things, the lowest first."""
    base = max(float(start.position[2]), float(goal.position[2]))
    yield [goal]
    for rise in np.arange(0.0, 0.42, 0.02):
        over_start = start.at_height(base + rise)
        over_goal = goal.at_height(base + rise)
        yield [over_goal, goal]
        yield [Pose(over_start.position, goal.rotation), goal]
        yield [over_start, over_goal, goal]


def _sidestep_routes(start: Pose, goal: Pose) -> Iterator[list[Pose]]:
    """Enumerate routes sideways from the start or to the goal, and over things in between."""
    base = max(float(start.position[2]), float(goal.position[2]))
    for distance, rise, angle in product(_SIDESTEPS, (0.0, 0.1, 0.2), np.arange(8) * np.pi / 4):
        aside = distance * np.array([np.cos(angle), np.sin(angle), 0.0])
        away, before = start.shifted(aside), goal.shifted(aside)
        over_goal = goal.at_height(base + rise)
        yield [away, away.at_height(base + rise), over_goal, goal]
        yield [start.at_height(base + rise), before.at_height(base + rise), before, goal]


def _is_clear(path: Sequence[Pose], shape: OrientedBoxes, obstacles: OrientedBoxes) -> bool:
    """Tell whether a shape can move along a path; close to the ends touching is allowed."""
    for first, second in pairwise(path):
        step = second.position - first.position
        length = float(np.linalg.norm(step))
        turn = rotation_vector(second.rotation @ first.rotation.T)
        angle = float(np.linalg.norm(turn))
        count = max(2, int(length / 0.015) + 2, int(angle / 0.2) + 2)
        parts = []
        for share in np.linspace(0.0, 1.0, count):
            position = first.position + share * step
            ends = (path[0].position, path[-1].position)
            if min(float(np.linalg.norm(position - end)) for end in ends) < 0.02:
                continue
            rotation = first.rotation
            if angle > 1e-6:
                rotation = axis_rotation(turn, share * angle) @ first.rotation
            parts.append(shape.moved(rotation, position))
        if parts and any_overlap(OrientedBoxes.concatenate(parts), obstacles):
            return False
    return True
