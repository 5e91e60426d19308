"""The files of a run folder: finding, reading and replacing them, and what failed starts leave."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from results.locking import LOCK_FILE
from results.records import SCHEMA_VERSION, EpisodeRecord, RunInfo
from tasks.errors import ResultsError
from tasks.files import atomic_file, draft_of

RUN_FILE = "run.json"
EPISODES_FILE = "episodes.jsonl"
VIDEOS_FOLDER = "videos"

RUN = TypeAdapter(RunInfo)
"""Reads and writes a ``RunInfo`` as JSON."""

EPISODE = TypeAdapter(EpisodeRecord)
"""Reads and writes an ``EpisodeRecord`` as JSON."""


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """Return the run folders that paths stand for: themselves, or all those below them.

    Args:
        paths: Run folders, and folders that hold such folders at any depth, such as a sweep.

    Returns:
        The folders, each once, those below a path in the order of their names.

    Raises:
        ResultsError: There is no run at or below a path.
    """
    folders: dict[Path, Path] = {}
    for path in paths:
        runs = [path] if (path / RUN_FILE).is_file() else sorted(_below(path))
        if not runs:
            what = "holds no run" if path.is_dir() else "is no folder"
            raise ResultsError(
                f"'{path}' {what}: give the folder of a run, which has a {RUN_FILE}, or a folder "
                "above such folders."
            )
        for run in runs:
            folders.setdefault(run.resolve(), run)
    return list(folders.values())


def _below(path: Path) -> Iterator[Path]:
    for directory, folders, files in os.walk(path):
        if RUN_FILE in files:
            folders.clear()  # a run holds no runs
            yield Path(directory)


def read_info(folder: Path | str) -> RunInfo:
    """Read ``run.json`` of a run.

    Args:
        folder: The run folder.

    Returns:
        What it says.

    Raises:
        ResultsError: There is no such folder, it is no run, its ``run.json`` is damaged, or it
            was written by a newer version.
    """
    folder = Path(folder)
    path = folder / RUN_FILE
    if not folder.is_dir():
        raise ResultsError(f"There is no run folder '{folder}': give a folder with a {RUN_FILE}.")
    if not path.is_file():
        raise ResultsError(f"'{folder}' is no run: it has no {RUN_FILE}. Give a run's own folder.")
    try:
        raw = json.loads(path.read_bytes())
        version = raw["schema_version"]
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise ResultsError(
                f"'{path}' has schema {version}, this version reads up to {SCHEMA_VERSION}: "
                "update libero-bench."
            )
        return RUN.validate_python(_completed(raw))
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(
            f"'{path}' is damaged ({_reason(error)}): restore it, or remove the folder and run "
            "again."
        ) from error


def _completed(raw: Any) -> Any:
    """Describe an older run as it would be described today.

    It does not list a rule of its protocol: its policy was told the BDDL files' words. In version
    1 ``config`` repeats the policy.
    """
    rules = raw["protocol"]
    if isinstance(rules, dict) and "max_steps" in rules:
        rules.setdefault("instructions", "bddl")
    if raw["schema_version"] == 1:
        if isinstance(config := raw.get("config"), dict):
            config.pop("policy", None)
        raw["schema_version"] = SCHEMA_VERSION
    return raw


def load_run(folder: Path | str) -> tuple[RunInfo, list[EpisodeRecord]]:
    """Read a run, finished or not; a run being written can be read too.

    Args:
        folder: The run folder.

    Returns:
        The run, and the last attempt of each episode in the order in which they were first tried.

    Raises:
        ResultsError: The folder is missing, no run, damaged, or of a newer version.
    """
    info = read_info(folder)
    path = Path(folder) / EPISODES_FILE
    records = read_episodes(path)[0] if path.exists() else []
    return info, list({record.key: record for record in records}.values())


def any_broke(folder: Path | str) -> bool:
    """Whether the last attempt at any episode of a run broke.

    Args:
        folder: The run folder.

    Raises:
        ResultsError: See ``load_run``.
    """
    return any(record.outcome == "error" for record in load_run(folder)[1])


def read_episodes(path: Path) -> tuple[list[EpisodeRecord], int]:
    """Read the episodes of a run, every attempt, without a torn last line.

    Args:
        path: The file of episodes.

    Returns:
        The records in the order of writing, and the number of bytes that hold them.

    Raises:
        ResultsError: A line other than a torn last one is damaged.
    """
    records: list[EpisodeRecord] = []
    size = 0
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        try:
            records.append(EPISODE.validate_json(line))
        except ValidationError as error:
            if not line.endswith(b"\n"):
                break
            raise ResultsError(
                f"'{path}' line {number} is damaged ({_reason(error)}): remove that line and run "
                "the same command again."
            ) from error
        size += len(line)
    return records, size


def write_info(folder: Path, info: RunInfo) -> None:
    """Replace ``run.json`` in one step, so that a reader sees the old or the new, never half.

    Args:
        folder: The run folder.
        info: What to write.
    """
    with atomic_file(folder / RUN_FILE) as draft:
        draft.write_bytes(RUN.dump_json(info, indent=2) + b"\n")


def link_file(source: Path, target: Path) -> None:
    """Link a file under another name, in one step, or copy it where links are not possible.

    A target of the same size and time is the same file, or a copy of it, and stays.
    """
    if target.exists():
        one, other = source.stat(), target.stat()
        if (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(target)
    draft.unlink(missing_ok=True)
    try:
        os.link(source, draft)
    except OSError:
        shutil.copy2(source, draft)
    draft.replace(target)


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        location = ".".join(str(part) for part in first["loc"])
        return f"{location}: {first['msg']}" if location else str(first["msg"])
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}"
    return str(error).splitlines()[0]


_SETTINGS = {
    RUN_FILE: {"schema_version", "policy", "protocol", "episodes_per_task"},
    "train.json": {"demos", "updates", "batch_size"},
    "recipe.json": {"title", "evaluate", "entries"},
}
"""Files of settings by kind of work, and what one of ours says at least."""

_DRAFTS = (f"{RUN_FILE}.tmp", *(draft_of(Path(name)).name for name in _SETTINGS))
"""Half-written settings; ``run.json.tmp`` is the name that older versions gave."""

_NOTES = ("train.jsonl", ".train.jsonl.writing", "wandb.id")
"""What a training notes before its first checkpoint; without one nothing goes on from it."""
_LOGS = ("logs", "tensorboard", "wandb")
_EMPTY = (VIDEOS_FOLDER, "checkpoints", "evaluations")
"""Folders in which nothing but half-written files, with a dot before their names, may lie."""


def is_free(folder: Path) -> bool:
    """Whether a folder holds nothing, or nothing but what a start that came to nothing left.

    Args:
        folder: The folder; one that does not exist is free.
    """
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    entries = [entry for entry in folder.iterdir() if entry.name != LOCK_FILE]
    ours = any(entry.name in _SETTINGS for entry in entries)
    return all(_is_leftover(entry, ours=ours) for entry in entries)


def clear_leftovers(folder: Path) -> None:
    """Remove what lies in a folder of which ``is_free`` holds, except the lock."""
    for entry in folder.iterdir():
        if entry.name == LOCK_FILE:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _is_leftover(entry: Path, *, ours: bool) -> bool:
    """Whether an entry tells of a start and of nothing finished.

    Args:
        entry: The file or folder.
        ours: Whether a file of settings beside it says that this project made the folder.
    """
    name = entry.name
    if entry.is_symlink():
        return False
    if entry.is_dir():
        if name in _LOGS:
            return ours
        return ours and name in _EMPTY and all(e.name.startswith(".") for e in entry.iterdir())
    if name in _SETTINGS:
        return _says(entry, _SETTINGS[name])
    if name == EPISODES_FILE:
        return ours and _nothing_counts(entry)
    return name in _DRAFTS or (ours and name in _NOTES)


def _says(path: Path, names: set[str]) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and names <= content.keys()


def _nothing_counts(episodes: Path) -> bool:
    try:
        return all(record.outcome == "error" for record in read_episodes(episodes)[0])
    except ResultsError:
        return False
