"""One control step of LIBERO's arm in compiled code: 25 physics steps under its controller.

The arithmetic is that of robosuite's ``OperationalSpaceController`` in the same order, because
floating-point sums depend on it, and its compiled functions are called where it has them. The
layout of matrices matters as well: robosuite's fancy indexing leaves them in Fortran order, from
which BLAS sums in another order.

Where robosuite computes the forward dynamics three times for a physics step, its position and
velocity stages run once here: they depend on positions and velocities alone. The constraint solver
runs as often as there, since each solution is where the next one starts.

MuJoCo's C functions are declared by name and resolved in the library that the ``mujoco`` package
has loaded, so that numba can keep compiled callers on disk: no address of this process is in them.
Their arguments are addresses: ``model._address``, ``data._address``, ``array.ctypes.data``.
"""

from pathlib import Path
from typing import Any, NamedTuple

import llvmlite.binding
import mujoco
import numpy as np
from numba import njit, types
from robosuite.utils.control_utils import nullspace_torques, opspace_matrices, orientation_error

from tasks.errors import PrerequisiteError
from tasks.observation import FloatArray

_GRIPPER_SPEED = 0.01


def _load_mujoco() -> None:
    folder = Path(mujoco.__file__).parent
    # Linux: libmujoco.so.3.2.3, macOS: libmujoco.3.2.3.dylib, Windows: mujoco.dll
    endings = {".so", ".dylib", ".dll"}
    found = sorted(path for path in folder.glob("*mujoco*") if endings & set(path.suffixes))
    if not found:
        raise PrerequisiteError(
            f"No MuJoCo library lies in {folder}. Fix: pip install --force-reinstall mujoco"
        )
    llvmlite.binding.load_library_permanently(str(found[0]))


_load_mujoco()


def _function(name: str, *arguments: Any) -> Any:
    return types.ExternalFunction(name, types.void(*arguments))


_ADDRESS: Any = types.uintp
_INDEX: Any = types.int32

mj_step1 = _function("mj_step1", _ADDRESS, _ADDRESS)
"""Position and velocity stage of a step: (model, data)."""
mj_step2 = _function("mj_step2", _ADDRESS, _ADDRESS)
"""Forces, constraints and integration of a step: (model, data)."""
mj_actuation = _function("mj_fwdActuation", _ADDRESS, _ADDRESS)
"""Actuator forces: (model, data)."""
mj_acceleration = _function("mj_fwdAcceleration", _ADDRESS, _ADDRESS)
"""Accelerations without constraints: (model, data)."""
mj_constraint = _function("mj_fwdConstraint", _ADDRESS, _ADDRESS)
"""Constraint forces, from the previous solution on, which it replaces: (model, data)."""
mj_site_jacobian = _function("mj_jacSite", _ADDRESS, _ADDRESS, _ADDRESS, _ADDRESS, _INDEX)
"""Translational and rotational Jacobian, (3, nv) each: (model, data, jacp, jacr, site)."""
mj_full_mass_matrix = _function("mj_fullM", _ADDRESS, _ADDRESS, _ADDRESS)
"""Dense mass matrix (nv, nv) from the sparse one: (model, dense, sparse)."""


class Arm(NamedTuple):
    """What stays the same for the life of a simulation.

    Attributes:
        model: Address of the ``mjModel``.
        data: Address of the ``mjData``.
        solves: Constraint solves before the controller acts, in each physics step.
        site: Index of the site that is controlled, between the fingers.
        body: Index of the body whose orientation observations show.
        joints: Where the arm's joints are in qpos, (7,).
        dofs: Where they are in qvel, (7,).
        motors: Their actuators, (7,).
        low: Lower torque limits, (7,) N·m.
        high: Upper torque limits, (7,) N·m.
        kp: Stiffness of position and orientation, (6,).
        kd: Damping, (6,).
        finger_motors: Actuators of the fingers, (2,).
        finger_bias: Centre of their control range, (2,) m.
        finger_weight: Half of their control range, (2,) m.
    """

    model: int
    data: int
    solves: int
    site: int
    body: int
    joints: FloatArray
    dofs: FloatArray
    motors: FloatArray
    low: FloatArray
    high: FloatArray
    kp: FloatArray
    kd: FloatArray
    finger_motors: FloatArray
    finger_bias: FloatArray
    finger_weight: FloatArray


