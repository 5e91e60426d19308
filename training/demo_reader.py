"""Reading demonstrations from LIBERO's HDF5 files, with every check before use."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np

from tasks.errors import ConfigError
from tasks.observation import ACTION_DIM, FloatArray, Image
from training.demo_format import CONVENTION_ATTRIBUTE, INTENDED, OBSERVATIONS, PICTURES, Convention

_FIX = "Fix: make demos with 'libero-bench collect', or give LIBERO's own HDF5 files."
_MAX_STEPS = 20_000


@dataclass(frozen=True, kw_only=True)
class Demo:
    """One demonstration of T steps; ``row t`` was seen before ``actions[t]``.

    Attributes:
        source: File and group, for messages.
        instruction: The task in words.
        actions: (T, 7) float64 in [−1, 1], as executed.
        targets: (T, 7) float64 in [−1, 1], what a policy should learn: the actions without the
            demonstrator's noise where the file has them, otherwise the actions.
        joint_pos: (T, 7) float64, rad.
        ee_pos: (T, 3) float64, metres.
        ee_quat: (T, 4) float64, xyzw.
        gripper_qpos: (T, 2) float64, metres.
        pictures: Per camera (T, H, W, 3) uint8, turned as ``rotate180`` does.
    """

    source: str
    instruction: str
    actions: FloatArray
    targets: FloatArray
    joint_pos: FloatArray
    ee_pos: FloatArray
    ee_quat: FloatArray
    gripper_qpos: FloatArray
    pictures: dict[str, Image]

    @property
    def steps(self) -> int:
        """T."""
        return len(self.actions)


def find_demo_files(path: Path | str) -> list[Path]:
    """Return the demo files that a path stands for: itself, or all ``*.hdf5`` below a folder.

    Raises:
        ConfigError: Nothing is there.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    files = sorted(
        p for p in path.rglob("*.hdf5") if not p.name.startswith(".") and ".parts" not in p.parts
    )
    if not files:
        what = "has no *.hdf5 file below it" if path.is_dir() else "does not exist"
        raise ConfigError(f"The demos '{path}' cannot be read: it {what}. {_FIX}")
    return files


def read_demos(path: Path, *, convention: Convention | None = None) -> Iterator[Demo]:
    """Read one file, a demonstration at a time.

    Args:
        path: An HDF5 file in LIBERO's format.
        convention: Whether observations were recorded before or after the action of the same
            index; by default what the file says, and ``after_action`` where it says nothing, as
            in the official files.

    Raises:
        ConfigError: The file is truncated, foreign or holds impossible values.
    """
    with _opened(path) as file:
        data = file.get("data")
        if not isinstance(data, h5py.Group):
            raise _refuse(path, "it has no group 'data'")
        instruction = _instruction(path, data)
        written = convention or str(data.attrs.get(CONVENTION_ATTRIBUTE, "after_action"))
        if written not in get_args(Convention):
            raise _refuse(path, f"its {CONVENTION_ATTRIBUTE} is '{written}'")
        names = sorted((n for n in data if n.startswith("demo_")), key=_number)
        if not names:
            raise _refuse(path, "it holds no demonstration (data/demo_0)")
        for name in names:
            arrays = _arrays(path, data, name)
            yield _demo(f"{path}:{name}", instruction, arrays, after=written == "after_action")


def read_provenance(path: Path) -> dict[str, Any]:
    """Return how a file was made, as the collector noted it; empty for other files.

    Raises:
        ConfigError: The file cannot be read.
    """
    with _opened(path) as file:
        data = file.get("data")
        text = data.attrs.get("provenance", "{}") if isinstance(data, h5py.Group) else "{}"
    noted = json.loads(text)
    return noted if isinstance(noted, dict) else {}


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _refuse(path, "it is no HDF5 file, or a truncated one") from error
    try:
        yield file
    except (OSError, RuntimeError) as error:  # h5py's words for damaged contents
        raise _refuse(path, f"its contents are damaged ({error})") from error
    finally:
        file.close()


