"""Attempts at a demonstration: where each starts, its files, its outcome; those of a file as well.

Nothing here needs the simulator, so the process that hands attempts out to workers has none.
"""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from harness.demonstrations.config import CollectionConfig
from tasks.demos.file import open_demo_file
from tasks.errors import ConfigError, differing_settings
from tasks.files import write_json
from tasks.protocols import IndexedStart, SampledStart
from tasks.suites import Task
from training.demos.writer import split_demo

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


_MOST = 100_000
"""Attempts at a task, far more than are ever made."""


def asks_for_more(config: CollectionConfig, made: Mapping[str, Any]) -> bool:
    """Whether a demo file, by its provenance, is the beginning of what is asked for."""
    recipe = config.recipe()
    wanted, there = recipe.pop("demos"), made.get("demos")
    return isinstance(there, int) and there < wanted and not differing_settings(made, recipe)


def take_apart(config: CollectionConfig, path: Path, parts: Path) -> None:
    """Restore the attempts that a demo file was joined from, as far as they are not there.

    Args:
        config: What is asked for.
        path: The demo file, of which ``asks_for_more`` holds.
        parts: The folder of attempts.

    Raises:
        ConfigError: The file does not say what its attempts were.
    """
    with open_demo_file(path) as file:
        made, names = file.provenance(), file.demos()
        kept = {seed - attempt_seed(config, 0): name for seed, name in _seeds(made, names)}
        tried, rejected = made.get("attempts"), made.get("rejected")
        rejected = rejected if isinstance(rejected, dict) else {"?": -1}
        counts = list(rejected.values())
        whole = all(type(number) is int and 0 <= number < _MOST for number in (tried, *counts))
        if not whole or sum(counts) + len(kept) != tried or not all(0 <= i < tried for i in kept):
            raise ConfigError(
                f"'{path}' cannot be added to: its attempts do not add up ({str(tried)[:50]} "
                f"tried, {len(kept)} of {len(names)} kept, not kept: {str(rejected)[:200]}). "
                "Fix: give another --out, or remove the file."
            )
        reasons = list(chain(*(repeat(reason, count) for reason, count in rejected.items())))
        for index in range(tried):
            # Which attempt failed for which reason is not noted, and counts for nothing.
            reason = "" if index in kept else reasons.pop()
            if attempt_note(parts, index).exists():
                continue
            steps = 0
            if index in kept:
                steps = split_demo(file, kept[index], attempt_file(parts, index))
            write_attempt(
                parts, Attempt(index=index, kept=index in kept, steps=steps, reason=reason)
            )


def _seeds(made: Mapping[str, Any], names: list[str]) -> list[tuple[int, str]]:
    """Return the seed of every demonstration; nothing where they are not noted."""
    seeds = made.get("scene_seeds")
    if not isinstance(seeds, list) or len(seeds) != len(names):
        return []
    return list(zip(seeds, names, strict=True)) if all(type(s) is int for s in seeds) else []