class Views(NamedTuple):
    """Arrays of the ``mjData``, not copies of them."""

    qpos: FloatArray
    qvel: FloatArray
    ctrl: FloatArray
    mass: FloatArray
    bias: FloatArray
    site_pos: FloatArray
    site_mat: FloatArray
    body_quat: FloatArray


class Memory(NamedTuple):
    """What the controller remembers, robosuite's names in brackets.

    Attributes:
        pos: Position of the site, (3,) m [ee_pos].
        mat: Its orientation, (3, 3) [ee_ori_mat].
        vel: Its velocity, (3,) m/s [ee_pos_vel].
        spin: Its angular velocity, (3,) rad/s [ee_ori_vel].
        joint_pos: (7,) rad.
        joint_vel: (7,) rad/s.
        jac_pos: Translational Jacobian, (3, 7), Fortran order [J_pos].
        jac_ori: Rotational Jacobian, (3, 7), Fortran order [J_ori].
        jac: Both, (6, 7), Fortran order [J_full].
        mass: Mass matrix of the arm, (7, 7), Fortran order [mass_matrix].
        goal_pos: (3,) m.
        goal_mat: (3, 3) [goal_ori].
        rest: Joint angles that the null space pulls towards, (7,) rad [initial_joint].
        fingers: The integrator of the gripper, `current_action`, (2,) in [−1, 1].
    """

    pos: FloatArray
    mat: FloatArray
    vel: FloatArray
    spin: FloatArray
    joint_pos: FloatArray
    joint_vel: FloatArray
    jac_pos: FloatArray
    jac_ori: FloatArray
    jac: FloatArray
    mass: FloatArray
    goal_pos: FloatArray
    goal_mat: FloatArray
    rest: FloatArray
    fingers: FloatArray


class Sample(NamedTuple):
    """What LIBERO's observations show: an instant inside the control step.

    Attributes:
        before: qpos on entry to the sampled physics step, whose kinematics pictures show.
        after: qpos at its end, which joint observations show.
        pos: Position of the site, (3,) m.
        quat: Orientation of the body, (4,) w x y z.
    """

    before: FloatArray
    after: FloatArray
    pos: FloatArray
    quat: FloatArray


@njit(cache=True)
def _solve(arm: Arm, times: int) -> None:
    mj_step1(arm.model, arm.data)
    if times > 0:
        mj_actuation(arm.model, arm.data)
        mj_acceleration(arm.model, arm.data)
        for _ in range(times):
            mj_constraint(arm.model, arm.data)


@njit(cache=True)
def _observe(arm: Arm, views: Views, memory: Memory) -> None:
    """Update the controller's view of the robot."""
    nv = views.qvel.shape[0]
    jac_pos = np.zeros((3, nv))
    jac_ori = np.zeros((3, nv))
    mass = np.zeros((nv, nv))
    mj_site_jacobian(arm.model, arm.data, jac_pos.ctypes.data, jac_ori.ctypes.data, arm.site)
    mj_full_mass_matrix(arm.model, mass.ctypes.data, views.mass.ctypes.data)
    memory.pos[:] = views.site_pos[arm.site]
    memory.mat[:] = views.site_mat[arm.site].reshape(3, 3)
    memory.vel[:] = np.dot(jac_pos, views.qvel)
    memory.spin[:] = np.dot(jac_ori, views.qvel)
    for i in range(arm.joints.shape[0]):
        memory.joint_pos[i] = views.qpos[arm.joints[i]]
        memory.joint_vel[i] = views.qvel[arm.dofs[i]]
        for k in range(3):
            memory.jac_pos[k, i] = jac_pos[k, arm.dofs[i]]
            memory.jac_ori[k, i] = jac_ori[k, arm.dofs[i]]
            memory.jac[k, i] = jac_pos[k, arm.dofs[i]]
            memory.jac[k + 3, i] = jac_ori[k, arm.dofs[i]]
        for k in range(arm.dofs.shape[0]):
            memory.mass[k, i] = mass[arm.dofs[k], arm.dofs[i]]