def _arrays(path: Path, data: h5py.Group, name: str) -> dict[str, Any]:
    group = data[name]
    place = f"data/{name}"
    wanted: dict[str, tuple[int | None, ...]] = {
        "actions": (ACTION_DIM,),
        "robot_states": (9,),
        **{
            f"obs/{key}": shape
            for key, shape in OBSERVATIONS.items()
            if key in PICTURES.values() or key == "joint_states"
        },
    }
    if isinstance(group, h5py.Group) and INTENDED in group:
        wanted[INTENDED] = (ACTION_DIM,)
    arrays: dict[str, Any] = {}
    steps: int | None = None
    for key, row in wanted.items():
        dataset = group.get(key) if isinstance(group, h5py.Group) else None
        if not isinstance(dataset, h5py.Dataset):
            raise _refuse(path, f"{place}/{key} is missing")
        if not _fits(dataset.shape, row) or not 2 <= dataset.shape[0] <= _MAX_STEPS:
            raise _refuse(path, f"{place}/{key} has shape {dataset.shape}, not (T, *{row})")
        steps = dataset.shape[0] if steps is None else steps
        if dataset.shape[0] != steps:
            raise _refuse(path, f"{place}/{key} has {dataset.shape[0]} rows, actions has {steps}")
        picture = key.removeprefix("obs/") in PICTURES.values()
        if picture and (dataset.dtype != np.uint8 or max(dataset.shape[1:3]) > 2048):
            raise _refuse(path, f"{place}/{key} is {dataset.dtype} {dataset.shape}, not uint8")
        if not picture and dataset.dtype.kind != "f":
            raise _refuse(path, f"{place}/{key} is {dataset.dtype}, not floating point")
        arrays[key] = dataset[...]
        if not picture and not np.isfinite(arrays[key]).all():
            raise _refuse(path, f"{place}/{key} holds NaN or infinity")
    for key in ("actions", INTENDED):
        if key in arrays and np.abs(arrays[key]).max() > 1.0 + 1e-6:
            raise _refuse(path, f"{place}/{key} leaves [−1, 1]; LIBERO's actions never do")
    return arrays


def _demo(source: str, instruction: str, arrays: dict[str, Any], *, after: bool) -> Demo:
    # obs[t] recorded after actions[t] is what was seen before actions[t + 1].
    seen, acted = (slice(None, -1), slice(1, None)) if after else (slice(None), slice(None))
    targets = INTENDED if INTENDED in arrays else "actions"
    robot = arrays["robot_states"][seen].astype(np.float64)
    return Demo(
        source=source,
        instruction=instruction,
        actions=np.clip(arrays["actions"][acted].astype(np.float64), -1.0, 1.0),
        targets=np.clip(arrays[targets][acted].astype(np.float64), -1.0, 1.0),
        joint_pos=arrays["obs/joint_states"][seen].astype(np.float64),
        gripper_qpos=robot[:, 0:2],
        ee_pos=robot[:, 2:5],
        ee_quat=robot[:, 5:9],
        pictures={
            camera: np.ascontiguousarray(arrays[f"obs/{name}"][seen][:, ::-1, ::-1])
            for camera, name in PICTURES.items()
        },
    )


def _instruction(path: Path, data: h5py.Group) -> str:
    try:
        problem = json.loads(data.attrs["problem_info"])
        instruction = problem["language_instruction"]
    except (KeyError, TypeError, ValueError) as error:
        raise _refuse(path, "its attribute problem_info names no language_instruction") from error
    words = instruction if isinstance(instruction, str) else " ".join(instruction)
    return words.strip('"')


def _fits(shape: tuple[int, ...], row: Sequence[int | None]) -> bool:
    return len(shape) == 1 + len(row) and all(
        want is None or have == want for have, want in zip(shape[1:], row, strict=True)
    )


def _number(name: str) -> int:
    tail = name.removeprefix("demo_")
    return int(tail) if tail.isdigit() else 1 << 30


def _refuse(path: Path, why: str) -> ConfigError:
    return ConfigError(f"The demo file '{path}' cannot be used: {why}. {_FIX}")
