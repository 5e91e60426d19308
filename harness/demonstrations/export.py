"""Exporting demonstrations: LeRobot data sets, and OpenVLA's form of LIBERO's HDF5."""

import contextlib
import hashlib
import json
import shlex
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harness.capacity import MOST_WORKERS
from harness.processes import worker_pool
from results.formatting import visible
from tasks.demos.file import DemoFile, open_demos
from tasks.demos.folders import demo_instruction, demo_task
from tasks.demos.lerobot.task import LeRobotTask
from tasks.demos.motion import phases_to_json
from tasks.demos.reader import Demo, read_demo
from tasks.demos.schema import IMAGE_DATASETS, SEED_ATTRIBUTE, START_ATTRIBUTE, Convention
from tasks.demos.source import DemoSource
from tasks.demos.timing import observation_timing
from tasks.errors import ConfigError
from tasks.settings import settings
from tasks.suites import Instructions
from training.demos.lerobot.assembly import DatasetContents, WrittenVersion, write_dataset
from training.demos.lerobot.card import CardFacts, dataset_card
from training.demos.lerobot.parts import Part, read_part, write_part
from training.demos.lerobot.schema import NAMES, Keys, Schema
from training.demos.lerobot.tables import import_pyarrow
from training.demos.official import write_official, write_openvla


@settings
class ExportConfig:
    """Settings of ``demos export --format lerobot``."""

    version: WrittenVersion = "v3.0"
    """Of the LeRobot format: v3.0, which LeRobot reads since 0.4, or v2.1, for GR00T, openpi and
    older LeRobot."""

    codec: Literal["h264", "av1", "png"] = "h264"
    """Of the videos; png stores images in Parquet without a loss. h264 is the fastest to read, av1
    what LeRobot records."""

    crf: int | None = Field(default=None, ge=0, le=63)
    """Constant rate factor of the videos: smaller is better and larger; by default 20 for h264 and
    30 for av1."""

    keys: Keys = "lerobot"
    """Names of the features: lerobot: as in lerobot/libero; openpi: image, wrist_image, state and
    actions, as in physical-intelligence/libero."""

    exact: bool = True
    """Keep LIBERO's arrays in double precision, too, as libero.…; training here then sees the very
    numbers of the HDF5 files, and replays repeat themselves."""

    instructions: Instructions = "name"
    """Which sentence is the task: name, the one in the task's file name, or bddl, the BDDL
    file's."""

    convention: Convention | None = None
    """before_action or after_action: when rows were seen, where neither the files nor their numbers
    tell."""

    name: str | None = None
    """Name on the hub, owner/name, for the card and the commands that upload it; the folder's by
    default."""

    workers: int = Field(default=2, ge=1, le=MOST_WORKERS)
    """Processes; the set does not depend on their number."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What became of an export.

    Attributes:
        path: The folder.
        tasks: Number of tasks.
        episodes: Number of demonstrations.
        frames: Number of rows.
        bytes: Of all files.
        error: Mean absolute difference of the encoded images, grey levels, by camera.
        left_out: Demonstrations that were not written, and why.
        commands: What uploads the set.
    """

    path: Path
    tasks: int
    episodes: int
    frames: int
    bytes: int
    error: dict[str, float]
    left_out: tuple[str, ...]
    commands: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self) | {"path": str(self.path)}


@dataclass(frozen=True, kw_only=True)
class _Planned:
    """A demonstration to export: where it is, and where its part goes."""

    path: Path
    demo: str
    task: int
    folder: Path


Progress = Callable[[int, int, str], None]

Format = Literal["lerobot", "hdf5-openvla", "hdf5-libero"]


