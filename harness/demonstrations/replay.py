"""Replaying demo files: their actions, open loop, on this simulator; states are compared."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.processes import worker_pool
from tasks.demos.file import open_demos
from tasks.demos.folders import demo_task
from tasks.demos.source import DemoSource
from tasks.demos.start import notes_start, read_start
from tasks.errors import ConfigError, HarnessError
from tasks.observation import FloatArray
from tasks.protocols import IndexedStart, Protocol, Start, StoredStart, get_protocol
from tasks.suites import Instructions

if TYPE_CHECKING:
    from harness.demonstrations.playback import Execution


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
        note: What there is to know about its start or what was compared; empty for HDF5 files.
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
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data; without a note that is empty."""
        plain = asdict(self)
        if not self.note:
            del plain["note"]
        return plain


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
        with open_demos(path) as file:
            actions = file.numbers(f"data/{name}/actions", (7,))
            seen = _recorded(file, name, len(actions))
            start, task = read_start(file, name), demo_task(file)
            protocol, own = demo_protocol(file), notes_start(file, name)
        if np.abs(actions).max() > 1:
            raise ConfigError(f"The actions of {name} leave [−1, 1].")
        simulator = cached_simulator(task, protocol, images=False)
        execution = execute(simulator, start, actions.astype(np.float64))
    except HarnessError as error:
        return Replay(path=str(path), demo=name, problem=str(error))
    note = "" if own else _elsewhere(start)
    if seen is None or not file.keeps_states:
        return _compared_by_joints(path, name, execution, seen, note)
    states = seen
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


def _recorded(file: DemoSource, name: str, steps: int) -> FloatArray | None:
    """Return the states of a demonstration, the joints where it keeps none, None without both."""
    place, size = f"data/{name}/states", None
    if not file.keeps_states:
        place, size = f"data/{name}/obs/joint_states", 7
        if not file.has(place):
            return None
    found: FloatArray = file.numbers(place, (size,), steps=steps)
    return found


def _elsewhere(start: Start) -> str:
    where = f" {start.init_state}" if isinstance(start, IndexedStart) else ""
    return f"nothing notes its start, so from the evaluation's initial state{where}"


def _compared_by_joints(
    path: Path, name: str, execution: "Execution", joints: FloatArray | None, note: str
) -> Replay:
    """Return a replay whose demonstration keeps no states; joints are those 2 ms after a state."""
    gaps = np.zeros(1)
    if joints is not None:
        gaps = np.abs(execution.states[:, 1:8] - joints).max(axis=1)
    return Replay(
        path=str(path),
        demo=name,
        steps=len(execution.states),
        success=execution.success,
        reached=execution.reached,
        deviation=float(gaps.max()),
        note=note or ("joints compared, as it keeps no states" if joints is not None else ""),
    )


def demo_protocol(file: DemoSource, *, resolution: int | None = None) -> Protocol:
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
        with open_demos(path) as file:
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
