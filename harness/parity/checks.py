"""Going through all comparisons of one demonstration."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness.parity.dry_run import Rehearsal
from harness.parity.images import check_pictures
from harness.parity.inputs import LIBERO_GRIP, Evidence, gather
from harness.parity.metrics import check_contract, check_task
from harness.parity.robot import check_robot
from harness.parity.rows import Comparison
from harness.parity.vectors import check_layout
from policies.rdt.actions.layout import DEFAULT_LAYOUT, Layout
from policies.rdt.actions.layout_file import get_layout
from policies.rdt.checkpoint.contract import Contract
from tasks.demos.file import Convention
from tasks.demos.folders import find_demo_files
from tasks.demos.reader import Recording, read_recording
from tasks.errors import ConfigError
from tasks.findings import Status
from tasks.observation import ACTION_DIM, CAMERAS
from tasks.protocols import Protocol, get_protocol
from tasks.simulation.simulator import Simulator
from tasks.suites import SUITES, Instructions, Task, find_task, suite_tasks

_LEAST_STEPS = 6
_ENDING = "_demo"

Report = Callable[[str], None]
"""Told what is done next."""


def examine_demo(
    path: Path,
    *,
    index: int = 0,
    suite: str | None = None,
    task: str | None = None,
    checkpoint: str | None = None,
    layout: str | None = None,
    protocol: str = "openvla",
    resolution: int | None = None,
    instructions: Instructions | None = None,
    convention: Convention | None = None,
    report: Report = lambda what: None,
) -> list[Comparison]:
    """Compare one demonstration with the environment that an evaluation has.

    Args:
        path: The file.
        index: Which of its demonstrations.
        suite: Its suite; by default what the file and its folder say.
        task: Its task, by index or name; likewise.
        checkpoint: Folder or hub name of a checkpoint whose contract is compared too.
        layout: Mapping to the unified vector; the checkpoint's, or the recommended one, if not
            given.
        protocol: The evaluation's.
        resolution: The evaluation's, if other than the protocol's.
        instructions: Likewise, and the training's.
        convention: See ``read_demos``.
        report: Told what is done next.

    Raises:
        ConfigError: A file, task or setting is not one, or the demonstration is another task's.
        PrerequisiteError: LIBERO or rendering is missing, or a checkpoint is on the hub and cannot
            be reached.
    """
    report("reading")
    rules = get_protocol(protocol, resolution=resolution, instructions=instructions)
    recording = _read(path, index, convention, rules.instructions)
    found = find_task_of(recording, suite, task)
    contract = None if checkpoint is None else _contract(checkpoint)
    if layout is not None or contract is None:
        mapping = get_layout(layout or DEFAULT_LAYOUT)
    else:
        mapping = contract.plain_layout
    report("opening the task")
    simulator = Simulator(found, _at_size_of(recording, rules))
    try:
        report("acting the demonstration out")
        return compare(recording, simulator, rules, mapping, contract)
    finally:
        simulator.close()


def compare(
    recording: Recording,
    simulator: Simulator,
    protocol: Protocol,
    layout: Layout,
    contract: Contract | None = None,
) -> list[Comparison]:
    """Compare a demonstration with a simulation of its task.

    Args:
        recording: The demonstration.
        simulator: Of its task, with the resolution of its pictures.
        protocol: The evaluation's.
        layout: Mapping to the unified vector, nothing normalised.
        contract: Of a checkpoint, if there is one; what goes through its layout is compared as it
            is normalised there.

    Raises:
        ConfigError: The demonstration is another task's.
    """
    evidence = gather(recording, Rehearsal(recording, simulator))
    own = contract is not None and contract.plain_layout.hash == layout.hash
    mapping = contract.mapping if contract is not None and own else layout
    rows = [
        *check_task(evidence, simulator.task, protocol),
        *check_pictures(evidence, protocol),
        *check_robot(evidence),
        *check_actions(evidence),
        *check_layout(evidence, mapping),
    ]
    if contract is not None:
        rows += check_contract(contract, evidence, simulator.task, protocol, layout)
    return rows


def find_task_of(recording: Recording, suite: str | None, task: str | None) -> Task:
    """Find the task that a demonstration is of.

    Args:
        recording: The demonstration.
        suite: Its suite, if known.
        task: Its task's index or name, if known.

    Raises:
        ConfigError: There is no such task, or neither the file nor its folder says which it is.
    """
    # Not resolved: where a cache links to, files have no names.
    path, bddl = recording.path.absolute(), recording.bddl
    folders = [path.parent.name] + ([] if bddl is None else [bddl.parent.name])
    suites = [suite] if suite else [folder for folder in folders if folder in SUITES]
    if task is not None and suites:
        return find_task(suites[0], task)
    names = [path.stem.removesuffix(_ENDING)] + ([] if bddl is None else [bddl.stem])
    for each in suites:
        for candidate in suite_tasks(each):
            if candidate.name in names:
                return candidate
    raise ConfigError(
        f"'{recording.path}' does not say which task it demonstrates. Fix: give --suite, such as "
        "libero_goal, and --task, an index or name."
    )


def _read(
    path: Path, index: int, convention: Convention | None, instructions: Instructions
) -> Recording:
    files = find_demo_files(path)
    if len(files) != 1:
        names = ", ".join(str(file) for file in files[:3])
        raise ConfigError(
            f"'{path}' holds {len(files)} demo files ({names}, …). Fix: give one of them."
        )
    recording = read_recording(files[0], index, convention=convention, instructions=instructions)
    if recording.demo.steps < _LEAST_STEPS:
        raise ConfigError(
            f"'{files[0]}' {recording.name} has {recording.demo.steps} steps. Needed: at least "
            f"{_LEAST_STEPS}. Fix: choose another with --demo."
        )
    shapes = {recording.demo.pictures[camera].shape[1:3] for camera in CAMERAS}
    if len(shapes) != 1 or len(set(next(iter(shapes)))) != 1:
        raise ConfigError(
            f"'{files[0]}' has pictures of {sorted(shapes)} pixels. Needed: squares of one size, "
            "which is all that the environment renders. Fix: render the demos again."
        )
    return recording


def _at_size_of(recording: Recording, protocol: Protocol) -> Protocol:
    side = recording.demo.pictures[CAMERAS[0]].shape[1]
    return dataclasses.replace(protocol, resolution=side)


def _contract(checkpoint: str) -> Contract:
    from policies.rdt.checkpoint.inspection import inspect_checkpoint

    return inspect_checkpoint(checkpoint, check_numbers=False).contract


_SMALL = 0.05
_BETTER = 0.5
_SCALES = (0.8, 1.25)


def check_actions(evidence: Evidence) -> list[Comparison]:
    """Look at the range of actions, where they lead, and what the gripper's command means."""
    return [_range(evidence), _effect(evidence), _grip(evidence)]


