"""Whether a folder is free for a new run, and which run in it can be resumed.

A folder is free, too, if it holds only what a start that came to nothing left.
"""

import dataclasses
import json
import shutil
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from results.differences import describe_differences, differences
from results.folder import EPISODES_FILE, RUN_FILE, VIDEOS_FOLDER, read_episodes, read_info
from results.locking import LOCK_FILE
from results.records import Resumption, RunInfo
from tasks.errors import ResultsError
from tasks.files import draft_of

_SETTINGS = {
    RUN_FILE: {"schema_version", "policy", "protocol", "episodes_per_task"},
    "train.json": {"demos", "updates", "batch_size"},
    "recipe.json": {"title", "evaluate", "entries"},
}
"""Files of settings by kind of work, and the keys that each of ours has at least."""

_DRAFTS = (f"{RUN_FILE}.tmp", *(draft_of(Path(name)).name for name in _SETTINGS))
"""Half-written settings; ``run.json.tmp`` is the name that older versions gave."""

_NOTES = ("train.jsonl", ".train.jsonl.writing", "wandb.id")
"""Files that a training writes before its first checkpoint; without one it cannot be resumed."""

_LOGS = ("logs", "tensorboard", "wandb")
_EMPTY = (VIDEOS_FOLDER, "checkpoints", "evaluations")
"""Folders in which nothing but half-written files, with a dot before their names, may lie."""


def is_free(folder: Path) -> bool:
    """Whether a folder does not exist, is empty, or holds only leftovers of a start."""
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    entries = [entry for entry in folder.iterdir() if entry.name != LOCK_FILE]
    ours = any(entry.name in _SETTINGS for entry in entries)
    return all(_is_leftover(entry, ours=ours) for entry in entries)


def clear_leftovers(folder: Path) -> None:
    """Empty a folder that is free, except for the lock."""
    for entry in folder.iterdir():
        if entry.name == LOCK_FILE:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _is_leftover(entry: Path, *, ours: bool) -> bool:
    """Whether an entry was left by a start that finished nothing.

    Args:
        entry: The file or folder.
        ours: Whether a file of settings beside it shows that this project made the folder.
    """
    name = entry.name
    if entry.is_symlink():
        return False
    if entry.is_dir():
        if name in _LOGS:
            return ours
        return ours and name in _EMPTY and all(e.name.startswith(".") for e in entry.iterdir())
    if name in _SETTINGS:
        return _has_keys(entry, _SETTINGS[name])
    if name == EPISODES_FILE:
        return ours and _all_broke(entry)
    return name in _DRAFTS or (ours and name in _NOTES)


def _has_keys(path: Path, names: set[str]) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and names <= content.keys()


def _all_broke(episodes: Path) -> bool:
    try:
        return all(record.outcome == "error" for record in read_episodes(episodes)[0])
    except ResultsError:
        return False


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that is no run and not free.

    Raises:
        ResultsError: It is a file, or holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise ResultsError(f"'{folder}' is a file; give --out a new folder or a run to resume.")
    if (folder / RUN_FILE).exists() or is_free(folder):
        return
    other = sorted(path.name for path in folder.iterdir() if path.name != LOCK_FILE)
    raise ResultsError(
        f"'{folder}' is no run but holds '{other[0]}'"
        f"{f' and {len(other) - 1} more' if len(other) > 1 else ''}: give --out a new folder."
    )


def find_resumable(
    folder: Path, new: RunInfo, volatile: Collection[str], pinned: Collection[str]
) -> RunInfo | None:
    """Return the run to resume; None if the folder is free for a new one.

    Args:
        folder: The run folder.
        new: The run that is asked for.
        volatile: See ``RunStore.open``.
        pinned: See ``RunStore.open``.

    Raises:
        ResultsError: The folder holds something else, or resuming would mix two configurations.
    """
    refuse_foreign(folder)
    if not (folder / RUN_FILE).exists():
        return None
    old = read_info(folder)
    differing = differences(old, new, volatile, pinned)
    if not differing:
        return old
    if is_free(folder):
        return None
    raise ResultsError(
        f"'{folder}' holds a run with another configuration ({describe_differences(differing)}): "
        "give another --out, or remove the folder."
    )


def resumed_info(old: RunInfo, new: RunInfo) -> RunInfo:
    """Describe a resumed run: as it is asked for now, with the provenance of its beginning.

    A new description has latencies only where it sums up others, those of the old one included.
    """
    changed = {
        name: value for name, value in new.provenance.items() if old.provenance.get(name) != value
    }
    again = Resumption(at=datetime.now(UTC).replace(microsecond=0), changed=changed)
    return dataclasses.replace(
        new,
        status="running",
        created=old.created,
        updated=again.at,
        provenance=old.provenance,
        latency=new.latency or old.latency,
        resumed=(*old.resumed, again),
    )
