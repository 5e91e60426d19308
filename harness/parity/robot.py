"""Is a demonstration's robot the environment's: joints, hand, rotations, fingers, and when?"""

import numpy as np

from harness.parity.inputs import Comparison, Inputs, graded
from tasks.errors import Status
from tasks.observation import FloatArray
from tasks.rotations import axisangle_to_matrix, quat_to_axisangle, quat_to_matrix, wxyz_to_xyzw

_JOINTS = (2e-3, 2e-2)
_METRES = (2e-3, 2e-2)
_RADIANS = (1e-2, 5e-2)
_FINGERS = (1e-3, 5e-3)
"""The most that is fine, and the most that is no failure yet: another version of mujoco moves the
arm by less than the first, a control step of motion is more than the second."""

_UNRELATED = 0.1


def check_robot(inputs: Inputs) -> list[Comparison]:
    """Compare everything a state holds, and whether it belongs to its row."""
    rows = [_timing(inputs), _joints(inputs), _position(inputs), _rotation(inputs)]
    turned = _axis_angle(inputs)
    return [*rows, *([] if turned is None else [turned]), _fingers(inputs)]


def _simulated(inputs: Inputs, name: str) -> FloatArray:
    return np.stack([seen[name] for seen in inputs.seen])  # type: ignore[literal-required]


def _timing(inputs: Inputs) -> Comparison:
    recording, row_shift = inputs.recording, inputs.row_shift
    before = recording.timing.convention == "before_action"
    status: Status = "ok"
    detail, fix = "each row shows the state before its action", ""
    if not row_shift.certain:
        status, detail = "warning", "states do not tell: the arm hardly moves"
        fix = "choose another demonstration with --demo"
    elif row_shift.error > _UNRELATED:
        status, detail = "warning", f"joints are {row_shift.error:.2f} rad from every near state"
        fix = "see joint positions"
    elif row_shift.shift:
        status = "failed"
        detail = f"row t shows the state of row t{row_shift.shift:+d}"
        other = "after_action" if row_shift.shift > 0 else "before_action"
        fix = "shift the observations against states and actions"
        if row_shift.shift == (1 if before else -1):
            fix = (
                f"observations were recorded as '{other}': check with --convention {other}, then "
                f"write that into the file's data.attrs['obs_convention']"
            )
    return Comparison(
        name="observation time",
        demo=f"{recording.timing}; {detail}",
        environment="shown before the action",
        status=status,
        fix=fix,
    )


def _joints(inputs: Inputs) -> Comparison:
    demo = inputs.recording.demo.joint_pos[list(inputs.rows)]
    error = np.abs(demo - _simulated(inputs, "joint_pos"))
    status = graded(float(error.max()), *_JOINTS)
    fix = ""
    if status != "ok":
        fix = (
            f"joint {int(error.max(0).argmax())} differs most: store radians, in robosuite's order"
        )
    return Comparison(
        name="joint positions",
        demo=f"at most {error.max():.1e} rad apart",
        environment=f"7 joints at rows {', '.join(map(str, inputs.rows))}",
        status=status,
        fix=fix,
    )


def _position(inputs: Inputs) -> Comparison:
    demo = inputs.recording.demo.ee_pos[list(inputs.rows)]
    offsets = demo - _simulated(inputs, "ee_pos")
    error, mean = float(np.abs(offsets).max()), offsets.mean(0)
    status, fix = graded(error, *_METRES), ""
    if status != "ok":
        fix = "store robot_states[2:5] in metres, world frame"
        if np.abs(offsets - mean).max() < 0.2 * error:
            offset = ", ".join(f"{value:+.3f}" for value in mean)
            fix = f"they are off by a constant ({offset}) m, another frame: {fix}"
    return Comparison(
        name="hand position",
        demo=f"at most {error * 1e3:.2g} mm apart",
        environment="metres, world frame",
        status=status,
        fix=fix,
    )


