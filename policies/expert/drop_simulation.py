"""Simulated drops: where an object comes to rest when it is let go, on a copy of the state."""

from typing import Any

import mujoco
import numpy as np

from policies.expert.pose import UP, Pose
from policies.expert.scene import Scene
from tasks.observation import FloatArray

MAX_LEAN = 0.15
"""Tilt from which an object leans instead of standing, rad."""

_SECONDS = 1.2
_STILL = 0.05
_CALM = 0.002
_OFFSETS = 0.004 * np.array([[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])


class DropSimulation:
    """Drops objects in a copy of the simulator's data; the live data is only read.

    The robot does not move, so an object must not be dropped inside it.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._model: Any = scene.model
        self._scratch: Any = mujoco.MjData(scene.model)
        robot = [
            joint
            for joint in range(self._model.njnt)
            if str(self._model.joint(joint).name).startswith(("robot0_", "gripper0_"))
        ]
        self._robot_qpos = self._model.jnt_qposadr[robot]
        self._robot_dofs = self._model.jnt_dofadr[robot]

    def rest(self, name: str, position: FloatArray, rotation: FloatArray) -> Pose | None:
        """Find the pose in which an object comes to rest.

        Args:
            name: The object.
            position: (3,) of its origin when it is let go.
            rotation: Its orientation then.

        Returns:
            Pose of its body after about a second; None if it still moves.
        """
        data, model = self._scratch, self._model
        mujoco.mj_resetData(model, data)
        data.qpos[:] = self._scene.data.qpos
        joint = int(model.body_jntadr[self._scene.body(name)])
        address, dof = int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).ravel())
        data.qpos[address : address + 7] = [*position, *quaternion]
        robot = data.qpos[self._robot_qpos].copy()
        for step in range(int(_SECONDS / model.opt.timestep)):
            data.qpos[self._robot_qpos] = robot
            data.qvel[self._robot_dofs] = 0.0
            mujoco.mj_step(model, data)
            if step % 50 == 49 and float(np.abs(data.qvel[dof : dof + 6]).max()) < _CALM:
                break
        if float(np.linalg.norm(data.qvel[dof : dof + 3])) > _STILL:
            return None
        turned = np.zeros(9)
        mujoco.mju_quat2Mat(turned, data.qpos[address + 3 : address + 7])
        return Pose(np.array(data.qpos[address : address + 3]), turned.reshape(3, 3))

    def stays(
        self,
        name: str,
        position: FloatArray,
        rotation: FloatArray,
        predicate: str,
        region: str,
        *,
        upright: bool = False,
    ) -> bool:
        """Tell whether an object ends ``on`` or ``in`` a region, also if let go 4 mm aside.

        Arguments as for ``rest``. With ``upright`` it must end standing: an object that leans on
        the front of a drawer keeps it from being shut.
        """
        up = rotation.T @ UP
        for offset in _OFFSETS:
            rest = self.rest(name, position + offset, rotation)
            if rest is None or not self._scene.fits(predicate, region, rest.position):
                return False
            if upright and float((rest.rotation @ up)[2]) < np.cos(MAX_LEAN):
                return False
        return True
