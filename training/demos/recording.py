"""A demonstration as its file holds it: what ``read_demos`` turns, shifts or leaves out."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.demos.file import Convention, DemoFile, open_demo_file
from tasks.demos.folders import noted_otherwise
from tasks.demos.reader import Demo, read_demos
from tasks.demos.timing import Timing, observation_timing
from tasks.errors import ConfigError
from tasks.observation import FloatArray
from tasks.suites import Instructions


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A demonstration with what training does not see of it.

    Attributes:
        demo: What training sees.
        path: The file.
        name: Its group, such as ``demo_0``.
        noted: The instruction that the file notes, where that is another than ``demo``'s.
        states: (T, D) float64, the simulator's state before each of ``demo.actions``.
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
        path: An HDF5 file in LIBERO's format.
        index: Which, in the order of their numbers.
        convention: See ``observation_timing``.
        instructions: See ``read_demos``.

    Raises:
        ConfigError: There is no such demonstration, or the file cannot be used.
    """
    with open_demo_file(path) as file:
        names = file.demos()
        if index >= len(names):
            raise ConfigError(
                f"'{path}' holds no demonstration {index}. Allowed: 0 to {len(names) - 1}."
            )
        timing = observation_timing(file, convention, trusting=True)
        after = timing.convention == "after_action"
        demos = read_demos(path, convention=timing.convention, instructions=instructions)
        demo = next(islice(demos, index, None))
        place = f"data/{names[index]}"
        seen, acted = (slice(None, -1), slice(1, None)) if after else (slice(None), slice(None))
        steps = len(demo.actions) + after
        turned = None
        if file.has(f"{place}/obs/ee_ori"):
            turned = file.numbers(f"{place}/obs/ee_ori", (3,), steps=steps)[seen]
        bddl = _text(file.attribute(file.data, "bddl_file_name"))
        return Recording(
            demo=demo,
            path=path,
            name=names[index],
            noted=noted_otherwise(file, demo.instruction),
            states=file.numbers(f"{place}/states", (None,), steps=steps)[acted],
            timing=timing,
            axis_angle=turned,
            model_xml=_text(file.attribute(file.group(place), "model_file")),
            bddl=None if bddl is None else PurePosixPath(bddl),
            control_hz=_control_hz(file),
        )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _control_hz(file: DemoFile) -> float | None:
    try:
        return float(file.json(file.data, "env_args")["env_kwargs"]["control_freq"])
    except (ConfigError, KeyError, TypeError, ValueError):
        return None
