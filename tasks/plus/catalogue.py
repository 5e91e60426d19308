"""LIBERO-Plus's suites: their tasks in upstream's order, each with its perturbation and its files.

A suite such as ``libero_goal_plus`` has all tasks that perturb ``libero_goal``; a view such as
``libero_goal_plus_camera`` those of one dimension.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tasks.errors import PrerequisiteError
from tasks.libero_package import libero_assets
from tasks.observation import FloatArray
from tasks.perturbation import DIMENSIONS, Dimension, Perturbation
from tasks.plus.names import PlusName, parse_name
from tasks.plus.scenes import SceneNeeds, SceneReader, state_size
from tasks.plus.source import FETCH, PlusSource, plus_source
from tasks.plus.states import read_states

PLUS_BASES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
PLUS_SUITES: dict[str, str] = {f"{base}_plus": base for base in PLUS_BASES}
"""The suites with the suite that each perturbs."""

PLUS_VIEWS: dict[str, tuple[str, Dimension]] = {
    f"{suite}_{dimension}": (suite, dimension) for suite in PLUS_SUITES for dimension in DIMENSIONS
}
"""The views with their suite and their dimension."""


@dataclass(frozen=True, kw_only=True)
class PlusTask:
    """One task of LIBERO-Plus.

    Attributes:
        name: What its name says.
        base_suite: The suite that it perturbs.
        bddl_file: Its BDDL file, absolute.
        states_file: Its file of initial states.
    """

    name: PlusName
    base_suite: str
    bddl_file: Path
    states_file: Path

    def perturbation(self, needs: SceneNeeds) -> Perturbation:
        """Return what it changes; every task of LIBERO-Plus rounds the camera's pose."""
        return Perturbation(
            camera=self.name.camera,
            robot=self.name.robot,
            noise=self.name.noise,
            files=self.name.files,
            scene=needs.files,
            category=self.name.dimension,
        )


def plus_base(suite: str) -> str | None:
    """Return the suite that one of LIBERO-Plus perturbs; None for any other suite."""
    return PLUS_SUITES.get(PLUS_VIEWS[suite][0] if suite in PLUS_VIEWS else suite)


@cache
def _tasks(base_suite: str, source: PlusSource) -> tuple[PlusTask, ...]:
    bddl_files, states = source.root / "bddl_files", source.root / "init_files"
    tasks = []
    for text in source.task_names.get(base_suite, ()):
        name = parse_name(text)
        folder = states / "libero_newobj" if name.dimension == "layout" else states
        tasks.append(
            PlusTask(
                name=name,
                base_suite=base_suite,
                bddl_file=bddl_files / base_suite / f"{name.bddl_name}.bddl",
                states_file=folder / base_suite / f"{name.states_name}.pruned_init",
            )
        )
    if not tasks:
        raise source.broken(source.root / "benchmark", f"it lists no tasks of {base_suite}")
    return tuple(tasks)


def plus_tasks(suite: str) -> tuple[PlusTask, ...]:
    """Return the tasks of a suite or a view, in upstream's order.

    Raises:
        PrerequisiteError: LIBERO-Plus is not on this machine, or damaged.
    """
    whole, dimension = PLUS_VIEWS.get(suite, (suite, None))
    tasks = _tasks(PLUS_SUITES[whole], plus_source())
    return tuple(t for t in tasks if dimension is None or t.name.dimension == dimension)


@cache
def _reader(source: PlusSource, assets: Path) -> SceneReader:
    return SceneReader(source, assets)


def scene_needs(task: PlusTask) -> SceneNeeds:
    """Return how a task changes LIBERO's scene and which assets are missing for it.

    Args:
        task: The task.

    Raises:
        PrerequisiteError: Its files are missing or damaged.
    """
    if task.name.dimension not in ("light", "background", "layout"):
        return SceneNeeds(files=None)
    source = plus_source()
    return _needs(source, libero_assets(), task)


@cache
def _needs(source: PlusSource, assets: Path, task: PlusTask) -> SceneNeeds:
    return _reader(source, assets).needs(source.read(task.bddl_file))


def plus_states(task: PlusTask) -> FloatArray:
    """Return a task's initial states, (n, D).

    Raises:
        PrerequisiteError: The file is missing or damaged, or its states are of another scene.
    """
    source = plus_source()
    states = _states(source, task.states_file)
    if task.name.dimension == "layout":
        base = source.root / "bddl_files" / task.base_suite / f"{task.name.base}.bddl"
        usual = source.root / "init_files" / task.base_suite / f"{task.name.base}.pruned_init"
        size = state_size(
            _states(source, usual).shape[1], source.read(base), source.read(task.bddl_file)
        )
        if states.shape[1] != size:
            raise source.broken(
                task.states_file,
                f"its states have {states.shape[1]} numbers, and the task's scene has {size}",
            )
    return states


@cache
def _states(source: PlusSource, path: Path) -> FloatArray:
    return read_states(source, path)


def first_of_each(tasks: Sequence[PlusTask], count: int) -> list[int]:
    """Return the positions of a fixed subset: some tasks of every base and dimension.

    Args:
        tasks: The tasks.
        count: Tasks of each base and dimension, those with the lowest SHA-256 of their names.
    """
    groups: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for position, task in enumerate(tasks):
        digest = hashlib.sha256(task.name.name.encode()).hexdigest()
        groups.setdefault((task.name.base, task.name.dimension), []).append((digest, position))
    return sorted(at for group in groups.values() for _, at in sorted(group)[:count])


def refuse_missing(tasks: Iterable[PlusTask]) -> None:
    """Refuse tasks whose assets are missing, and files of the wheel that were changed.

    Raises:
        PrerequisiteError: Some are, with their number by dimension and the command that gets them.
    """
    chosen = list(tasks)
    lacking = [task for task in chosen if scene_needs(task).missing]
    if lacking:
        counts = Counter(task.name.dimension for task in lacking)
        by_dimension = ", ".join(f"{counts[d]:,} {d}" for d in DIMENSIONS if d in counts)
        example = scene_needs(lacking[0]).missing[0]
        raise PrerequisiteError(
            f"{len(lacking):,} of {len(chosen):,} tasks ({by_dimension}) need LIBERO-Plus's pack "
            f"of assets, such as {example}. Fix: {FETCH} (6.4 GB), then --plus-assets FOLDER; or "
            "leave these tasks out with --offline-only."
        )
    source = plus_source()
    source.check_hashes(path for task in chosen for path in (task.bddl_file, task.states_file))


def forget() -> None:
    """Forget what was read of LIBERO-Plus, after another one was installed or named."""
    for function in (_tasks, _reader, _needs, _states):
        function.cache_clear()


def with_stream(perturbation: Perturbation, stream: str) -> Perturbation:
    """Return a perturbation whose noise, if it has any, is drawn from another stream."""
    if perturbation.noise is None:
        return perturbation
    noise = dataclasses.replace(perturbation.noise, stream=stream)  # type: ignore[arg-type]
    return dataclasses.replace(perturbation, noise=noise)
