"""Replaying demo files: their actions, open loop, on this simulator; states are compared."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.processes import worker_pool
from tasks.demos.file import DemoFile, open_demo_file
from tasks.demos.folders import demo_task
from tasks.demos.start import read_start
from tasks.errors import ConfigError, HarnessError
from tasks.protocols import Protocol, StoredStart, get_protocol
from tasks.suites import Instructions


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The replay of one demonstration.

    Attributes:
        path: The file.
        demo: The demonstration, ``demo_0``.
        steps: Its length.
        success: Whether the goal held after the last action.
        reached: The step after which it first held, from 1; None where it never did.
        exact: Whether all states repeated themselves bit for bit.
        deviation: Largest difference of a position (metres or radians) from the file's states.
        first: The first step at which anything differed; None if nothing did.
        problem: Why it could not be executed; empty otherwise.
    """

    path: str
    demo: str
    steps: int = 0
    success: bool = False
    reached: int | None = None
    exact: bool = False
    deviation: float = 0.0
    first: int | None = None
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


ReplayCallback = Callable[[Replay], None]


def replay_demos(
    chosen: Sequence[tuple[Path, str]], *, workers: int = 2, progress: ReplayCallback | None = None
) -> list[Replay]:
    """Replay demonstrations in worker processes.

    Args:
        chosen: File and name of each demonstration.
        workers: Processes.
        progress: Called after each.

    Returns:
        The replays in the same order.

    Raises:
        SimulatorError: A worker died.
    """
    replays: dict[int, Replay] = {}
    with worker_pool(min(workers, len(chosen))) as pool:
        pending: dict[Future[Replay], int] = {
            pool.submit(replay_demo, path, name): index for index, (path, name) in enumerate(chosen)
        }
        for future in as_completed(pending):
            replay = replays[pending[future]] = future.result()
            if progress is not None:
                progress(replay)
    return [replays[index] for index in range(len(chosen))]


def replay_demo(path: Path, name: str) -> Replay:
    """Replay one demonstration, such as ``demo_0``, in this process."""
    from harness.demonstrations.playback import cached_simulator, execute

    try:
        with open_demo_file(path) as file:
            actions = file.numbers(f"data/{name}/actions", (7,))
            states = file.numbers(f"data/{name}/states", (None,), steps=len(actions))
            start, task = read_start(file, name), demo_task(file)
            protocol = demo_protocol(file)
        if np.abs(actions).max() > 1:
            raise ConfigError(f"The actions of {name} leave [−1, 1].")
        simulator = cached_simulator(task, protocol, images=False)
        execution = execute(simulator, start, actions.astype(np.float64))
    except HarnessError as error:
        return Replay(path=str(path), demo=name, problem=str(error))
    if execution.states.shape != states.shape:
        sizes = f"{states.shape[1]} numbers, this scene has {execution.states.shape[1]}"
        return Replay(path=str(path), demo=name, problem=f"A state of the file has {sizes}.")
    # If the episode starts before settling, the file's first state is the one before it.
    skipped = 1 if isinstance(start, StoredStart) and start.settle_steps else 0
    differs = (execution.states != states).any(axis=1)
    differs[:skipped] = False
    positions = slice(1, 1 + int(simulator.env.sim.model.nq))
    gaps = np.abs(execution.states - states)[skipped:, positions]
    return Replay(
        path=str(path),
        demo=name,
        steps=len(actions),
        success=execution.success,
        reached=execution.reached,
        exact=not differs.any(),
        deviation=float(gaps.max(initial=0.0)),
        first=int(differs.argmax()) if differs.any() else None,
    )


def demo_protocol(file: DemoFile, *, resolution: int | None = None) -> Protocol:
    """Return the protocol under which a file was made: ours note it; for others it is the default.

    Args:
        file: The open file.
        resolution: Pixels of images to render, if any.

    Raises:
        ConfigError: The noted rules are unknown here.
    """
    provenance = file.provenance()
    instructions: Instructions = "bddl" if provenance.get("instructions") == "bddl" else "name"
    return get_protocol(
        str(provenance.get("protocol", "openvla")), resolution=resolution, instructions=instructions
    )


def choose_demos(files: Sequence[Path], wanted: Sequence[int] | None) -> list[tuple[Path, str]]:
    """Return file and name of demonstrations, by their numbers.

    Args:
        files: Demo files.
        wanted: Numbers such as 0 for ``demo_0``; None for all.

    Raises:
        ConfigError: No file has such demonstrations, or a file cannot be read.
    """
    chosen = []
    for path in files:
        with open_demo_file(path) as file:
            names = file.demos()
        chosen += [
            (path, name)
            for name in names
            if wanted is None or name.removeprefix("demo_") in {str(index) for index in wanted}
        ]
    if not chosen:
        raise ConfigError(
            f"No file holds one of the demos {', '.join(map(str, wanted or ()))}. "
            "Fix: give others with --demos; 'libero-bench demos info' counts them."
        )
    return chosen
