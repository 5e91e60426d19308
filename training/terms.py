"""What a run keeps to from its start to every evaluation, and the contract that says so."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policies.rdt.actions.layout import FRESH_LAYOUT, Layout
from policies.rdt.actions.layout_file import get_layout
from policies.rdt.actions.normalisation import Normalisation
from policies.rdt.checkpoint.contract import ANY_SIZE, Contract
from policies.rdt.checkpoint.storage import load_contract
from policies.rdt.model.network import RDTPolicyNetwork
from tasks.demos.file import open_demo_file
from tasks.demos.folders import demo_instruction, noted_otherwise
from tasks.demos.reader import read_provenance
from tasks.errors import ConfigError, SpecMismatchError
from tasks.suites import Instructions
from training.config import TrainingConfig
from training.data.normalisation import choose_normalisation
from training.data.split import demos_to_train_on
from training.data.windows import DemoWindows
from training.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is not the network's, and must be the same in evaluation.

    Attributes:
        layout: Mapping of states and actions to RDT's vector.
        normalisation: Of states and actions.
        missing_cameras: Cameras whose place shows the background.
    """

    layout: Layout
    normalisation: Normalisation = field(default_factory=Normalisation)
    missing_cameras: tuple[str, ...] = ()


def find_terms(
    config: TrainingConfig, folder: RunFolder, network: RDTPolicyNetwork, start: Contract | None
) -> Terms:
    """Say what a run keeps to: what is asked, or what its start kept to.

    Args:
        config: The run.
        folder: Its folder; where it holds checkpoints to go on from, their normalisation is kept.
        network: What is trained.
        start: The contract of the checkpoint it starts from.

    Raises:
        ConfigError: A file cannot be used, the run normalised otherwise before, or the network has
            no place for a camera.
    """
    layout = get_layout(config.layout or FRESH_LAYOUT) if start is None else start.plain_layout
    there = folder.checkpoints.updates
    before = load_contract(folder.checkpoints.path(there[-1])).normalisation if there else None
    return Terms(
        layout=layout,
        normalisation=choose_normalisation(
            config,
            layout,
            demos_to_train_on(config.demos, config),
            start=None if start is None else start.normalisation,
            before=before,
        ),
        missing_cameras=_missing(config, network.encoders_config.cameras, start),
    )


def _missing(
    config: TrainingConfig, places: tuple[str, ...], start: Contract | None
) -> tuple[str, ...]:
    if config.cameras is None:
        return () if start is None else start.missing_cameras
    if foreign := [camera for camera in config.cameras if camera not in places]:
        raise ConfigError(
            f"--cameras {' '.join(config.cameras)}: the network has no place for "
            f"{', '.join(foreign)}. Allowed: {', '.join(places)}. Fix: give some of these."
        )
    return tuple(camera for camera in places if camera not in config.cameras)


def _check_pictures(needed: int, given: int) -> None:
    if needed not in (ANY_SIZE, given):
        raise SpecMismatchError(
            f"The demos have pictures of {given} pixels, the checkpoint to start from was trained "
            f"on {needed}. Fix: render the demos anew (libero-bench demos regenerate --resolution "
            f"{needed}), or start from another checkpoint."
        )


def describe_contract(
    network: RDTPolicyNetwork, layout: Layout, data: DemoWindows, start: Contract | None
) -> Contract:
    """Say what the finished policy will need.

    Args:
        network: What is trained.
        layout: Mapping of states and actions to RDT's vector.
        data: What it is trained on.
        start: The contract of the checkpoint it starts from.

    Raises:
        SpecMismatchError: The data does not fit that contract.
    """
    if start is not None:
        _check_pictures(start.render_size, data.render_size)
    made = [read_provenance(file) for file in data.files]
    description: dict[str, Any] = {
        "files": [file.name for file in data.files],
        "sha256": [_digest(file) for file in data.files],
        "demos": data.demos,
        "windows": len(data),
        "instructions": data.instructions,
        "conventions": [timing.convention for timing in data.timings],
        "made_by": [json.dumps(m, sort_keys=True) if m else "unknown" for m in made],
    }
    label = _label(data, made)
    if start is not None:
        description["before"] = start.demos
        label += f" after {start.demos.get('label', 'unknown demos')}"
    description["label"] = label
    return Contract.describe(
        network,
        layout=layout,
        render_size=data.render_size,
        orientation="rotate180",
        normalisation=data.normalisation,
        missing_cameras=data.missing_cameras,
        demos=description,
    )


def starting_notes(
    contract: Contract, start: Contract | None, data: DemoWindows, config: TrainingConfig
) -> tuple[str, ...]:
    """Say what a user should know of a run that its settings may not say.

    Args:
        contract: Of what it will give.
        start: Of the checkpoint that it starts from.
        data: What it is trained on.
        config: The run.
    """
    notes = []
    layout = contract.plain_layout
    if config.targets_for(layout) == "intended" and data.without_intended:
        learnt = "goals" if layout.holds_goals else "actions"
        some = data.without_intended < data.demos
        notes.append(
            f"{data.without_intended if some else 'The'} demos have no intended actions: the "
            f"{learnt} {'there' if some else 'learnt'} come from the executed ones."
        )
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
    return (*notes, *_timing_notes(data))


def _timing_notes(data: DemoWindows) -> list[str]:
    """Say when rows were seen: once for all files of which the same is known in the same way."""
    alike: dict[Any, list[int]] = {}
    for index, timing in enumerate(data.timings):
        alike.setdefault((timing.convention, timing.source, timing.doubtful), []).append(index)
    notes = []
    for indices in alike.values():
        others = f" and {len(indices) - 1} more" if len(indices) > 1 else ""
        notes.append(f"{data.files[indices[0]].name}{others}: {data.timings[indices[0]]}.")
    return notes


def wording_notes(data: DemoWindows, instructions: Instructions) -> tuple[str, ...]:
    """Say once where demo files note another sentence than their task's.

    Args:
        data: The demonstrations.
        instructions: Which sentence of a task is learnt.
    """
    found = []
    for path in data.files:
        with open_demo_file(path) as file:
            words = demo_instruction(file, instructions)
            if (noted := noted_otherwise(file, words)) is not None:
                found.append((words, noted))
    if not found:
        return ()
    words, noted = found[0]
    return (
        f"{len(found)} of {len(data.files)} files note another instruction (problem_info) than the "
        f"one that is learnt: “{words}”, not “{noted}”.",
    )


def _label(data: DemoWindows, made: list[dict[str, Any]]) -> str:
    """Say in a few words which demonstrations these are: results must."""
    makers = {str(m.get("expert")) if m else "of unknown origin" for m in made}
    return f"{data.demos} {' and '.join(sorted(makers))}"


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]