def _rotation(inputs: Inputs) -> Comparison:
    demo = inputs.recording.demo.ee_quat[list(inputs.rows)]
    simulated = _simulated(inputs, "ee_quat")
    error = _angle(quat_to_matrix(demo), quat_to_matrix(simulated))
    status, fix = graded(error, *_RADIANS), ""
    detail = f"at most {error:.1e} rad apart"
    negated = int((np.sum(demo * simulated, axis=1) < 0).sum())
    if status == "ok" and negated:
        status = "warning"
        detail += f", with the other sign in {negated} of {len(demo)} rows"
        fix = (
            "negate robot_states[5:9] there: this project's layouts do not mind the sign, but code "
            "that takes raw quaternions or axis times angle does (they differ by a whole turn)"
        )
    elif status != "ok":
        for name, other in (
            ("w x y z", wxyz_to_xyzw(demo)),
            ("the inverse rotation", demo * [-1, -1, -1, 1]),
        ):
            if _angle(quat_to_matrix(other), quat_to_matrix(simulated)) < _RADIANS[1]:
                detail, fix = f"{detail}; it is {name}", "store x y z w of the hand in the world"
    return Comparison(
        name="hand quaternion",
        demo=detail,
        environment="x y z w, sign as mujoco gives it",
        status=status,
        fix=fix,
    )


def _axis_angle(inputs: Inputs) -> Comparison | None:
    stored = inputs.recording.axis_angle
    if stored is None:
        return None
    demo, quats = stored[list(inputs.rows)], _simulated(inputs, "ee_quat")
    forms = {
        "angle in [0, π]": quat_to_axisangle(quats),
        "angle in [0, 2π], by the quaternion's sign": _signed_axis_angle(quats),
        "angle in [0, 2π], by the other sign": _signed_axis_angle(-quats),
    }
    errors = {name: float(np.abs(demo - form).max()) for name, form in forms.items()}
    name = min(errors, key=lambda form: errors[form])
    same = _angle(axisangle_to_matrix(demo), quat_to_matrix(quats)) < _RADIANS[1]
    good = errors[name] < _RADIANS[1] and name == next(iter(forms))
    where = "obs/ee_ori is not read by this project's training"
    if good or same:
        fix = "" if good else f"{where}; for code that reads it, use one form in both places"
    else:
        fix = f"{where}, but it holds another rotation"
    return Comparison(
        name="hand axis times angle",
        demo=f"{name}, at most {errors[name]:.1e} apart" if same else "another rotation",
        environment="angle in [0, π]",
        status="ok" if good else "warning",
        fix=fix,
    )


def _fingers(inputs: Inputs) -> Comparison:
    demo = inputs.recording.demo.gripper_qpos[list(inputs.rows)]
    simulated = _simulated(inputs, "gripper_qpos")
    error = float(np.abs(demo - simulated).max())
    status, fix = graded(error, *_FINGERS), ""
    if status != "ok":
        fix = "store both fingers in metres, (0.04, −0.04) when open"
        for name, other in (
            ("their signs are the other way round", -demo),
            ("they are in the other order", demo[:, ::-1]),
            ("their signs are missing", demo * [1, -1]),
        ):
            if float(np.abs(other - simulated).max()) <= _FINGERS[1]:
                status, fix = "failed", f"{name}: {fix}"
                break
    return Comparison(
        name="gripper state",
        demo=f"fingers at most {error * 1e3:.2g} mm apart",
        environment="two fingers, metres, (0.04, −0.04) when open",
        status=status,
        fix=fix,
    )


def _angle(one: FloatArray, other: FloatArray) -> float:
    """Return the largest angle between rotations, (n, 3, 3) each."""
    cosine = (np.einsum("nij,nij->n", one, other) - 1) / 2
    return float(np.arccos(cosine.clip(-1.0, 1.0)).max())


def _signed_axis_angle(quats: FloatArray) -> FloatArray:
    """Turn quaternions into axis times angle as robosuite does, q and −q a whole turn apart."""
    sines = np.linalg.norm(quats[:, :3], axis=1, keepdims=True)
    angles = 2 * np.arccos(quats[:, 3:].clip(-1.0, 1.0))
    turned: FloatArray = quats[:, :3] / np.maximum(sines, 1e-12) * angles
    return turned
