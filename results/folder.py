"""The files of a run folder: finding, reading and replacing them."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

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
    """Return the run folders at or below paths, each once, in the order of paths and names.

    Args:
        paths: Run folders, and folders that hold such folders at any depth, such as a sweep.

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
    """Read ``run.json`` of a run folder.

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

    Older protocols lack ``instructions``: policies were told the BDDL files' sentences. In version
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


class LoadedRun(NamedTuple):
    """A run folder and its content."""

    folder: Path
    info: RunInfo
    records: Sequence[EpisodeRecord]


def load_run(folder: Path | str) -> tuple[RunInfo, list[EpisodeRecord]]:
    """Read a run folder, finished or not; a run being written can be read too.

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

    Raises:
        ResultsError: See ``load_run``.
    """
    return any(record.outcome == "error" for record in load_run(folder)[1])


def read_episodes(path: Path) -> tuple[list[EpisodeRecord], int]:
    """Read the file of a run's episodes, every attempt, without a torn last line.

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
    """Replace ``run.json`` in one step, so that a reader sees the old or the new, never half."""
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
