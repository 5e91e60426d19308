"""Attempts at a demonstration: where each starts, which files it leaves, what came of it.

Nothing here needs the simulator, so the process that hands attempts out to workers has none.
"""

from dataclasses import asdict
from pathlib import Path

from pydantic.dataclasses import dataclass

from harness.demonstrations.config import CollectionConfig
from tasks.files import write_json
from tasks.starts import IndexedStart, SampledStart
from tasks.suites import Task

_START_SEED = 100_000

Seconds = tuple[float, float]
"""Wall time and CPU time of the process, with its threads."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try of the expert.

    Attributes:
        index: Number of the attempt.
        kept: Whether it became a demonstration.
        steps: Its length.
        reason: Why it was not kept.
        build: Seconds, wall and CPU, until the simulator was there; next to none but the first
            time in a worker.
        plan: Seconds of acting without cameras.
        render: Seconds of executing it again with cameras, and of writing.
    """

    index: int
    kept: bool
    steps: int = 0
    reason: str = ""
    build: Seconds = (0.0, 0.0)
    plan: Seconds = (0.0, 0.0)
    render: Seconds = (0.0, 0.0)


def demo_start(config: CollectionConfig, task: Task, attempt: int) -> SampledStart | IndexedStart:
    """Return where an attempt begins."""
    seed = attempt_seed(config, attempt)
    if config.start_states == "sampled":
        return SampledStart(seed=seed)
    return IndexedStart(init_state=attempt % len(task.init_states()), seed=seed)


def attempt_seed(config: CollectionConfig, attempt: int) -> int:
    """Seeds of demonstrations start far from those of evaluations."""
    return _START_SEED * (1 + config.seed) + attempt


def attempt_file(parts: Path, index: int) -> Path:
    """Return the file of an attempt that became a demonstration."""
    return parts / f"attempt_{index:05d}.hdf5"


def attempt_note(parts: Path, index: int) -> Path:
    """Return the file that says that an attempt is finished, and how."""
    return parts / f"attempt_{index:05d}.json"


def write_attempt(parts: Path, attempt: Attempt) -> None:
    """Note that an attempt is finished; its file, if it was kept, must be there."""
    write_json(attempt_note(parts, attempt.index), asdict(attempt), indent=None)
