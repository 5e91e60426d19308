"""Regenerating demo files: other images, no pauses, and only demonstrations that still succeed.

As in OpenVLA's ``regenerate_libero_dataset.py``, actions that do nothing are left out, the rest is
executed again, and demonstrations that fail then are dropped. Unlike there, fixtures stand where
the original file has them, and each observation is the one before its action.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass

from harness.demonstrations.config import RegenerationConfig
from harness.demonstrations.replay import demo_protocol
from harness.processes import worker_pool
from results.locking import sole_writer
from tasks.demos.file import DemoFile, open_demo_file, open_demos
from tasks.demos.folders import demo_task
from tasks.demos.motion import noops, pauses
from tasks.demos.schema import INTENDED
from tasks.demos.source import DemoSource
from tasks.demos.start import read_start
from tasks.errors import ConfigError, HarnessError, differing_settings
from tasks.files import sha256, write_json
from tasks.observation import FloatArray
from tasks.protocols import StoredStart
from tasks.suites import Task
from training.demos.writer import merge_demos


@dataclass(frozen=True, kw_only=True)
class Remade:
    """One demonstration, made anew.

    Attributes:
        demo: Its name in the original file.
        kept: Whether it still succeeds.
        steps: Its length now.
        dropped: Actions left out because they do nothing.
        reason: Why it was not kept.
    """

    demo: str
    kept: bool
    steps: int = 0
    dropped: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Regenerated:
    """One file, made anew.

    Attributes:
        source: The original.
        path: The new file; it exists unless there was a problem.
        demos: Its demonstrations, in order; empty if the file was there before.
        problem: Why there is no file; empty otherwise.
    """

    source: Path
    path: Path
    demos: tuple[Remade, ...] = field(default_factory=tuple)
    problem: str = ""


RemadeCallback = Callable[[Path, Remade], None]


def count_demos(files: Sequence[Path]) -> int:
    """Return how many demonstrations files hold.

    Raises:
        ConfigError: A file cannot be read.
    """
    total = 0
    for path in files:
        with open_demos(path) as file:
            total += len(file.demos())
    return total


def regenerate(
    files: Sequence[Path],
    out: Path,
    config: RegenerationConfig,
    progress: RemadeCallback | None = None,
) -> list[Regenerated]:
    """Make files anew under ``out``, as ``SUITE/TASK_demo.hdf5``; finished ones are left alone.

    Args:
        files: The originals.
        out: The folder.
        config: The settings.
        progress: Called after each demonstration.

    Raises:
        ConfigError: An original cannot be used, would be overwritten, or a new file is there that
            was made otherwise.
        SimulatorError: A worker died.
    """
    jobs = [_Job(file, out, config) for file in files]
    targets = [job.path.resolve() for job in jobs]
    for job, target in zip(jobs, targets, strict=True):
        if target == job.source.resolve() or targets.count(target) > 1:
            raise ConfigError(
                f"'{job.path}' would be written from '{job.source}' over an original, or twice. "
                "Fix: give another --out, or files of different tasks."
            )
    unfinished = [job for job in jobs if not job.finished()]
    results = {job.source: Regenerated(source=job.source, path=job.path) for job in jobs}
    if unfinished:
        with sole_writer(out / ".parts", out):
            for job in _run(unfinished, config.workers, progress):
                results[job.source] = job.close()
    return [results[job.source] for job in jobs]


class _Job:
    """One file's work."""

    def __init__(self, source: Path, out: Path, config: RegenerationConfig) -> None:
        self.source, self.config = source, config
        with open_demos(source) as file:
            self.task: Task = demo_task(file)
            self.names = file.demos()
            self.protocol = demo_protocol(file, resolution=config.resolution)
            self._provenance = file.provenance()
            self._sha256 = sha256(source) if isinstance(file, DemoFile) else file.digest()
        self.path = out / self.task.demo_file
        recipe = json.dumps(self.recipe(), sort_keys=True)
        short = hashlib.sha256(recipe.encode()).hexdigest()[:8]
        self.parts = out / ".parts" / f"{self.task.suite}_{self.task.index:02d}_{short}"
        self.remade: dict[str, Remade] = {}

    def recipe(self) -> dict[str, Any]:
        """Return the settings that determine the new file."""
        return self.config.recipe() | {"source_sha256": self._sha256}

    def finished(self) -> bool:
        """Whether the new file is there; one that was made otherwise is refused."""
        if not self.path.exists():
            return False
        with open_demo_file(self.path) as file:
            recipe = file.provenance().get("regenerated")
        differing = differing_settings(recipe if isinstance(recipe, dict) else {}, self.recipe())
        if differing:
            raise ConfigError(
                f"'{self.path}' was made otherwise ({differing}). "
                "Fix: give another --out, or remove the file."
            )
        return True

    def close(self) -> Regenerated:
        """Join the demonstrations in one file and forget the parts."""
        demos = tuple(self.remade[name] for name in self.names)
        kept = [demo for demo in demos if demo.kept]
        if not kept:
            reason = demos[0].reason
            return Regenerated(
                source=self.source,
                path=self.path,
                demos=demos,
                problem=f"none of {len(demos)} demonstrations succeeds any more; first: {reason}",
            )
        provenance = self._provenance | {
            "resolution": self.config.resolution,
            "expert": self._provenance.get("expert", "of unknown origin"),
            "protocol": self._provenance.get("protocol", "openvla"),
            "instructions": self.protocol.instructions,
            "regenerated": self.recipe()
            | {
                "source": self.source.name,
                "kept": [demo.demo for demo in kept],
                "rejected": {demo.demo: demo.reason for demo in demos if not demo.kept},
                "noops_dropped": sum(demo.dropped for demo in kept),
            },
        }
        files = [self.parts / f"{demo.demo}.hdf5" for demo in kept]
        merge_demos(self.path, files, self.task, self.protocol, provenance)
        shutil.rmtree(self.parts)
        return Regenerated(source=self.source, path=self.path, demos=demos)


