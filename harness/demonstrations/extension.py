"""More demonstrations of a task that was collected before: what is there is not made again.

A demo file says which attempts it came from, so it can be taken apart into what it was joined from,
and collecting goes on as if it had been stopped there. The file stays until it is replaced whole.
"""

from collections.abc import Mapping
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from harness.demonstrations.attempts import (
    Attempt,
    attempt_file,
    attempt_note,
    attempt_seed,
    write_attempt,
)
from harness.demonstrations.config import CollectionConfig
from tasks.errors import ConfigError, differing_settings

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
    from tasks.demos.file import open_demo_file
    from training.demos.writer import split_demo

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