@njit(cache=True)
def _torques(arm: Arm, views: Views, memory: Memory) -> FloatArray:
    """Operational space control towards the goal, positions and orientations decoupled."""
    turn = orientation_error(memory.goal_mat, memory.mat)
    force = (memory.goal_pos - memory.pos) * arm.kp[0:3] + -memory.vel * arm.kd[0:3]
    torque = turn * arm.kp[3:6] + -memory.spin * arm.kd[3:6]
    _, lambda_pos, lambda_ori, nullspace = opspace_matrices(
        memory.mass, memory.jac, memory.jac_pos, memory.jac_ori
    )
    wrench = np.concatenate((np.dot(lambda_pos, force), np.dot(lambda_ori, torque)))
    compensation = np.empty(arm.dofs.shape[0])
    for i in range(arm.dofs.shape[0]):
        compensation[i] = views.bias[arm.dofs[i]]
    torques: FloatArray = np.dot(memory.jac.T, wrench) + compensation
    torques += nullspace_torques(
        memory.mass, nullspace, memory.rest, memory.joint_pos, memory.joint_vel
    )
    return torques


@njit(cache=True)
def _act(arm: Arm, views: Views, memory: Memory, grip: float) -> None:
    """Write the actuators' controls."""
    torques = _torques(arm, views, memory)
    for i in range(arm.motors.shape[0]):
        views.ctrl[arm.motors[i]] = min(max(torques[i], arm.low[i]), arm.high[i])
    for i in range(2):
        direction = -1.0 if i == 0 else 1.0
        moved = memory.fingers[i] + direction * _GRIPPER_SPEED * np.sign(grip)
        memory.fingers[i] = min(max(moved, -1.0), 1.0)
        views.ctrl[arm.finger_motors[i]] = (
            arm.finger_bias[i] + arm.finger_weight[i] * memory.fingers[i]
        )


@njit(cache=True)
def begin(arm: Arm, views: Views, memory: Memory, stale: bool) -> None:
    """Run the first physics step up to where the controller takes its goal.

    Args:
        arm: The constants.
        views: The simulation's arrays.
        memory: What the controller remembers; brought up to date unless it is stale.
        stale: True for the first control step after a reset, in which robosuite's controller
            still sees the pose of the reset.
    """
    if stale:
        _solve(arm, min(arm.solves, 1))
    else:
        _solve(arm, arm.solves)
        _observe(arm, views, memory)


@njit(cache=True)
def finish(
    arm: Arm, views: Views, memory: Memory, sample: Sample, grip: float, steps: int, sampled: int
) -> None:
    """Run the rest of a control step, its goal being in the memory.

    Args:
        arm: The constants.
        views: The simulation's arrays.
        memory: What the controller remembers.
        sample: Filled.
        grip: Negative opens the gripper, positive closes it, 0 leaves it.
        steps: Physics steps in a control step.
        sampled: The physics step whose end observations show, from 0.
    """
    for step in range(steps):
        if step == sampled:
            sample.before[:] = views.qpos
        if step > 0:
            _solve(arm, arm.solves)
            _observe(arm, views, memory)
        _act(arm, views, memory, grip)
        mj_step2(arm.model, arm.data)
        if step == sampled:
            sample.after[:] = views.qpos
            sample.pos[:] = views.site_pos[arm.site]
            sample.quat[:] = views.body_quat[arm.body]