def _run(jobs: Sequence[_Job], workers: int, progress: RemadeCallback | None) -> Iterator[_Job]:
    """Work through the files in order; yield each when it is done."""
    for job in jobs:
        job.parts.mkdir(parents=True, exist_ok=True)
    with worker_pool(min(workers, sum(len(job.names) for job in jobs))) as pool:
        pending: dict[Future[Remade], _Job] = {}
        for job in jobs:
            for name in job.names:
                future = pool.submit(remake_demo, job.source, name, job.parts, job.config)
                pending[future] = job
        for future in as_completed(pending):
            job, remade = pending[future], future.result()
            job.remade[remade.demo] = remade
            if progress is not None:
                progress(job.source, remade)
            if len(job.remade) == len(job.names):
                yield job


def remake_demo(source: Path, name: str, parts: Path, config: RegenerationConfig) -> Remade:
    """Make one demonstration anew in this process, unless it is there already."""
    note = parts / f"{name}.json"
    if note.exists():
        return Remade(**json.loads(note.read_text(encoding="utf-8")))
    try:
        remade = _remake(source, name, parts / f"{name}.hdf5", config)
    except HarnessError as error:
        remade = Remade(demo=name, kept=False, reason=str(error))
    write_json(note, asdict(remade), indent=None)
    return remade


def _remake(source: Path, name: str, part: Path, config: RegenerationConfig) -> Remade:
    from harness.demonstrations.playback import Motion, cached_simulator, execute, record

    with open_demos(source) as file:
        actions = np.clip(file.numbers(f"data/{name}/actions", (7,)), -1.0, 1.0)
        keep = ~_noops(file, name, actions, config)
        intended = None
        if file.has(f"data/{name}/{INTENDED}"):
            intended = file.numbers(f"data/{name}/{INTENDED}", (7,), steps=len(actions))
        start, task = read_start(file, name), demo_task(file)
        protocol = demo_protocol(file, resolution=config.resolution)
    if isinstance(start, StoredStart):
        start = replace(start, settle_steps=max(start.settle_steps, config.settle_steps))
    dropped = int((~keep).sum())
    if keep.sum() < 2:
        return Remade(demo=name, kept=False, dropped=dropped, reason="all its actions do nothing")
    simulator = cached_simulator(task, protocol)
    execution = execute(simulator, start, actions[keep])
    if not execution.success:
        return Remade(
            demo=name,
            kept=False,
            dropped=dropped,
            reason="the goal does not hold at its end"
            if execution.reached is None
            else f"the goal held after step {execution.reached}, and no more at the end",
        )
    motion = Motion(
        start=start,
        actions=actions[keep],
        intended=None if intended is None else intended[keep],
        states=execution.states,
    )
    record(simulator, part, motion, {"source_demo": name})
    return Remade(demo=name, kept=True, steps=int(keep.sum()), dropped=dropped)


def _noops(
    file: DemoSource, name: str, actions: FloatArray, config: RegenerationConfig
) -> npt.NDArray[np.bool_]:
    if config.noops == "keep":
        return np.zeros(len(actions), dtype=np.bool_)
    if config.noops == "openvla":
        return np.asarray(noops(actions))
    if file.has(f"data/{name}/robot_states"):
        fingers = file.robot_states(name, steps=len(actions))[:, :2]
    else:  # a raw recording has states alone: time, the arm's seven joints, the fingers
        fingers = file.numbers(f"data/{name}/states", (None,), steps=len(actions))[:, 8:10]
    return np.asarray(pauses(actions, fingers))
