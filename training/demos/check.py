"""Checks of a demo file: a finding each, with the fix."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tasks.demos.conventions import camera_view, gripper_agreement
from tasks.demos.file import DemoFile, open_demos
from tasks.demos.folders import demo_instruction, noted_otherwise
from tasks.demos.lerobot.task import LeRobotTask
from tasks.demos.motion import noops, pauses, phases_from
from tasks.demos.schema import IMAGE_DATASETS, INTENDED, PHASES_ATTRIBUTE, Convention
from tasks.demos.source import DemoSource
from tasks.demos.start import read_start
from tasks.demos.timing import observation_timing
from tasks.errors import ConfigError, Finding
from tasks.observation import CONTROL_HZ
from training.demos.contents import DemoContents, error_finding, read_contents
from training.demos.lerobot_check import lerobot_findings

_MANY_PAUSES = 0.05


def check_demo_file(path: Path, *, convention: Convention | None = None) -> list[Finding]:
    """Check one file; whatever is wrong with it becomes a finding.

    Args:
        path: The file.
        convention: See ``observation_timing``.
    """
    try:
        with open_demos(path) as file:
            names = file.demos()
            contents, numbers = read_contents(file, names, convention)
            kind = "HDF5" if isinstance(file, DemoFile) else f"“{demo_instruction(file)}”"
            findings = [replace(_ok(f"{kind}; demonstrations: {len(names)}"), name="file"), numbers]
            checks = _CHECKS
            if isinstance(file, LeRobotTask):
                findings += lerobot_findings(contents)
                checks = {name: _CHECKS[name] for name in _LEROBOT_CHECKS}
            findings += [_attempt(name, check, contents) for name, check in checks.items()]
            return findings
    except ConfigError as error:
        return [error_finding("file", error)]


def _attempt(
    name: str, check: Callable[[DemoContents], Finding], contents: DemoContents
) -> Finding:
    try:
        return replace(check(contents), name=name)
    except ConfigError as error:
        return error_finding(name, error)


def _attributes(contents: DemoContents) -> Finding:
    file = contents.file
    wrong: list[str] = []
    num_demos, noted_total = (file.attribute("data", name) for name in ("num_demos", "total"))
    if _number(num_demos) != len(contents.names):
        wrong.append(f"num_demos is {file.attribute('data', 'num_demos')}")
    total = 0
    for name in contents.names:
        steps = contents.steps(name)
        total += steps
        if _number(samples := file.attribute(f"data/{name}", "num_samples")) != steps:
            wrong.append(f"num_samples of {name} is {samples}, not {steps}")
    if _number(noted_total) != total:
        wrong.append(f"total is {file.attribute('data', 'total')}, not {total}")
    wrong += _unreadable(file)
    instruction = demo_instruction(file)
    if file.attribute("data", "problem_info") is None:
        wrong.append("problem_info is missing, so the task is known by name only")
    noted = noted_otherwise(file, instruction)
    task = f"; “{instruction}”" + (f", not “{noted}” as problem_info notes" if noted else "")
    if wrong:
        return _warning(
            "; ".join(wrong[:3]) + (f"; {len(wrong) - 3} more" if len(wrong) > 3 else "") + task,
            "robomimic and LIBERO's own reader need them: libero-bench demos regenerate",
        )
    return _ok(f"complete{task}")


def _number(value: Any) -> Any:
    """Return the number that an attribute says; some official files have it as text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _unreadable(file: DemoSource) -> list[str]:
    """Name the attributes that LIBERO's readers, or ours, cannot read."""
    unreadable = []
    try:
        arguments = file.json("data", "env_args")
    except ConfigError:
        unreadable.append("env_args is not JSON")
    else:
        if not isinstance(arguments, dict) or "env_kwargs" not in arguments:
            unreadable.append("env_args has no env_kwargs")
    if file.attribute("data", "provenance") is not None and not file.provenance():
        unreadable.append(
            "provenance is not this project's, so who made the file counts as unknown"
        )
    return unreadable


def _actions(contents: DemoContents) -> Finding:
    rows = [*contents.columns("actions"), *contents.columns(INTENDED)]
    worst = max((float(np.abs(actions).max()) for (actions,) in rows), default=0.0)
    if worst > 1.0 + 1e-6:
        return _failed(f"reach {worst:.3f}", "Normalised ones belong in [−1, 1]")
    return _ok(f"within [−1, 1], at most {worst:.3f}")


def _gripper(contents: DemoContents) -> Finding:
    pairs = list(contents.columns("actions", "robot_states"))
    values = np.unique(np.concatenate([a[:, -1] for a, _ in pairs])) if pairs else np.zeros(0)
    agreement = gripper_agreement([(a[:, -1], r[:, 0] - r[:, 1]) for a, r in pairs])
    if agreement is not None and agreement < 0:
        return _failed("the fingers part when told to close", "Negate the last action")
    if len(values) and values.min() >= 0 and values.max() > 0:
        return _failed("commands are 0 and 1, where LIBERO has −1 (open) and 1", "Map g to 2g − 1")
    if agreement is None:
        return _warning("the gripper never closes or opens, so its sign is unknown")
    return _ok("−1 opens and 1 closes, as the fingers show")


def _timing(contents: DemoContents) -> Finding:
    timing = observation_timing(contents.file, contents.convention)
    if timing.doubtful:
        return _failed(str(timing), "Leave --convention out, or give the other")
    return _ok(str(timing))


