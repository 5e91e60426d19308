"""Reading demonstrations from LIBERO's HDF5 files, with every check before use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tasks.demos.file import open_demos
from tasks.demos.folders import demo_instruction, noted_otherwise
from tasks.demos.motion import Phase, motion_phases, phases_from
from tasks.demos.schema import IMAGE_DATASETS, INTENDED, PHASES_ATTRIBUTE, Convention, Targets
from tasks.demos.source import DemoSource
from tasks.demos.start import notes_start, read_start
from tasks.demos.timing import Timing, observation_timing
from tasks.errors import ConfigError
from tasks.observation import ACTION_DIM, FloatArray, Image, RobotState
from tasks.protocols import Start
from tasks.suites import Instructions


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
        joint_pos: (T, 7) float64, rad; NaN where nothing says them, as in most LeRobot sets.
        ee_pos: (T, 3) float64, metres.
        ee_quat: (T, 4) float64, xyzw.
        gripper_qpos: (T, 2) float64, metres.
        images: Per camera (T, H, W, 3) uint8, turned as ``rotate180`` does; empty if not wanted.
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
    images: dict[str, Image]
    phases: tuple[Phase, ...]
    phases_noted: bool

    @property
    def steps(self) -> int:
        """T."""
        return len(self.actions)

    @property
    def has_joints(self) -> bool:
        """Whether the joints are known."""
        return not np.isnan(self.joint_pos).any()

    @property
    def robot(self) -> RobotState:
        """The robot before each action, (T, ...) each."""
        return RobotState(
            joint_pos=self.joint_pos,
            ee_pos=self.ee_pos,
            ee_quat=self.ee_quat,
            gripper_qpos=self.gripper_qpos,
        )

    def targets(self, which: Targets) -> FloatArray:
        """Return (T, 7): the actions that a policy is to learn."""
        return self.actions if which == "executed" else self.intended


def read_demos(
    path: Path,
    *,
    convention: Convention | None = None,
    images: bool = True,
    cameras: Sequence[str] = tuple(IMAGE_DATASETS),
    instructions: Instructions = "name",
) -> Iterator[Demo]:
    """Read one file, a demonstration at a time.

    Args:
        path: A file, as ``find_demo_files`` returns it.
        convention: Whether rows were seen before or after their action; by default what
            ``observation_timing`` finds.
        images: Whether to read them.
        cameras: Whose images; others need not be there.
        instructions: Which sentence is the instruction; see ``demo_instruction``.

    Raises:
        ConfigError: The file is truncated, foreign or holds impossible values, or it cannot be
            told when its rows were seen.
    """
    with open_demos(path) as file:
        instruction = demo_instruction(file, instructions)
        convention = convention or observation_timing(file).convention
        for name in file.demos():
            yield read_demo(file, name, instruction, convention, cameras=cameras if images else ())


def read_provenance(path: Path) -> dict[str, Any]:
    """Return how a file was made, as the collector noted it; empty for other files.

    Raises:
        ConfigError: The file cannot be read.
    """
    with open_demos(path) as file:
        return file.provenance()


def read_demo(
    file: DemoSource,
    name: str,
    instruction: str,
    convention: Convention,
    *,
    cameras: Sequence[str] = tuple(IMAGE_DATASETS),
) -> Demo:
    """Read one demonstration of an open file.

    Args:
        file: The file.
        name: The demonstration, ``demo_0``.
        instruction: The task in words.
        convention: Whether rows were seen before or after their action.
        cameras: Whose images to read.

    Raises:
        ConfigError: Something is missing or impossible.
    """
    place = f"data/{name}"
    actions = _actions(file, f"{place}/actions", None)
    steps = len(actions)
    intended_noted = file.has(f"{place}/{INTENDED}")
    intended = _actions(file, f"{place}/{INTENDED}", steps) if intended_noted else actions
    seen, acted = _paired_rows(convention)
    robot = file.robot_states(name, steps=steps)[seen].astype(np.float64)
    joints = np.full((steps, 7), np.nan)
    if file.needs_joints or file.has(f"{place}/obs/joint_states"):
        joints = file.numbers(f"{place}/obs/joint_states", (7,), steps=steps)
    images = {}
    for camera in cameras:
        dataset = file.images(f"{place}/obs/{IMAGE_DATASETS[camera]}", steps=steps)
        images[camera] = np.ascontiguousarray(file.read(dataset)[seen][:, ::-1, ::-1])
    actions = np.clip(actions[acted].astype(np.float64), -1.0, 1.0)
    noted = file.json(place, PHASES_ATTRIBUTE)
    shift = steps - len(actions)
    return Demo(
        source=f"{file.path}:{name}",
        name=name,
        instruction=instruction,
        actions=actions,
        intended=np.clip(intended[acted].astype(np.float64), -1.0, 1.0),
        intended_noted=intended_noted,
        joint_pos=joints[seen].astype(np.float64),
        gripper_qpos=robot[:, 0:2],
        ee_pos=robot[:, 2:5],
        ee_quat=robot[:, 5:9],
        images=images,
        phases=_phases(file, name, noted, actions, robot[:, 2:5], shift=shift),
        phases_noted=noted is not None,
    )


def _paired_rows(convention: Convention) -> tuple[slice, slice]:
    """Return which observations were seen before which actions."""
    if convention == "after_action":  # obs[t], seen after actions[t], is seen before actions[t + 1]
        return slice(None, -1), slice(1, None)
    return slice(None), slice(None)


def _actions(file: DemoSource, place: str, steps: int | None) -> FloatArray:
    array: FloatArray = file.numbers(place, (ACTION_DIM,), steps=steps)
    if np.abs(array).max() > 1.0 + 1e-6:
        raise file.refuse(f"{place} leaves [−1, 1]; LIBERO's actions never do")
    return array


def _phases(
    file: DemoSource, name: str, noted: Any, actions: FloatArray, ee_pos: FloatArray, *, shift: int
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


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A demonstration with what training does not see of it.

    Attributes:
        demo: What training sees.
        path: The file.
        name: Its group, such as ``demo_0``.
        noted: The instruction that the file notes, where that is another than ``demo``'s.
        states: (T, D) float64, the simulator's state before each of ``demo.actions``; (T, 0) where
            the source keeps none.
        start: How its episode begins, where it keeps no states; None where it does not say.
        timing: When observations were recorded, and how that is known.
        axis_angle: (T, 3) rad, the hand's orientation as ``obs/ee_ori`` has it; None without.
        model_xml: MJCF of the scene; None where the file has none.
        bddl: Name of the task's BDDL file with its folders, as it was on the recording machine;
            None where the file does not say.
        control_hz: Control frequency; None where the file does not say.
    """

    demo: Demo
    path: Path
    name: str
    noted: str | None
    states: FloatArray
    start: Start | None
    timing: Timing
    axis_angle: FloatArray | None
    model_xml: str | None
    bddl: PurePosixPath | None
    control_hz: float | None