def _range(evidence: Evidence) -> Comparison:
    actions = evidence.recording.demo.actions
    arm, grips = actions[:, : ACTION_DIM - 1], np.unique(actions[:, -1])
    largest = float(np.abs(arm).max())
    few = len(grips) <= 3
    commands = ", ".join(f"{grip:+g}" for grip in grips) if few else f"{len(grips)} values"
    small = largest < _SMALL
    return Comparison(
        name="action range",
        demo=f"{arm.min():+.2f} to {arm.max():+.2f}; gripper {commands}",
        environment="−1 to +1, units of 0.05 m and 0.5 rad",
        status="warning" if small else "ok",
        fix="they look like metres and radians: divide by 0.05 and 0.5" if small else "",
    )


def _effect(evidence: Evidence) -> Comparison:
    effect = evidence.effect
    status: Status = "ok"
    fix = ""
    if not effect.faithful:
        status = "failed"
        fix = "store the actions that were executed, LIBERO's own numbers, without normalisation"
        if effect.later < _BETTER * effect.off:
            fix = "actions[t] leads to states[t]; it must lead to states[t + 1]: shift them by one"
        elif effect.earlier < _BETTER * effect.off:
            fix = "actions[t] starts from states[t + 1]; it must from states[t]: shift them by one"
        elif not _SCALES[0] < effect.scale < _SCALES[1]:
            fix = f"the arm moved {effect.scale:.2g} times as far as these actions move it: {fix}"
    return Comparison(
        name="action effect",
        demo="each leads from its recorded state to the next",
        environment=(
            f"ends {effect.off:.1e} rad from there; standing still {effect.still:.1e}; motion × "
            f"{effect.scale:.2f}"
        ),
        status=status,
        fix=fix,
    )


def _grip(evidence: Evidence) -> Comparison:
    found = evidence.grip
    good = found == LIBERO_GRIP
    numbers = ", ".join(
        f"{name}: {error * 1e3:.1f} mm" for name, error in evidence.grip_errors.items()
    )
    return Comparison(
        name="gripper command",
        demo=f"{found} explains the recorded fingers best",
        environment=f"{LIBERO_GRIP}; fingers off by {numbers}",
        status="ok" if good else "failed",
        fix="" if good else f"store it as {LIBERO_GRIP}, in actions and intended_actions",
    )
