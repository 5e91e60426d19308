"""Attempts at a demonstration: their starts, files and outcomes, and those that made a demo file.

Nothing here imports the simulator, so neither does the process that hands attempts to workers.
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

_MOST_ATTEMPTS = 100_000
"""Attempts at a task, far more than are ever made."""

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
        build: Seconds, wall and CPU, of building the simulator; a worker keeps it for the next.
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
    """Return the start of an attempt."""
    seed = attempt_seed(config, attempt)
    if config.start_states == "sampled":
        return SampledStart(seed=seed)
    return IndexedStart(init_state=attempt % len(task.init_states()), seed=seed)


def attempt_seed(config: CollectionConfig, attempt: int) -> int:
    """Return the seed of an attempt, far from those of evaluations."""
    return _START_SEED * (1 + config.seed) + attempt


def attempt_file(parts: Path, index: int) -> Path:
    """Return the file of an attempt that became a demonstration."""
    return parts / f"attempt_{index:05d}.hdf5"


def attempt_note(parts: Path, index: int) -> Path:
    """Return the file that is there once an attempt is finished; it holds an ``Attempt``."""
    return parts / f"attempt_{index:05d}.json"


def write_attempt(parts: Path, attempt: Attempt) -> None:
    """Write the note of a finished attempt; the file of a kept one must be there."""
    write_json(attempt_note(parts, attempt.index), asdict(attempt), indent=None)


def can_be_extended(provenance: Mapping[str, Any], config: CollectionConfig) -> bool:
    """Whether a demo file, by its provenance, has the first of the demonstrations asked for."""
    recipe = config.conditions()
    wanted, present = recipe.pop("demos"), provenance.get("demos")
    if not isinstance(present, int) or present >= wanted:
        return False
    return not differing_settings(provenance, recipe)


def restore_attempts(config: CollectionConfig, path: Path, parts: Path) -> None:
    """Split a demo file into the attempts that it was joined from, except those that are there.

    Args:
        config: The collection.
        path: The demo file, which can be extended.
        parts: The folder of attempts.

    Raises:
        ConfigError: The file does not say what its attempts were.
    """
    with open_demo_file(path) as file:
        provenance, names = file.provenance(), file.demos()
        kept = {seed - attempt_seed(config, 0): name for seed, name in _seeds(provenance, names)}
        tried, rejected = provenance.get("attempts"), provenance.get("rejected")
        rejected = rejected if isinstance(rejected, dict) else {"?": -1}
        counts = list(rejected.values())
        whole = all(
            type(number) is int and 0 <= number < _MOST_ATTEMPTS for number in (tried, *counts)
        )
        if not whole or sum(counts) + len(kept) != tried or not all(0 <= i < tried for i in kept):
            raise ConfigError(
                f"'{path}' cannot be added to: its attempts do not add up ({str(tried)[:50]} "
                f"tried, {len(kept)} of {len(names)} kept, not kept: {str(rejected)[:200]}). "
                "Fix: give another --out, or remove the file."
            )
        reasons = list(chain(*(repeat(reason, count) for reason, count in rejected.items())))
        for index in range(tried):
            # The file notes how many failed for each reason, not which; that is enough.
            reason = "" if index in kept else reasons.pop()
            if attempt_note(parts, index).exists():
                continue
            steps = 0
            if index in kept:
                steps = split_demo(file, kept[index], attempt_file(parts, index))
            write_attempt(
                parts, Attempt(index=index, kept=index in kept, steps=steps, reason=reason)
            )


def _seeds(provenance: Mapping[str, Any], names: list[str]) -> list[tuple[int, str]]:
    """Return the seed and the name of every demonstration; nothing where no seeds are noted."""
    seeds = provenance.get("scene_seeds")
    if not isinstance(seeds, list) or len(seeds) != len(names):
        return []
    return list(zip(seeds, names, strict=True)) if all(type(s) is int for s in seeds) else []
