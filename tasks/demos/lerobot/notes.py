"""``meta/libero-bench.json``: what this project notes beside the data set's own files.

LeRobot ignores it. Who knows a convention that no number shows may state it there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from tasks.demos.conventions import View
from tasks.demos.lerobot.evidence import Grip, Rotation
from tasks.demos.lerobot.info import read_json, refusal
from tasks.demos.schema import Convention

NOTES = Path("meta/libero-bench.json")

STATED: Mapping[str, tuple[Any, ...]] = {
    "pictures": get_args(View),
    "gripper": get_args(Grip),
    "rotation": get_args(Rotation),
    "observations": get_args(Convention),
}
"""Conventions that may be stated, with what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What is noted.

    Attributes:
        conventions: By the names of ``STATED``.
        tasks: By ``task_index``: attributes of LIBERO's HDF5 files, and the provenance.
        episodes: By ``episode_index``: attributes of a demonstration.
    """

    conventions: dict[str, str] = field(default_factory=dict)
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    episodes: dict[int, dict[str, Any]] = field(default_factory=dict)


def read_notes(root: Path) -> Notes:
    """Read the notes of a data set; empty where there are none.

    Raises:
        ConfigError: They are damaged, or state what is no convention.
    """
    path = root / NOTES
    if not path.exists():
        return Notes()
    written = read_json(root, path)
    try:
        conventions = {str(key): str(value) for key, value in written["conventions"].items()}
        tasks = {int(key): dict(value) for key, value in written.get("tasks", {}).items()}
        episodes = {int(key): dict(value) for key, value in written.get("episodes", {}).items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise refusal(root, f"{NOTES} has no conventions, tasks and episodes as objects") from error
    for name, value in conventions.items():
        if name not in STATED or value not in STATED[name]:
            allowed = STATED.get(name, tuple(STATED))
            raise refusal(
                root,
                f"{NOTES} states {name[:40]!r}: {value[:40]!r}",
                f"Allowed: {', '.join(allowed)}. Fix: correct it.",
            )
    return Notes(conventions=conventions, tasks=tasks, episodes=episodes)