def _pictures(contents: DemoContents) -> Finding:
    sizes: set[tuple[int, ...]] = set()
    views: list[Any] = []
    cameras = [c for c, key in IMAGE_DATASETS.items() if _everywhere(contents, f"obs/{key}")]
    for name in contents.names:
        steps = contents.steps(name) or None
        for key in (IMAGE_DATASETS[camera] for camera in cameras or IMAGE_DATASETS):
            dataset = contents.file.images(f"data/{name}/obs/{key}", steps=steps)
            contents.file.refuse_blank(dataset)
            sizes.add(dataset.shape[1:3])
            if key == IMAGE_DATASETS["agentview"] and len(views) < 5:
                robot = contents.arrays[name].get("robot_states")
                if robot is not None:
                    views.append((contents.file.read(dataset), robot[:, 2:5]))
    if len(sizes) > 1:
        return _failed(f"several sizes: {sorted(sizes)}", "Render them alike")
    height, width = next(iter(sizes))
    view = camera_view(views)
    if view in (None, "raw") and len(cameras) < len(IMAGE_DATASETS):
        return _warning(
            f"{height}×{width}, of {', '.join(cameras)} alone",
            f"Train with --cameras {' '.join(cameras)}, or render all: "
            "libero-bench demos regenerate",
        )
    if view is None:
        return _warning(f"{height}×{width}; too little moves to tell how they are turned")
    if view == "raw":
        return _ok(f"{height}×{width}, upside down as LIBERO stores them")
    return _failed(
        f"{height}×{width}, agentview is {view}; LIBERO's files have it upside down",
        "Flip the pictures vertically" if view == "upright" else "Turn the pictures by 180°",
    )


def _everywhere(contents: DemoContents, key: str) -> bool:
    return all(contents.file.has(f"data/{name}/{key}") for name in contents.names)


def _endings(contents: DemoContents) -> Finding:
    wrong: list[str] = []
    file = contents.file
    assert isinstance(file, DemoFile)  # LeRobot sets have neither
    for name in contents.names:
        steps = contents.steps(name)
        last = np.arange(steps) == steps - 1
        for key in ("rewards", "dones"):
            path = f"data/{name}/{key}"
            if not contents.file.has(path):
                wrong.append(f"{path} is missing")
                continue
            if not np.array_equal(file.read(file.dataset(path, (), steps=steps)), last):
                wrong.append(f"{path} is not 0 with a 1 at its end")
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return _warning(wrong[0] + more, "Readers of rewards and dones will be misled")
    return _ok("rewards and dones are 1 at the last step only")


def _states(contents: DemoContents) -> Finding:
    pairs = list(contents.columns("states"))
    if not pairs:
        return _warning("missing, so the file cannot be replayed or regenerated")
    for name in contents.names:
        if "states" in contents.arrays[name]:
            read_start(contents.file, name)
        init = contents.file.attribute(f"data/{name}", "init_state")
        states = contents.arrays[name].get("states")
        if init is not None and states is not None and not np.array_equal(init, states[0]):
            return _warning(f"init_state of {name} is not its first state")
    gaps = np.concatenate([np.diff(s[:, 0]) for (s,) in pairs])
    uneven = int((np.abs(gaps * CONTROL_HZ - 1) > 1e-3).sum())
    if uneven:
        return _warning(
            f"{uneven} of {len(gaps)} steps do not last {1 / CONTROL_HZ} s by their clock: the "
            "first is preceded by settling, or steps were cut out",
        )
    return _ok(f"one every {1 / CONTROL_HZ} s by their clock")


def _noops(contents: DemoContents) -> Finding:
    actions = [actions for (actions,) in contents.columns("actions")]
    if not actions:
        return _warning("there are no actions that can be read")
    idle = float(np.mean(np.concatenate([noops(rows) for rows in actions])))
    detail = f"{idle:.1%} of the actions do nothing"
    if idle == 0 and isinstance(contents.file, LeRobotTask):
        return _ok(f"{detail}: they were left out before, as in OpenVLA's sets; rows are kept")
    pairs = list(contents.columns("actions", "robot_states"))
    if not pairs:
        return _ok(f"{detail}; whether the fingers rest then is not noted")
    paused = float(np.mean(np.concatenate([pauses(a, robot[:, :2]) for a, robot in pairs])))
    detail += f", {paused:.1%} while the fingers rest, too"
    if paused > _MANY_PAUSES:
        fix = "libero-bench demos regenerate leaves them out, as OpenVLA does (see its --noops)"
        return _warning(f"{detail}; policies learn to pause from them", fix)
    return _ok(detail)


def _phases(contents: DemoContents) -> Finding:
    count = 0
    for name in contents.names:
        noted = contents.file.json(f"data/{name}", PHASES_ATTRIBUTE)
        if noted is None:
            return _ok("not noted, so found from the motion alone when needed")
        try:
            count += len(phases_from(noted, contents.steps(name)))
        except ValueError as error:
            reason = " ".join(str(error).split())[:120]
            return _failed(f"those of {name} cannot be read ({reason})", "Regenerate it")
    return _ok(f"{count} noted")


def _ok(detail: str) -> Finding:
    return Finding(name="", status="ok", detail=detail)


def _warning(detail: str, fix: str = "") -> Finding:
    return Finding(name="", status="warning", detail=detail, fix=fix)


def _failed(detail: str, fix: str) -> Finding:
    return Finding(name="", status="failed", detail=detail, fix=fix)


_CHECKS: dict[str, Callable[[DemoContents], Finding]] = {
    "attributes": _attributes,
    "actions": _actions,
    "gripper": _gripper,
    "observations": _timing,
    "pictures": _pictures,
    "rewards": _endings,
    "states": _states,
    "no-ops": _noops,
    "phases": _phases,
}

_LEROBOT_CHECKS = ("actions", "observations", "no-ops", "phases")
"""Those that are for LeRobot sets, too; ``lerobot_findings`` has their others."""
