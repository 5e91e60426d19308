"""The expert's read-only view of the simulator: goals, poses, collision boxes and contacts."""

from functools import cached_property
from typing import Any

import mujoco
import numpy as np

from policies.expert.geometry import BoolArray, IdArray, OrientedBoxes, slab_boxes
from policies.expert.pose import Pose
from tasks.observation import FloatArray

GRIP_SITE = "gripper0_grip_site"
"""The site that the controller moves: x is the closing axis, z the approach."""

_HAND_GEOM = "gripper0_hand_collision"
_FINGER_GEOMS = ("gripper0_finger1_collision", "gripper0_finger2_collision")
_FINGER_JOINTS = ("gripper0_finger_joint1", "gripper0_finger_joint2")
_HAND_CUTS = (-0.075, -0.05)
_FINGER_CUTS = (-0.028, -0.01)


class Scene:
    """Reads one environment that was just reset. Nothing here writes to the live model or data.

    Attributes:
        env: LIBERO's own environment (``BDDLBaseDomain``).
        model: MuJoCo model.
        data: MuJoCo data, live.
    """

    def __init__(self, env: Any) -> None:
        self.env = env
        self.model: Any = env.sim.model._model
        self.data: Any = env.sim.data._data
        self._site = int(self.model.site(GRIP_SITE).id)
        solid = (self.model.geom_contype != 0) | (self.model.geom_conaffinity != 0)
        self._solid = np.flatnonzero(solid & (self.model.geom_type != mujoco.mjtGeom.mjGEOM_PLANE))
        roots = [str(self.model.body(int(root)).name) for root in self.model.body_rootid]
        self._root = np.array(roots)

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
        """Give the distance between the finger pads (about 0.08 when open)."""
        joints = [self.data.qpos[self.model.joint(n).qposadr[0]] for n in _FINGER_JOINTS]
        return float(joints[0] - joints[1])

    def body(self, name: str) -> int:
        """Give the body id of an object or fixture."""
        return int(self.env.obj_body_id[name])

    def position(self, name: str) -> FloatArray:
        """Give an object's body origin, (3,)."""
        return np.array(self.data.xpos[self.body(name)])

    def rotation(self, name: str) -> FloatArray:
        """Give an object's orientation."""
        return np.array(self.data.xmat[self.body(name)]).reshape(3, 3)

    def region_axes(self, name: str) -> FloatArray:
        """Give a region's orientation; the columns are its axes."""
        return np.array(self.data.site_xmat[self.model.site(name).id]).reshape(3, 3)

    def fits(self, predicate: str, region: str, position: FloatArray) -> bool:
        """Tell whether ``on`` or ``in``, contact aside, holds for an origin (3,) in a region."""
        site = self.env.object_sites_dict[region]
        test = site.in_box if predicate == "in" else site.under
        middle = np.array(self.data.site_xpos[self.model.site(region).id])
        return bool(test(middle, self.region_axes(region), position))

    def region(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Give a region's centre (3,) and its half extents along the world axes (3,)."""
        site = self.model.site(name).id
        size = np.asarray(self.env.object_sites_dict[name].size, dtype=float)
        extent = np.abs(self.data.site_xmat[site].reshape(3, 3) @ size)
        return np.array(self.data.site_xpos[site]), extent

    def subtree(self, body: int) -> IdArray:
        """Give the ids of a body and of all bodies below it, (B,)."""
        members = {body}
        for child in range(body + 1, self.model.nbody):
            if int(self.model.body_parentid[child]) in members:
                members.add(child)
        return np.array(sorted(members))

    def free_bodies(self) -> IdArray:
        """Give the ids of the bodies of all free objects, (B,)."""
        return np.concatenate([self.subtree(self.body(name)) for name in self.env.objects_dict])

    def boxes(self, geoms: IdArray) -> OrientedBoxes:
        """Box collision geoms, (N,) ids, in their present poses."""
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

    def surroundings(self, name: str) -> OrientedBoxes:
        """Box everything but the robot and an object."""
        return self.obstacles(without=self.subtree(self.body(name)))

    def obstacles(self, without: IdArray | None = None) -> OrientedBoxes:
        """Box everything but the robot and the bodies ``without``, (B,) ids."""
        bodies = self.model.geom_bodyid[self._solid]
        keep = self._not_robot.copy()
        if without is not None:
            keep &= ~np.isin(bodies, without)
        return OrientedBoxes.concatenate([self.boxes(self._solid[keep]), self._ground()])

    @cached_property
    def _not_robot(self) -> BoolArray:
        """Mask of the collision geoms that are not the robot's."""
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
        """Hand, left and right finger in the site's frame, with the fingers closed."""
        hand = slab_boxes(self._hull_in_site(_HAND_GEOM), _HAND_CUTS)
        left, right = (slab_boxes(self._hull_in_site(g), _FINGER_CUTS) for g in _FINGER_GEOMS)
        opening = [self.data.qpos[self.model.joint(n).qposadr[0]] for n in _FINGER_JOINTS]
        sign = -1.0 if left.center[:, 0].mean() < 0 else 1.0
        shift = np.array([1.0, 0.0, 0.0])
        closed = [
            OrientedBoxes(finger.center - sign * joint * shift, finger.axes, finger.half)
            for finger, joint in zip((left, right), opening, strict=True)
        ]
        return hand, closed[0], closed[1]

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
            gap: Distance between the pads.
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
