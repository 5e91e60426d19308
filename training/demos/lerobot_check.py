"""What is odd about a LeRobot data set: a finding each, with the evidence and what was done."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tasks.demos.lerobot.dataset import LeRobotDataset
from tasks.demos.lerobot.evidence import Found
from tasks.demos.lerobot.roles import StateForm
from tasks.demos.lerobot.task import LeRobotTask
from tasks.errors import ConfigError, Finding, Status
from tasks.observation import CONTROL_HZ
from training.demos.contents import DemoContents, error_finding

_FORMS: dict[StateForm, str] = {
    "axisangle": "position 3, axis times angle 3, fingers 2",
    "quaternion": "position 3, quaternion xyzw 4, gripper width 1",
    "robot_states": "fingers 2, position 3, quaternion xyzw 4",
}
_DONE = {
    "−1 open, +1 close": "kept, as it is LIBERO's",
    "+1 open, −1 close": "negated for LIBERO",
    "0 open, 1 close": "mapped to 2g − 1 for LIBERO",
    "1 open, 0 close": "mapped to 1 − 2g for LIBERO",
    "raw": "read as they are",
    "rotated": "turned back when read; evaluation shows them turned alike",
    "upright": "flipped back when read",
    "mirrored": "mirrored back when read",
    "axisangle": "read by the exponential map",
    "negated": "negated when read",
    "euler": "read as extrinsic xyz Euler angles",
}


def lerobot_findings(contents: DemoContents) -> list[Finding]:
    """Return the findings on a task's data set and, as far as it differs, on the task."""
    task = contents.file
    assert isinstance(task, LeRobotTask)
    findings = [_attempt(name, check, task.dataset) for name, check in _DATASET_CHECKS.items()]
    return [*findings, _attempt("videos", lambda _: _decoded(task), task.dataset)]


def _attempt(
    name: str, check: Callable[[LeRobotDataset], Finding], dataset: LeRobotDataset
) -> Finding:
    try:
        return replace(check(dataset), name=name)
    except ConfigError as error:
        return error_finding(name, error)


def _format(dataset: LeRobotDataset) -> Finding:
    info = dataset.info
    cameras = ", ".join(
        f"{camera} {key} ({info.features[key].codec or info.features[key].dtype})"
        for camera, key in dataset.cameras.items()
    )
    text = (
        f"LeRobot {info.version}, {len(dataset.index.episodes):,} episodes, "
        f"{len(dataset.index.tasks)} tasks; {dataset.roles.action}, {dataset.roles.state}; "
        f"{cameras}"
    )
    notes = "; ".join(dataset.index.notes)
    return _finding("warning" if notes else "ok", f"{text}{'; ' if notes else ''}{notes}")


def _left_out(dataset: LeRobotDataset) -> Finding:
    if not dataset.left_out:
        return _finding("ok", "none")
    named = "; ".join(f"episode {each.number}: {each.why}" for each in dataset.left_out[:5])
    more = f"; {len(dataset.left_out) - 5} more" if len(dataset.left_out) > 5 else ""
    return _finding(
        "warning",
        f"{len(dataset.left_out)} episodes, in training too: {named}{more}",
        "Fetch again",
    )


def _names(dataset: LeRobotDataset) -> Finding:
    form = dataset.form
    text = f"{_FORMS[form.value]}: {form.words}"
    turned = dataset.cameras_found
    if turned.value:
        return _finding(
            "warning",
            f"{text}; the cameras' names are the wrong way round ({turned.words}): swapped",
        )
    return _finding("ok", f"{text}; names are not trusted")


def _gripper(dataset: LeRobotDataset) -> Finding:
    found = dataset.gripper
    status: Status = "ok" if found.value == "−1 open, +1 close" else "warning"
    return _finding(status, f"{found.value}: {found.words}; {_DONE[found.value]}")


def _rotation(dataset: LeRobotDataset) -> Finding:
    return _described(dataset.rotation, "axisangle", "taken as axis times angle")


def _pictures(dataset: LeRobotDataset) -> Finding:
    return _described(dataset.turn, "rotated", "")


def _described(found: Found, usual: str, otherwise: str) -> Finding:
    if found.value is None:
        status: Status = "warning" if otherwise else "failed"
        return _finding(status, f"{found.words}; {otherwise or 'they cannot be used'}")
    status = "ok" if found.value == usual else "warning"
    return _finding(status, f"{found.value}: {found.words}; {_DONE[found.value]}")


def _rate(dataset: LeRobotDataset) -> Finding:
    found = dataset.rate
    label = float(dataset.info.fps)
    text = f"{found.words}; trained as {CONTROL_HZ:g} Hz"
    if found.value is None or label != CONTROL_HZ:
        return _finding("warning", f"{text}, whatever the label says")
    return _finding("ok", text)


def _joints(dataset: LeRobotDataset) -> Finding:
    if dataset.joints(dataset.stored[0]) is not None:
        return _finding("ok", "seven joint positions are there")
    return _finding(
        "warning",
        "no joint positions: layouts that need them are refused",
        "Train with --layout hand-goal, hand-velocity or hand-pose",
    )


def _decoded(task: LeRobotTask) -> Finding:
    """Decode every image of the task: the only way to find damage inside a video."""
    broken: list[str] = []
    count = 0
    for name in task.demos():
        for key in ("agentview_rgb", "eye_in_hand_rgb"):
            if not task.has(place := f"data/{name}/obs/{key}"):
                continue
            rows = task.images(place)
            try:
                for first in range(0, len(rows), 64):
                    count += len(rows[np.arange(first, min(first + 64, len(rows)))])
            except ConfigError as error:
                reason = str(error).partition("cannot be used: ")[2].partition(". Fix")[0]
                broken.append(f"{rows.name}: {reason}")
    if broken:
        more = f"; {len(broken) - 1} more" if len(broken) > 1 else ""
        return _finding(
            "failed",
            f"{broken[0]}{more}",
            "Fetch them again, or 'libero-bench demos export' a set without them",
        )
    return _finding("ok", f"all {count:,} images of the task decode")


def _finding(status: Status, detail: str, fix: str = "") -> Finding:
    return Finding(name="", status=status, detail=detail, fix=fix)


_DATASET_CHECKS: dict[str, Callable[[LeRobotDataset], Finding]] = {
    "format": _format,
    "left out": _left_out,
    "state": _names,
    "gripper map": _gripper,
    "rotation": _rotation,
    "pictures": _pictures,
    "frequency": _rate,
    "joints": _joints,
}