def export_lerobot(
    files: Sequence[Path], out: Path, config: ExportConfig, progress: Progress
) -> Exported:
    """Write demonstrations as one LeRobot data set; a killed export goes on with the same command.

    Args:
        files: As ``find_demo_files`` returns them.
        out: Folder of the data set; it must not be there.
        config: How.
        progress: Called with the demonstrations done, their number, and the last one's name.

    Raises:
        ConfigError: ``out`` is there, or the demonstrations do not make one data set.
        PrerequisiteError: PyArrow is missing.
    """
    import_pyarrow()
    if out.exists():
        raise ConfigError(f"'{out}' is there. Fix: give another --out, or delete it.")
    schema, tasks, planned, notes = _plan(files, out, config)
    broken = _encode(planned, schema, config, progress)
    kept = [each for each in planned if each.folder not in broken]
    if not kept:
        raise ConfigError(f"No demonstration could be read: {next(iter(broken.values()))}")
    parts = [read_part(each.folder) for each in kept]
    error = {
        camera: sum(part.error[camera] * part.length for part in parts)
        / sum(part.length for part in parts)
        for camera in schema.cameras
    }
    notes["episodes"] = {str(row): part.noted for row, part in enumerate(parts)}
    left_out = tuple(
        f"{each.path.name} {each.demo}: {broken[each.folder]}"
        for each in planned
        if each.folder in broken
    )
    contents = DatasetContents(
        schema=schema,
        tasks=tasks,
        parts=parts,
        task_of=[each.task for each in kept],
        notes=notes,
        card=_card(files, out, config, schema, tasks, parts, left_out, error, notes),
    )
    write_dataset(out, contents, config.version)
    shutil.rmtree(_parts_folder(out))
    name = config.name or out.name
    return Exported(
        path=out,
        tasks=len(tasks),
        episodes=len(parts),
        frames=contents.firsts[-1],
        bytes=sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
        error=error,
        left_out=left_out,
        commands=(
            f"hf upload {shlex.quote(name)} {shlex.quote(str(out))} --repo-type dataset",
            f"hf repo tag create {shlex.quote(name)} {config.version} --repo-type dataset",
        ),
    )


def _plan(
    files: Sequence[Path], out: Path, config: ExportConfig
) -> tuple[Schema, list[str], list[_Planned], dict[str, Any]]:
    """Look at all sources before anything is written: they must make one data set."""
    sizes: set[tuple[int, ...]] = set()
    cameras: set[tuple[str, ...]] = set()
    joints, intended = True, False
    tasks: list[str] = []
    planned: list[_Planned] = []
    noted: dict[str, Any] = {}
    for path in files:
        with open_demos(path) as file:
            observation_timing(file, config.convention)
            words = demo_instruction(file, config.instructions)
            if words not in tasks:
                tasks.append(words)
            task = tasks.index(words)
            noted.setdefault(str(task), _task_notes(file))
            for name in file.demos():
                place = f"data/{name}"
                shown = tuple(c for c, k in IMAGE_DATASETS.items() if file.has(f"{place}/obs/{k}"))
                cameras.add(shown)
                sizes |= {file.images(f"{place}/obs/{IMAGE_DATASETS[c]}").shape[1:3] for c in shown}
                joints &= file.has(f"{place}/obs/joint_states")
                intended |= file.has(f"{place}/intended_actions")
                planned.append(
                    _Planned(path=path, demo=name, task=task, folder=_part(out, file, name, config))
                )
    if len(sizes) != 1 or len(cameras) != 1 or not next(iter(cameras)):
        raise ConfigError(
            f"The demos have images of {sorted(sizes)} pixels and cameras {sorted(cameras)}. "
            "Allowed in one set: one size, and the same cameras. Fix: export them apart."
        )
    (height, width), (shown,) = sizes.pop(), cameras
    schema = Schema(
        keys=config.keys,
        cameras=shown,
        size=(int(height), int(width)),
        codec=config.codec,
        joints=joints,
        intended=intended,
        exact=config.exact,
    )
    conventions = {
        "pictures": "rotated",
        "gripper": "−1 open, +1 close",
        "rotation": "axisangle",
        "observations": "before_action",
    }
    return schema, tasks, planned, {"format": 1, "conventions": conventions, "tasks": noted}


def _task_notes(file: DemoSource) -> dict[str, Any]:
    provenance = file.provenance()
    return {"provenance": provenance} if provenance else {}


def _parts_folder(out: Path) -> Path:
    return out.with_name(f"{out.name}.parts")


def _part(out: Path, file: DemoSource, name: str, config: ExportConfig) -> Path:
    """Return the folder of an episode's part, called after all that decides what it holds."""
    decisive = asdict(config)
    for option in ("version", "name", "workers"):
        del decisive[option]
    key = json.dumps([file.digest(), str(file.path), name, decisive], sort_keys=True)
    return _parts_folder(out) / hashlib.sha256(key.encode()).hexdigest()[:24]


def _encode(
    planned: Sequence[_Planned], schema: Schema, config: ExportConfig, progress: Progress
) -> dict[Path, str]:
    """Write the parts that are not there; return those whose demonstration is broken, and why."""
    broken: dict[Path, str] = {}
    missing = [each for each in planned if not each.folder.exists()]
    done = len(planned) - len(missing)
    progress(done, len(planned), "")
    if not missing:
        return broken
    missing[0].folder.parent.mkdir(parents=True, exist_ok=True)
    with worker_pool(min(config.workers, len(missing))) as pool:
        pending: dict[Future[str], _Planned] = {
            pool.submit(encode_demo, each.path, each.demo, each.folder, schema, config): each
            for each in missing
        }
        for future in as_completed(pending):
            each, why = pending[future], future.result()
            if why:
                broken[each.folder] = why
            done += 1
            progress(done, len(planned), f"{each.path.name} {each.demo}")
    return broken


