"""Writing a run safely and resuming it; ``load_run`` reads it back.

One process writes a run, held by a lock. Each episode is one line, on the disk before ``append``
returns, so that a kill loses at most the episodes in flight; a line torn by the kill is dropped.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from results.folder import (
    EPISODE,
    EPISODES_FILE,
    RUN_FILE,
    VIDEOS_FOLDER,
    read_episodes,
    write_info,
)
from results.formatting import short
from results.latency import LatencyHistogram, sum_up
from results.locking import LOCK_FILE, WriterLock
from results.records import EpisodeKey, EpisodeRecord, Resumption, RunInfo, Status
from results.resumption import clear_leftovers, find_resumable, refuse_foreign, resumed_info
from tasks.errors import ResultsError

_LATENCY_EVERY_S = 5.0


class RunStore:
    """A run being written. Make it with ``open`` and use it in a ``with`` block."""

    def __init__(
        self,
        folder: Path,
        info: RunInfo,
        lock: WriterLock,
    ) -> None:
        self.folder = folder
        self._info = info
        self._lock = lock
        self._latency = info.latency
        self._latency_written = time.monotonic()
        path = folder / EPISODES_FILE
        kept, size = read_episodes(path) if path.exists() else ([], 0)
        self._latest = {record.key: record for record in kept}
        self._file = path.open("ab", buffering=0)
        self._file.truncate(size)
        if size and path.read_bytes()[-1:] != b"\n":
            # The kill fell between a whole record and its newline: keep the record.
            self._write(b"\n")

    @classmethod
    def open(
        cls,
        folder: Path | str,
        info: RunInfo,
        *,
        volatile: Collection[str] = (),
        pinned: Collection[str] = (),
    ) -> Self:
        """Start a run in a new folder, or resume the same run in its folder.

        Args:
            folder: The run folder; made if it is missing.
            info: The run. On resuming, its configuration must be that of the folder.
            volatile: Dotted names that may differ on resuming, as they do not change an outcome,
                such as ``config.workers``; a name covers the names below it.
            pinned: Dotted names in the provenance that must be the same on resuming, such as
                ``packages.mujoco``, and those below them. A missing entry is not compared.

        Returns:
            The store, holding the lock of the folder. Close it, or use it in a ``with`` block.

        Raises:
            ResultsError: The folder holds something else or another run, its files are damaged,
                or another process is writing it.
        """
        folder = Path(folder)
        refuse_foreign(folder)  # before anything is put into it
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = WriterLock.take(folder / LOCK_FILE)
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            earlier = find_resumable(folder, info, volatile, pinned)
            if earlier is None:
                clear_leftovers(folder)
            else:
                info = resumed_info(earlier, info)
            write_info(folder, info)
            return cls(folder, info, lock)
        except OSError as error:
            lock.release()
            raise _unwritable(folder, error) from error
        except BaseException:
            lock.release()
            raise

    @staticmethod
    def check(
        folder: Path | str,
        info: RunInfo,
        *,
        volatile: Collection[str] = (),
        pinned: Collection[str] = (),
    ) -> None:
        """Refuse a folder that ``open`` would refuse for its content; nothing is written.

        Raises:
            ResultsError: The folder holds something else or another run, or is damaged.
        """
        find_resumable(Path(folder), info, volatile, pinned)

    @property
    def info(self) -> RunInfo:
        """The run as ``run.json`` has it."""
        return self._info

    @property
    def videos(self) -> Path:
        """The folder for videos; whoever writes one makes it."""
        return self.folder / VIDEOS_FOLDER

    def finished(self, *, keep_errors: bool = False) -> set[EpisodeKey]:
        """Return the keys of the episodes that need not be run again.

        Args:
            keep_errors: Count episodes whose last attempt broke as finished.
        """
        return {record.key for record in self.records(keep_errors=keep_errors)}

    def records(self, *, keep_errors: bool = False) -> list[EpisodeRecord]:
        """Return the records of ``finished``."""
        latest = self._latest.values()
        return [record for record in latest if keep_errors or record.outcome != "error"]

    def next_attempt(self, key: EpisodeKey) -> int:
        """Return the number of the next attempt at an episode, from 1."""
        last = self._latest.get(key)
        return last.attempt + 1 if last else 1

    def append(self, record: EpisodeRecord) -> None:
        """Put a finished attempt on the disk; it is safe once this returns.

        Raises:
            ResultsError: The episode is not of this run, or the disk did not take it; what was
                written before stays whole.
        """
        if record.task not in self._info.tasks.get(record.suite, ()):
            raise ResultsError(
                f"Episode of {record.suite} task {record.task} in run '{self._info.name}', "
                f"which has {short(self._info.tasks)}: name it in RunInfo.tasks."
            )
        self._write(EPISODE.dump_json(record) + b"\n")
        self._latest[record.key] = record
        if time.monotonic() - self._latency_written >= _LATENCY_EVERY_S:
            self._latency_written = time.monotonic()
            if self._latency != self._info.latency:
                self._update(dataclasses.replace(self._info, latency=self._latency))

    def add_latency(self, latency: LatencyHistogram) -> None:
        """Count how long more requests of the policy took.

        It is on the disk a few seconds later, when an episode ends, and at the end of the run.
        """
        self._latency = sum_up((self._latency, latency))

    def note(self, resumed: Iterable[Resumption]) -> None:
        """Record that parts of the run were made at other times or under other conditions.

        Those that are on record already are not added again.
        """
        new = [again for again in resumed if again not in self._info.resumed]
        if new:
            self._info = dataclasses.replace(self._info, resumed=(*self._info.resumed, *new))
            write_info(self.folder, self._info)

    def warn(self, warning: str) -> None:
        """Add a warning to the provenance, under ``warnings``, unless it is there already.

        Raises:
            ResultsError: The disk did not take it.
        """
        known = self._info.provenance.get("warnings", [])
        if warning not in known:
            provenance = {**self._info.provenance, "warnings": [*known, warning]}
            self._update(dataclasses.replace(self._info, provenance=provenance))

    def amend(self, provenance: Mapping[str, Any]) -> None:
        """Add entries to the provenance, or replace them.

        Raises:
            ResultsError: The disk did not take it.
        """
        self._update(
            dataclasses.replace(self._info, provenance={**self._info.provenance, **provenance})
        )

    def finish(self, status: Status = "complete") -> None:
        """Record the status: ``complete`` when every episode was tried, or ``interrupted``.

        Raises:
            ResultsError: The disk did not take it.
        """
        self._update(
            dataclasses.replace(
                self._info,
                status=status,
                updated=datetime.now(UTC).replace(microsecond=0),
                latency=self._latency,
            )
        )

    def close(self) -> None:
        """Let go of the files and the lock; closing twice is harmless."""
        self._file.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._info.status == "running":
                self.finish("interrupted")
        except ResultsError:
            if error is None:
                raise  # otherwise the disk that broke the run is what the user must hear of
        finally:
            self.close()

    def _update(self, info: RunInfo) -> None:
        try:
            write_info(self.folder, info)
        except OSError as error:
            raise _unwritable(self.folder / RUN_FILE, error) from error
        self._info = info

    def _write(self, line: bytes) -> None:
        size = os.fstat(self._file.fileno()).st_size
        try:
            left = memoryview(line)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            # A half-written line would swallow the next one; a reader drops it if it must stay.
            with contextlib.suppress(OSError):
                self._file.truncate(size)
            raise _unwritable(self.folder / EPISODES_FILE, error) from error


def _unwritable(path: Path, error: OSError) -> ResultsError:
    return ResultsError(
        f"'{path}' could not be written ({error.strerror}): make room or make it writable, then "
        "run the same command again; or give another --out."
    )
