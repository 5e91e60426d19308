"""The expert's view of the simulator: poses, collision boxes, contacts, and the arm's joints.

It is read-only: inverse kinematics is solved on a scratch copy of the simulator's data.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mujoco
import numpy as np

from policies.expert.geometry import BoolArray, IdArray, OrientedBoxes, slab_boxes
from policies.expert.pose import Pose, rotation_vector
from tasks.observation import FloatArray

GRIP_SITE = "gripper0_grip_site"
"""The site the controller moves: x is the closing axis, z the approach."""

_HAND_GEOMS = ("gripper0_hand_collision",)
_FINGER_GEOMS = ("gripper0_finger1_collision", "gripper0_finger2_collision")
_FINGER_JOINTS = ("gripper0_finger_joint1", "gripper0_finger_joint2")
_HAND_CUTS = (-0.075, -0.05)
_FINGER_CUTS = (-0.028, -0.01)


class Scene:
    """Reads one environment. Nothing here writes to the live model or data.

    Attributes:
        env: LIBERO's own environment (``BDDLBaseDomain``).
        model: MuJoCo model.
        data: MuJoCo data, live.
    """

    def __init__(self, env: Any) -> None:
        """Look at an environment that was just reset.

        Args:
            env: LIBERO's ``BDDLBaseDomain`` object.
        """
        self.env = env
        self.model: Any = env.sim.model._model
        self.data: Any = env.sim.data._data
        self._site = int(self.model.site(GRIP_SITE).id)
        solid = (self.model.geom_contype != 0) | (self.model.geom_conaffinity != 0)
        self._solid = np.flatnonzero(solid & (self.model.geom_type != mujoco.mjtGeom.mjGEOM_PLANE))
        self._root = np.array([self._root_name(b) for b in range(self.model.nbody)])

    def _root_name(self, body: int) -> str:
        root = self.model.body_rootid[body]
        return str(self.model.body(int(root)).name)

    @property
    def goals(self) -> list[list[str]]:
        """The task's goals as parsed from its BDDL file, predicate first."""
        return [list(goal) for goal in self.env.parsed_problem["goal_state"]]

    def is_true(self, goal: list[str]) -> bool:
        """Tell whether a goal is true now."""
        return bool(self.env._eval_predicate(goal))

    def is_shut(self, region: str) -> bool:
        """Tell whether a region is in a drawer or behind a door that is not open."""
        return self.is_articulated(region) and not self.is_true(["open", region])

    def is_articulated(self, region: str) -> bool:
        """Tell whether a region belongs to a drawer or another part on a joint."""
        return bool(getattr(self.env.object_sites_dict.get(region), "joints", None))

    def hand_pose(self) -> Pose:
        """Give the pose of the grip site."""
        rotation = self.data.site_xmat[self._site].reshape(3, 3)
        return Pose(self.data.site_xpos[self._site].copy(), rotation.copy())

    def hand_velocity(self) -> FloatArray:
        """Give the grip site's velocity, (6,): metres and rad per second, world axes."""
        spatial = np.zeros(6)
        kind = mujoco.mjtObj.mjOBJ_SITE
        mujoco.mj_objectVelocity(self.model, self.data, kind, self._site, spatial, 0)
        return np.concatenate([spatial[3:], spatial[:3]])

    def finger_gap(self) -> float:
        """Give the distance between the finger pads, metres (about 0.08 when open)."""
        joints = [self.data.qpos[self.model.joint(n).qposadr[0]] for n in _FINGER_JOINTS]
        return float(joints[0] - joints[1])

    def body(self, name: str) -> int:
        """Give the body id of an object or fixture by its BDDL name."""
        return int(self.env.obj_body_id[name])

    def position(self, name: str) -> FloatArray:
        """Give an object's body origin, (3,) metres."""
        return np.array(self.data.xpos[self.body(name)])

    def rotation(self, name: str) -> FloatArray:
        """Give an object's orientation, (3, 3)."""
        return np.array(self.data.xmat[self.body(name)]).reshape(3, 3)

    def region_axes(self, name: str) -> FloatArray:
        """Give a region's orientation, (3, 3); the columns are its axes."""
        return np.array(self.data.site_xmat[self.model.site(name).id]).reshape(3, 3)

    def fits(self, predicate: str, region: str, position: FloatArray) -> bool:
        """Tell whether ``on`` or ``in`` would hold for an object's origin in a region.

        Args:
            predicate: ``on`` or ``in``; contact does not count.
            region: BDDL name of the region.
            position: (3,) metres.
        """
        site = self.env.object_sites_dict[region]
        test = site.in_box if predicate == "in" else site.under
        middle = np.array(self.data.site_xpos[self.model.site(region).id])
        return bool(test(middle, self.region_axes(region), position))

    def region(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Give a region's centre (3,) and its half extents along the world axes (3,), metres."""
        site = self.model.site(name).id
        size = np.asarray(self.env.object_sites_dict[name].size, dtype=float)
        extent = np.abs(self.data.site_xmat[site].reshape(3, 3) @ size)
        return np.array(self.data.site_xpos[site]), extent

    def subtree(self, body: int) -> IdArray:
        """Give the ids of a body and of all bodies below it, (B,) int."""
        members = {body}
        for child in range(body + 1, self.model.nbody):
            if int(self.model.body_parentid[child]) in members:
                members.add(child)
        return np.array(sorted(members))

    def free_bodies(self) -> IdArray:
        """Give the ids of the bodies of all free objects, (B,) int."""
        return np.concatenate([self.subtree(self.body(name)) for name in self.env.objects_dict])

    def boxes(self, geoms: IdArray) -> OrientedBoxes:
        """Box collision geoms where they are now.

        Args:
            geoms: (N,) geom ids.
        """
        local = self.model.geom_aabb[geoms]
        axes = self.data.geom_xmat[geoms].reshape(-1, 3, 3)
        center = self.data.geom_xpos[geoms] + np.einsum("nij,nj->ni", axes, local[:, :3])
        return OrientedBoxes(center, axes.copy(), local[:, 3:].copy())

    def object_boxes(self, name: str) -> OrientedBoxes:
        """Box an object's collision geoms."""
        return self.body_boxes(self.subtree(self.body(name)))

    def body_boxes(self, bodies: IdArray) -> OrientedBoxes:
        """Box the collision geoms of some bodies, given as (B,) ids."""
        geoms = self._solid[np.isin(self.model.geom_bodyid[self._solid], bodies)]
        return self.boxes(geoms)

    def obstacles(self, without: IdArray | None = None) -> OrientedBoxes:
        """Box everything but the robot.

        Args:
            without: (B,) ids of bodies to leave out as well.
        """
        bodies = self.model.geom_bodyid[self._solid]
        keep = self._not_robot.copy()
        if without is not None:
            keep &= ~np.isin(bodies, without)
        return OrientedBoxes.concatenate([self.boxes(self._solid[keep]), self._ground()])

    @cached_property
    def _not_robot(self) -> BoolArray:
        """Mask of the solid geoms that are not the robot's."""
        roots = self._root[self.model.geom_bodyid[self._solid]].astype(str)
        robot = np.char.startswith(roots, "robot0") | np.char.startswith(roots, "mount0")
        return np.asarray(~robot)

    def _ground(self) -> OrientedBoxes:
        """Box the half-spaces below the planes, one metre deep."""
        planes = np.flatnonzero(self.model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)
        axes = self.data.geom_xmat[planes].reshape(-1, 3, 3).copy()
        center = self.data.geom_xpos[planes] - 0.5 * axes[:, :, 2]
        return OrientedBoxes(center, axes, np.tile([5.0, 5.0, 0.5], (len(planes), 1)))

    @cached_property
    def _gripper_parts(self) -> tuple[OrientedBoxes, OrientedBoxes, OrientedBoxes]:
        """Hand, left and right finger in the site's frame, the fingers' gap closed."""
        parts = []
        for names, cuts in (
            (_HAND_GEOMS, _HAND_CUTS),
            (_FINGER_GEOMS[:1], _FINGER_CUTS),
            (_FINGER_GEOMS[1:], _FINGER_CUTS),
        ):
            parts.append(slab_boxes(self._hull_in_site(names[0]), cuts))
        left, right = (self.data.qpos[self.model.joint(n).qposadr[0]] for n in _FINGER_JOINTS)
        sign = -1.0 if parts[1].center[:, 0].mean() < 0 else 1.0
        shift = np.array([1.0, 0.0, 0.0])
        closed_left = OrientedBoxes(
            parts[1].center - sign * left * shift, parts[1].axes, parts[1].half
        )
        closed_right = OrientedBoxes(
            parts[2].center - sign * right * shift, parts[2].axes, parts[2].half
        )
        return parts[0], closed_left, closed_right

    def _hull_in_site(self, geom_name: str) -> FloatArray:
        geom = self.model.geom(geom_name).id
        mesh = self.model.geom_dataid[geom]
        first = self.model.mesh_vertadr[mesh]
        vertices = self.model.mesh_vert[first : first + self.model.mesh_vertnum[mesh]]
        world = vertices @ self.data.geom_xmat[geom].reshape(3, 3).T + self.data.geom_xpos[geom]
        site = self.hand_pose()
        return np.asarray((world - site.position) @ site.rotation)

    def gripper_boxes(self, gap: float, hand: bool = True) -> OrientedBoxes:
        """Box the gripper in the grip site's frame.

        Args:
            gap: Distance between the pads, metres.
            hand: Whether to include the hand behind the fingers.
        """
        palm, left, right = self._gripper_parts
        side = np.array([gap / 2, 0.0, 0.0])
        sign = -1.0 if left.center[:, 0].mean() < 0 else 1.0
        fingers = [
            OrientedBoxes(left.center + sign * side, left.axes, left.half),
            OrientedBoxes(right.center - sign * side, right.axes, right.half),
        ]
        return OrientedBoxes.concatenate([palm, *fingers] if hand else fingers)

    def touching_fingers(self, name: str) -> int:
        """Count the fingers (0 to 2) in contact with an object."""
        members = set(self.subtree(self.body(name)).tolist())
        touched = set()
        for contact in self.data.contact[: self.data.ncon]:
            first, second = (int(self.model.geom_bodyid[g]) for g in contact.geom)
            for ours, theirs in ((first, second), (second, first)):
                finger = str(self.model.body(ours).name)
                if theirs in members and finger.startswith("gripper0_"):
                    touched.add("left" if "left" in finger or "joint1" in finger else "right")
        return len(touched)


_DAMPING = 0.02
_ITERATIONS = 60
_POSITION_TOLERANCE = 0.002
_ROTATION_TOLERANCE = 0.02
_LIMIT_MARGIN = 0.06


@dataclass(frozen=True)
class IKSolution:
    """The solution for one pose.

    Attributes:
        joints: (7,) rad, the solution or the nearest found.
        reached: Whether the pose is met within 2 mm and 0.02 rad.
        margin: Smallest distance of any joint to its limits, rad.
    """

    joints: FloatArray
    reached: bool
    margin: float


class InverseKinematics:
    """Solves for joint angles by damped least squares; the live data is only read."""

    def __init__(self, scene: Scene) -> None:
        """Prepare a scratch copy.

        Args:
            scene: The scene with the robot.
        """
        self._scene = scene
        self._model: Any = scene.model
        self._scratch: Any = mujoco.MjData(scene.model)
        joints = [self._model.joint(name) for name in scene.env.robots[0].robot_joints]
        self._qpos = np.array([int(j.qposadr[0]) for j in joints])
        self._dofs = np.array([int(j.dofadr[0]) for j in joints])
        self._limits = np.array([self._model.jnt_range[j.id] for j in joints])
        self._site = int(self._model.site(GRIP_SITE).id)

    def joints(self) -> FloatArray:
        """Give the arm's joints now, (7,) rad."""
        return np.array(self._scene.data.qpos[self._qpos])

    def solve(self, pose: Pose, start: FloatArray | None = None) -> IKSolution:
        """Find joint angles that bring the grip site to a pose.

        Args:
            pose: Pose of the grip site, world frame.
            start: (7,) rad, joints to start from; by default the present ones.
        """
        scratch = self._scratch
        scratch.qpos[:] = self._scene.data.qpos
        joints = self.joints() if start is None else np.array(start, dtype=float)
        error = np.full(6, np.inf)
        for _ in range(_ITERATIONS):
            scratch.qpos[self._qpos] = joints
            mujoco.mj_kinematics(self._model, scratch)
            mujoco.mj_comPos(self._model, scratch)
            rotation = scratch.site_xmat[self._site].reshape(3, 3)
            error[:3] = pose.position - scratch.site_xpos[self._site]
            error[3:] = rotation_vector(pose.rotation @ rotation.T)
            if self._met(error, 0.1):
                break
            jac = np.zeros((6, self._model.nv))
            mujoco.mj_jacSite(self._model, scratch, jac[:3], jac[3:], self._site)
            arm = jac[:, self._dofs]
            step = arm.T @ np.linalg.solve(arm @ arm.T + _DAMPING**2 * np.eye(6), error)
            step *= min(1.0, 0.4 / (np.abs(step).max() + 1e-9))
            joints = np.clip(joints + step, self._limits[:, 0] + 0.01, self._limits[:, 1] - 0.01)
        margin = float(np.minimum(joints - self._limits[:, 0], self._limits[:, 1] - joints).min())
        return IKSolution(joints, self._met(error, 1.0) and margin > _LIMIT_MARGIN, margin)

    @staticmethod
    def _met(error: FloatArray, share: float) -> bool:
        near = np.linalg.norm(error[:3]) < share * _POSITION_TOLERANCE
        return bool(near and np.linalg.norm(error[3:]) < share * _ROTATION_TOLERANCE)