def encode_demo(path: Path, name: str, folder: Path, schema: Schema, config: ExportConfig) -> str:
    """Write the part of one demonstration in this process; say why if it is broken.

    A broken demonstration of an HDF5 file is an error, as its file is one and can be mended; one of
    a LeRobot set is left out.
    """
    with open_demos(path) as file:
        timing = observation_timing(file, config.convention)
        words = demo_instruction(file, config.instructions)
        try:
            demo = read_demo(file, name, words, timing.convention, cameras=schema.cameras)
        except ConfigError as error:
            if isinstance(file, LeRobotTask):
                return visible(str(error).partition(". Fix")[0])
            raise
        write_part(folder, demo, schema, _demo_notes(file, demo), config.crf)
    return ""


def _demo_notes(file: DemoSource, demo: Demo) -> dict[str, Any]:
    place = f"data/{demo.name}"
    notes: dict[str, Any] = {"source": demo.name}
    with contextlib.suppress(ConfigError):  # of no task that is installed
        task = demo_task(file)
        notes["bddl_file_name"] = f"{task.suite}/{task.name}.bddl"
    if (seed := file.attribute(place, SEED_ATTRIBUTE)) is not None:
        notes[SEED_ATTRIBUTE] = int(seed)
    if (start := file.json(place, START_ATTRIBUTE)) is not None:
        notes[START_ATTRIBUTE] = start
    if demo.phases_noted:
        notes["phases"] = json.loads(phases_to_json(demo.phases))
    return notes


def _card(
    files: Sequence[Path],
    out: Path,
    config: ExportConfig,
    schema: Schema,
    tasks: Sequence[str],
    parts: Sequence[Part],
    left_out: Sequence[str],
    error: dict[str, float],
    notes: dict[str, Any],
) -> str:
    names = NAMES[config.keys]
    sources = " ".join(shlex.quote(path.name) for path in files[:3])
    more = " …" if len(files) > 3 else ""
    changed = f" --codec {config.codec} --keys {config.keys}"
    facts = CardFacts(
        name=config.name or out.name,
        version=config.version,
        tasks=tasks,
        episodes=len(parts),
        frames=sum(part.length for part in parts),
        command=f"libero-bench demos export {sources}{more} --format lerobot "
        f"--version {config.version}{changed}",
        provenance=[each.get("provenance", {}) for each in notes["tasks"].values()],
        left_out=left_out,
        error=error,
    )
    return dataset_card(facts, schema, names["state"], names["action"])


def export_hdf5(
    files: Sequence[Path], out: Path, form: Format, config: ExportConfig, progress: Progress
) -> list[Path]:
    """Write demonstrations as OpenVLA's regeneration or LIBERO's release has them, a file a task.

    Args:
        files: As ``find_demo_files`` returns them.
        out: Folder; a file goes to ``OUT/TASK_demo.hdf5``. Files that are there are left alone.
        form: Which of the two.
        config: ``convention`` counts.
        progress: Called with the files done, their number, and the last one's name.

    Raises:
        ConfigError: A file cannot be used, or two are of one task.
    """
    targets: dict[Path, Path] = {}
    for path in files:
        with open_demos(path) as file:
            target = out / f"{demo_task(file).name}_demo.hdf5"
        if target in targets or target.resolve() == path.resolve():
            raise ConfigError(
                f"'{target}' would be written twice, or over an original. Fix: give another --out, "
                "or files of different tasks."
            )
        targets[target] = path
    for done, (target, path) in enumerate(targets.items()):
        progress(done, len(targets), path.name)
        if not target.exists():
            _write_hdf5(target, path, form, config.convention)
    progress(len(targets), len(targets), "")
    return list(targets)


def _write_hdf5(target: Path, path: Path, form: Format, given: Convention | None) -> None:
    with open_demos(path) as file:
        convention = observation_timing(file, given).convention
        if form == "hdf5-openvla":
            write_openvla(target, file, convention)
            return
        if not isinstance(file, DemoFile) or convention != "before_action":
            raise ConfigError(
                f"'{path}' cannot be written as LIBERO's release: that needs states, and rows seen "
                "before their action. Fix: give files of 'libero-bench collect' or 'demos "
                "regenerate'."
            )
        write_official(target, file, demo_task(file))
