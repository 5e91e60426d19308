"""Notes on a run for its user: facts of its setup that its settings do not say."""

from typing import Any

from policies.rdt.actions.normalisation import Normalisation
from policies.rdt.checkpoint.contract import Contract
from tasks.observation import CONTROL_HZ
from training.config import TrainingConfig
from training.data.demo_files import LoadedDemos, LoadedFile
from training.data.windows import DemoWindows


def setup_notes(
    config: TrainingConfig,
    contract: Contract,
    start: Contract | None,
    demos: LoadedDemos,
    windows: DemoWindows,
) -> tuple[str, ...]:
    """Return sentences on targets, normalisation, cameras, timing and instructions of a run.

    Args:
        config: The run.
        contract: Contract of the policy that is trained.
        start: Contract of the checkpoint to start from.
        demos: The demo files.
        windows: Windows to train on.
    """
    return (
        *_target_notes(config, contract, windows),
        *_contract_notes(contract, start),
        *_timing_notes(demos.files),
        *_convention_notes(demos.files),
        *([demos.note] if demos.note else []),
        *instruction_notes(demos.files),
    )


def _target_notes(config: TrainingConfig, contract: Contract, windows: DemoWindows) -> list[str]:
    layout, count = contract.plain_layout, windows.without_intended
    if config.targets_for(layout) != "intended" or not count:
        return []
    targets = "goals" if layout.holds_goals else "actions"
    some = count < windows.demos
    return [
        f"{count if some else 'The'} demos have no intended actions: the "
        f"{targets} {'there' if some else 'learnt'} come from the executed ones."
    ]


def _contract_notes(contract: Contract, start: Contract | None) -> list[str]:
    notes = []
    ours, before = contract.normalisation, start.normalisation if start else Normalisation()
    if ours.method != "none":
        whose = "the checkpoint's numbers" if ours == before else "its numbers in these demos"
        notes.append(f"States and actions are normalised: {ours.method}, {whose}.")
    if before.method != "none" and ours != before:
        notes.append(
            f"The checkpoint to start from was trained under another normalisation "
            f"({before.method}), so much is learnt anew; without --normalise its own is kept."
        )
    if contract.missing_cameras:
        notes.append(
            f"Only {', '.join(contract.shown_cameras)} is shown; the place of "
            f"{', '.join(contract.missing_cameras)} has the background, in evaluation too."
        )
    return notes


def _timing_notes(files: tuple[LoadedFile, ...]) -> list[str]:
    """Return a sentence on the timing of observations for each kind of files."""
    kinds: dict[Any, list[LoadedFile]] = {}
    for file in files:
        timing = file.timing
        kinds.setdefault((timing.convention, timing.source, timing.doubtful), []).append(file)
    notes = []
    for first, *rest in kinds.values():
        others = f" and {len(rest)} more" if rest else ""
        notes.append(f"{first.path.name}{others}: {first.timing}.")
    return notes


def _convention_notes(files: tuple[LoadedFile, ...]) -> list[str]:
    """Return sentences on what was found out about each LeRobot data set."""
    notes = []
    for root in dict.fromkeys(file.path.parent for file in files if file.conventions):
        found = next(f.conventions for f in files if f.conventions and f.path.parent == root)
        notes.append(
            f"{root.name} is a {found['format']} set: gripper {found['gripper']['value']}; images "
            f"{found['pictures']['value']}; fps labelled {found['fps_label']:g}, control at "
            f"{CONTROL_HZ:g} Hz. 'libero-bench demos check {root}' shows the evidence."
        )
        if left_out := found["left_out"]:
            number, why = next(iter(left_out.items()))
            more = f", and {len(left_out) - 1} more" if len(left_out) > 1 else ""
            notes.append(f"Left out of {root.name}: episode {number}, {why}{more}.")
    return notes


def instruction_notes(files: tuple[LoadedFile, ...]) -> list[str]:
    """Return a sentence on files that note another instruction than their task's, if any."""
    others = [(file.instruction, file.noted_instruction) for file in files]
    others = [pair for pair in others if pair[1] is not None]
    if not others:
        return []
    instruction, noted = others[0]
    return [
        f"{len(others)} of {len(files)} files note another instruction (problem_info) than the "
        f"one that is learnt: “{instruction}”, not “{noted}”."
    ]
