"""Inverse kinematics of the arm, solved on a scratch copy of the simulator's data."""

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from policies.expert.pose import Pose, rotation_vector
from policies.expert.scene import GRIP_SITE, Scene
from tasks.observation import FloatArray

_DAMPING = 0.02
_ITERATIONS = 60
_POSITION_TOLERANCE = 0.002
_ROTATION_TOLERANCE = 0.02
_LIMIT_MARGIN = 0.06


@dataclass(frozen=True)
class IKSolution:
    """The solution for one pose.

    Attributes:
        joints: (7,) rad; the nearest found if the pose is not reached.
        reached: Whether the pose is met within 2 mm and 0.02 rad.
        margin: Smallest distance of any joint to its limits, rad.
    """

    joints: FloatArray
    reached: bool
    margin: float


class InverseKinematics:
    """Solves for joint angles by damped least squares; the live data is only read."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._model: Any = scene.model
        self._scratch: Any = mujoco.MjData(scene.model)
        joints = [self._model.joint(name) for name in scene.env.robots[0].robot_joints]
        self._qpos = np.array([int(j.qposadr[0]) for j in joints])
        self._dofs = np.array([int(j.dofadr[0]) for j in joints])
        self._limits = np.array([self._model.jnt_range[j.id] for j in joints])
        self._site = int(self._model.site(GRIP_SITE).id)

    def joints(self) -> FloatArray:
        """Give the arm's present joints, (7,) rad."""
        return np.array(self._scene.data.qpos[self._qpos])

    def solve(self, pose: Pose, start: FloatArray | None = None) -> IKSolution:
        """Find joints for a pose, beginning at ``start`` (7,) or the present joints."""
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
            if self._within(error, 0.1):
                break
            jac = np.zeros((6, self._model.nv))
            mujoco.mj_jacSite(self._model, scratch, jac[:3], jac[3:], self._site)
            arm = jac[:, self._dofs]
            step = arm.T @ np.linalg.solve(arm @ arm.T + _DAMPING**2 * np.eye(6), error)
            step *= min(1.0, 0.4 / (np.abs(step).max() + 1e-9))
            joints = np.clip(joints + step, self._limits[:, 0] + 0.01, self._limits[:, 1] - 0.01)
        margin = float(np.minimum(joints - self._limits[:, 0], self._limits[:, 1] - joints).min())
        return IKSolution(joints, self._within(error, 1.0) and margin > _LIMIT_MARGIN, margin)

    @staticmethod
    def _within(error: FloatArray, share: float) -> bool:
        """Tell whether an error (6,) is within a share of the tolerances."""
        near = np.linalg.norm(error[:3]) < share * _POSITION_TOLERANCE
        return bool(near and np.linalg.norm(error[3:]) < share * _ROTATION_TOLERANCE)
