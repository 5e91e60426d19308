"""Reading demonstrations from LIBERO's HDF5 files, with every check before use."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.demos.file import (
    INTENDED,
    PHASES_ATTRIBUTE,
    PICTURES,
    Convention,
    DemoFile,
    Targets,
    open_demo_file,
)
from tasks.demos.folders import demo_instruction
from tasks.demos.timing import observation_timing
from tasks.observation import ACTION_DIM, FloatArray, Image
from tasks.suites import Instructions
from training.demos.phases import Phase, motion_phases, phases_from

__all__ = ["Demo", "read_demos", "read_provenance"]


@dataclass(frozen=True, kw_only=True)
class Demo:
    """One demonstration of T steps; ``row t`` was seen before ``actions[t]``.

    Attributes:
        source: File and group, for messages.
        name: The group's name, ``demo_0``.
        instruction: The task in words.
        actions: (T, 7) float64 in [−1, 1], as executed.
        intended: (T, 7) float64 in [−1, 1], the actions without the demonstrator's noise where the
            file has them, otherwise the actions.
        intended_noted: Whether the file has them.
        joint_pos: (T, 7) float64, rad.
        ee_pos: (T, 3) float64, metres.
        ee_quat: (T, 4) float64, xyzw.
        gripper_qpos: (T, 2) float64, metres.
        pictures: Per camera (T, H, W, 3) uint8, turned as ``rotate180`` does; empty if not wanted.
        phases: The steps at which something changes, in order: those the file notes (with what
            only the simulator knows), otherwise those its motion shows.
        phases_noted: Whether the file notes them.
    """

    source: str
    name: str
    instruction: str
    actions: FloatArray
    intended: FloatArray
    intended_noted: bool
    joint_pos: FloatArray
    ee_pos: FloatArray
    ee_quat: FloatArray
    gripper_qpos: FloatArray
    pictures: dict[str, Image]
    phases: tuple[Phase, ...]
    phases_noted: bool

    @property
    def steps(self) -> int:
        """T."""
        return len(self.actions)

    def targets(self, which: Targets) -> FloatArray:
        """Return (T, 7): the actions that a policy is to learn."""
        return self.actions if which == "executed" else self.intended


def read_demos(
    path: Path,
    *,
    convention: Convention | None = None,
    pictures: bool = True,
    cameras: Sequence[str] = tuple(PICTURES),
    instructions: Instructions = "name",
) -> Iterator[Demo]:
    """Read one file, a demonstration at a time.

    Args:
        path: An HDF5 file in LIBERO's format.
        convention: Whether rows were seen before or after their action; by default what
            ``observation_timing`` finds.
        pictures: Whether to read them.
        cameras: Whose pictures; others need not be there.
        instructions: Which sentence is the instruction; see ``demo_instruction``.

    Raises:
        ConfigError: The file is truncated, foreign or holds impossible values, or it cannot be
            told when its rows were seen.
    """
    with open_demo_file(path) as file:
        instruction = demo_instruction(file, instructions)
        convention = convention or observation_timing(file).convention
        for name in file.demos():
            yield read_demo(
                file,
                name,
                instruction=instruction,
                convention=convention,
                cameras=cameras if pictures else (),
            )


def read_demo(
    file: DemoFile,
    name: str,
    *,
    instruction: str,
    convention: Convention,
    cameras: Sequence[str] = tuple(PICTURES),
) -> Demo:
    """Read one demonstration of an open file.

    Args:
        file: The file.
        name: The demonstration, ``demo_0``.
        instruction: The task in words.
        convention: Whether rows were seen before or after their action.
        cameras: Whose pictures to read.

    Raises:
        ConfigError: Something is missing or impossible.
    """
    arrays = read_arrays(file, name, cameras=cameras)
    noted = file.json(file.group(f"data/{name}"), PHASES_ATTRIBUTE)
    return _demo(file, name, instruction, arrays, noted, after=convention == "after_action")


def read_provenance(path: Path) -> dict[str, Any]:
    """Return how a file was made, as the collector noted it; empty for other files.

    Raises:
        ConfigError: The file cannot be read.
    """
    with open_demo_file(path) as file:
        return file.provenance()


def read_arrays(
    file: DemoFile, name: str, *, cameras: Sequence[str] = tuple(PICTURES)
) -> dict[str, Any]:
    """Read what a policy is trained on, by LIBERO's names.

    Args:
        file: The open file.
        name: The demonstration, ``demo_0``.
        cameras: Whose pictures to read, too.

    Raises:
        ConfigError: Something is missing or impossible.
    """
    place = f"data/{name}"
    arrays = {"actions": _actions(file, f"{place}/actions", None)}
    steps = len(arrays["actions"])
    if file.has(f"{place}/{INTENDED}"):
        arrays[INTENDED] = _actions(file, f"{place}/{INTENDED}", steps)
    arrays["robot_states"] = file.robot_states(name, steps=steps)
    arrays["obs/joint_states"] = file.numbers(f"{place}/obs/joint_states", (7,), steps=steps)
    for key in (PICTURES[camera] for camera in cameras):
        dataset = file.pictures(f"{place}/obs/{key}", steps=steps)
        arrays[f"obs/{key}"] = file.read(dataset)
    return arrays


def _actions(file: DemoFile, place: str, steps: int | None) -> FloatArray:
    array: FloatArray = file.numbers(place, (ACTION_DIM,), steps=steps)
    if np.abs(array).max() > 1.0 + 1e-6:
        raise file.refuse(f"{place} leaves [−1, 1]; LIBERO's actions never do")
    return array


def _demo(
    file: DemoFile,
    name: str,
    instruction: str,
    arrays: Mapping[str, Any],
    noted: Any,
    *,
    after: bool,
) -> Demo:
    # obs[t] recorded after actions[t] is what was seen before actions[t + 1].
    seen, acted = (slice(None, -1), slice(1, None)) if after else (slice(None), slice(None))
    actions = np.clip(arrays["actions"][acted].astype(np.float64), -1.0, 1.0)
    intended = arrays[INTENDED if INTENDED in arrays else "actions"][acted]
    robot = arrays["robot_states"][seen].astype(np.float64)
    return Demo(
        source=f"{file.path}:{name}",
        name=name,
        instruction=instruction,
        actions=actions,
        intended=np.clip(intended.astype(np.float64), -1.0, 1.0),
        intended_noted=INTENDED in arrays,
        joint_pos=arrays["obs/joint_states"][seen].astype(np.float64),
        gripper_qpos=robot[:, 0:2],
        ee_pos=robot[:, 2:5],
        ee_quat=robot[:, 5:9],
        pictures={
            camera: np.ascontiguousarray(arrays[f"obs/{key}"][seen][:, ::-1, ::-1])
            for camera, key in PICTURES.items()
            if f"obs/{key}" in arrays
        },
        phases=_phases(file, name, noted, actions, robot[:, 2:5], shift=int(after)),
        phases_noted=noted is not None,
    )


def _phases(
    file: DemoFile, name: str, noted: Any, actions: FloatArray, ee_pos: FloatArray, *, shift: int
) -> tuple[Phase, ...]:
    """Return the phases in terms of the demo's rows, which begin ``shift`` steps into the file."""
    if noted is None:
        return motion_phases(actions, ee_pos)
    try:
        written = phases_from(noted, len(actions) + shift)
    except ValueError as error:
        words = " ".join(str(error).split())[:200]
        raise file.refuse(f"the phases of {name} cannot be read ({words})") from error
    return tuple(Phase(step=max(p.step - shift, 0), kind=p.kind, what=p.what) for p in written)
