"""The comparisons of one demonstration, in order."""

import dataclasses
from collections.abc import Callable
from pathlib import Path, PurePath

from harness.demonstrations.playback import execute
from harness.parity.actions import check_actions, check_layout
from harness.parity.config import ParityConfig
from harness.parity.dry_run import DryRun
from harness.parity.images import check_images
from harness.parity.inputs import Comparison, gather_inputs
from harness.parity.metrics import check_contract, check_task
from harness.parity.robot import check_robot
from policies.rdt.actions.layout import DEFAULT_LAYOUT, Layout
from policies.rdt.actions.layout_file import get_layout
from policies.rdt.checkpoint.contract import Contract
from tasks.demos.folders import find_demo_files, named_suites, named_task
from tasks.demos.reader import Recording, read_recording
from tasks.demos.schema import Convention
from tasks.errors import ConfigError
from tasks.observation import CAMERAS
from tasks.protocols import Protocol, get_protocol
from tasks.simulation.simulator import Simulator
from tasks.suites import Instructions, Task, find_task

_LEAST_STEPS = 6

Report = Callable[[str], None]
"""Takes a few words on the next step."""


def check_demo(
    path: Path, config: ParityConfig, report: Report = lambda what: None
) -> list[Comparison]:
    """Compare one demonstration with the environment that an evaluation has.

    Args:
        path: The file.
        config: Which demonstration and which evaluation.
        report: Called before each step.

    Raises:
        ConfigError: A file, task or setting is not one, or the demonstration is another task's.
        PrerequisiteError: LIBERO or rendering is missing, or a checkpoint is on the hub and cannot
            be reached.
    """
    report("reading")
    rules = get_protocol(
        config.protocol, resolution=config.resolution, instructions=config.instructions
    )
    recording = _read(path, config.demo, config.convention, rules.instructions)
    task = find_task_of(recording, config.suite, config.task)
    contract = None if config.checkpoint is None else _contract(config.checkpoint)
    if config.layout is not None or contract is None:
        mapping = get_layout(config.layout or DEFAULT_LAYOUT)
    else:
        mapping = contract.plain_layout
    report("opening the task")
    simulator = Simulator(task, _at_size_of(recording, rules))
    try:
        report("acting the demonstration out")
        recording = _with_states(recording, simulator)
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
        simulator: Of its task, with the resolution of its images.
        protocol: The evaluation's.
        layout: Mapping to the unified vector, nothing normalised.
        contract: Of a checkpoint, if there is one; what goes through its layout is compared as it
            is normalised there.

    Raises:
        ConfigError: The demonstration is another task's.
    """
    inputs = gather_inputs(recording, DryRun(recording, simulator))
    same_layout = contract is not None and contract.plain_layout.hash == layout.hash
    mapping = contract.mapping if contract is not None and same_layout else layout
    rows = [
        *check_task(inputs, simulator.task, protocol),
        *check_images(inputs, protocol),
        *check_robot(inputs),
        *check_actions(inputs),
        *check_layout(inputs, mapping),
    ]
    if contract is not None:
        rows += check_contract(contract, inputs, simulator.task, protocol, layout)
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
    bddl = recording.bddl or PurePath()
    suites = [suite] if suite else named_suites(recording.path, bddl)
    if task is not None and suites:
        return find_task(suites[0], task)
    if (named := named_task(recording.path, bddl, suite)) is not None:
        return named
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
    shapes = {recording.demo.images[camera].shape[1:3] for camera in CAMERAS}
    if len(shapes) != 1 or len(set(next(iter(shapes)))) != 1:
        raise ConfigError(
            f"'{files[0]}' has pictures of {sorted(shapes)} pixels. Needed: squares of one size, "
            "which is all that the environment renders. Fix: render the demos again."
        )
    return recording


def _with_states(recording: Recording, simulator: Simulator) -> Recording:
    """Return a recording that has states: where its source keeps none, by executing its actions."""
    if recording.states.shape[1]:
        return recording
    if recording.start is None or not recording.demo.has_joints:
        what = "where it starts" if recording.start is None else "joint positions"
        raise ConfigError(
            f"'{recording.path}' does not note {what}, so its moments cannot be simulated. Fix: "
            "'libero-bench demos check' finds its conventions in its data; parity needs LIBERO's "
            "HDF5 files, or a set that 'libero-bench demos export' wrote."
        )
    execution = execute(simulator, recording.start, recording.demo.actions)
    return dataclasses.replace(recording, states=execution.states)


def _at_size_of(recording: Recording, protocol: Protocol) -> Protocol:
    resolution = recording.demo.images[CAMERAS[0]].shape[1]
    return dataclasses.replace(protocol, resolution=resolution)


def _contract(checkpoint: str) -> Contract:
    from policies.rdt.checkpoint.inspection import inspect_checkpoint

    return inspect_checkpoint(checkpoint, check_numbers=False).contract