def read_recording(
    path: Path,
    index: int = 0,
    *,
    convention: Convention | None = None,
    instructions: Instructions = "name",
) -> Recording:
    """Read one demonstration of a file.

    Args:
        path: A file, as ``find_demo_files`` returns it.
        index: Which, in the order of their numbers.
        convention: See ``observation_timing``.
        instructions: See ``read_demos``.

    Raises:
        ConfigError: There is no such demonstration, or the file cannot be used.
    """
    with open_demos(path) as file:
        names = file.demos()
        if index >= len(names):
            raise ConfigError(
                f"'{path}' holds no demonstration {index}. Allowed: 0 to {len(names) - 1}."
            )
        timing = observation_timing(file, convention, trusting=True)
        instruction = demo_instruction(file, instructions)
        demo = read_demo(file, names[index], instruction, timing.convention)
        place = f"data/{names[index]}"
        seen, acted = _paired_rows(timing.convention)
        steps = len(demo.actions) + (timing.convention == "after_action")
        rotations = None
        if file.has(f"{place}/obs/ee_ori"):
            rotations = file.numbers(f"{place}/obs/ee_ori", (3,), steps=steps)[seen]
        bddl = _text(file.attribute("data", "bddl_file_name"))
        return Recording(
            demo=demo,
            path=path,
            name=names[index],
            noted=noted_otherwise(file, demo.instruction),
            states=_states(file, place, steps)[acted],
            start=_start(file, names[index]),
            timing=timing,
            axis_angle=rotations,
            model_xml=_text(file.attribute(place, "model_file")),
            bddl=None if bddl is None else PurePosixPath(bddl),
            control_hz=_control_hz(file),
        )


def _states(file: DemoSource, place: str, steps: int) -> FloatArray:
    if not file.keeps_states:
        return np.zeros((steps, 0))
    states: FloatArray = file.numbers(f"{place}/states", (None,), steps=steps)
    return states


def _start(file: DemoSource, name: str) -> Start | None:
    noted = not file.keeps_states and notes_start(file, name)
    return read_start(file, name) if noted else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _control_hz(file: DemoSource) -> float | None:
    try:
        return float(file.json("data", "env_args")["env_kwargs"]["control_freq"])
    except (ConfigError, KeyError, TypeError, ValueError):
        return None
