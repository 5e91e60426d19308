"""Merging the run folders of shards into one run.

Shards stay as they are: videos are linked, or copied where that is not possible. A new folder
appears whole, by renaming; an existing one is only extended. Merging again adds the episodes that
have been finished since.
"""

import contextlib
import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from results.differences import describe_differences, differences
from results.folder import RUN_FILE, LoadedRun, link_file, load_run
from results.latency import LatencyHistogram, sum_up
from results.records import EpisodeKey, EpisodeRecord, Resumption, RunInfo
from results.store import RunStore
from tasks.errors import ResultsError

PARTS_OWN = ("config.shard", "config.out")
"""Settings of each part alone: its share of the whole, such as ``2/4``, and its folder."""

DRAFTS = ".merging"
"""Folder beside the merged run in which it grows until it is whole."""

_DECIDED = ("outcome", "steps", "first_success_step", "plans", "scene_hash")
"""Fields in which two records of an episode must agree: the same key always gives the same."""


@dataclass(frozen=True, kw_only=True)
class Merged:
    """A merged run and what it lacks."""

    folder: Path
    """The merged run."""

    episodes: int
    """Episodes it holds, errors included."""

    expected: int
    """Episodes of the whole run."""

    errors: int
    """Episodes whose last attempt broke."""

    absent_shards: tuple[str, ...]
    """Shards that were not given, if the given ones say how many there are."""

    lost_videos: int
    """Videos that records name and that are not in their folders."""

    @property
    def complete(self) -> bool:
        """Whether every episode was tried."""
        return self.episodes >= self.expected


def merge_runs(
    folders: Sequence[Path | str],
    out: Path | str,
    *,
    volatile: Collection[str] = (),
    pinned: Collection[str] = (),
) -> Merged:
    """Join runs of the same configuration, such as the shards of one run.

    Of an episode with several records, one that did not break is kept. A run in ``out`` is
    extended.

    Args:
        folders: The run folders, finished or not.
        out: Folder of the merged run.
        volatile: Dotted names of settings that may differ, as in ``RunStore.open``.
        pinned: Entries of the provenance that must not, as in ``differences``.

    Raises:
        ResultsError: A run cannot be read or is given twice, the runs are of different
            configurations, two records of an episode contradict each other, or ``out`` holds
            something else.
    """
    out = Path(out)
    paths = [Path(folder) for folder in folders]
    if not paths or len({path.resolve() for path in [*paths, out]}) <= len(paths):
        raise ResultsError(
            f"Runs {', '.join(map(str, paths)) or 'none'} into '{out}': give one or more, each "
            "once, and another folder for --out."
        )
    fresh = not (out.is_dir() and any(out.iterdir())) and not out.is_file()
    # Two levels down, where a search for the runs of a folder does not look.
    target = out.parent / DRAFTS / out.name if fresh else out
    shards = [LoadedRun(path, *load_run(path)) for path in paths]
    merged = [LoadedRun(target, *load_run(target))] if (target / RUN_FILE).exists() else []
    parts = [*merged, *shards]
    volatile = (*volatile, *PARTS_OWN)
    for other in parts[1:]:
        _check_same(parts[0], other, volatile, pinned)
    # Shards come first: the merged run may name a video that was missing before.
    chosen = _choose([*shards, *merged])
    info = dataclasses.replace(_describe_merged(parts, out), latency=_latency(merged, shards))
    with RunStore.open(target, info, volatile=volatile) as store:
        lost = _fill(store, chosen)
        store.note(_other_conditions(parts))
        store.finish("complete" if len(chosen) >= info.expected_episodes else "interrupted")
    if fresh:
        target.replace(out)
        with contextlib.suppress(OSError):  # another merge may be at work in it
            target.parent.rmdir()
    return Merged(
        folder=out,
        episodes=len(chosen),
        expected=info.expected_episodes,
        errors=sum(record.outcome == "error" for _, record in chosen.values()),
        absent_shards=_absent([shard.info for shard in shards]),
        lost_videos=lost,
    )


def _check_same(
    one: LoadedRun, other: LoadedRun, volatile: Collection[str], pinned: Collection[str]
) -> None:
    if differing := differences(one.info, other.info, volatile, pinned):
        raise ResultsError(
            f"'{one.folder}' and '{other.folder}' are not parts of one run "
            f"({describe_differences(differing, 'there', 'here')}): merge runs of the same "
            "configuration only."
        )


def _choose(sources: Sequence[LoadedRun]) -> dict[EpisodeKey, tuple[Path, EpisodeRecord]]:
    """Return one record for each episode, with the folder it is from, in the order of the keys."""
    chosen: dict[EpisodeKey, tuple[Path, EpisodeRecord]] = {}
    for source in sources:
        for record in source.records:
            current = chosen.get(record.key)
            if current is None or _better(current, (source.folder, record)):
                chosen[record.key] = (source.folder, record)
    return dict(sorted(chosen.items()))


def _better(current: tuple[Path, EpisodeRecord], new: tuple[Path, EpisodeRecord]) -> bool:
    """Whether the new record is to replace the chosen one.

    Raises:
        ResultsError: The two contradict each other.
    """
    (_, old), (_, record) = current, new
    if "error" in (old.outcome, record.outcome):
        return old.outcome == "error" and record.outcome != "error"
    for field in _DECIDED:
        values = getattr(old, field), getattr(record, field)
        if values[0] != values[1]:
            raise ResultsError(
                f"{record.suite} task {record.task}, initial state {record.init_state}, seed "
                f"{record.seed} has {field} {values[0]} in '{current[0]}' and {values[1]} in "
                f"'{new[0]}', though the same episode always ends alike: find out which machine "
                "differs (libero-bench doctor) and merge without it."
            )
    return old.video is None and record.video is not None


def _describe_merged(sources: Sequence[LoadedRun], out: Path) -> RunInfo:
    """Describe the run that the sources are parts of."""
    first = sources[0].info
    return dataclasses.replace(
        first,
        status="running",
        created=min(source.info.created for source in sources),
        expected_episodes=first.episodes_per_task * sum(map(len, first.tasks.values())),
        config={**first.config, "shard": None, "out": str(out)},
        resumed=(),
    )


def _latency(merged: Sequence[LoadedRun], shards: Sequence[LoadedRun]) -> LatencyHistogram | None:
    """Sum up the latencies of the shards, unless the merged run, which has theirs, has more."""
    total = sum_up(shard.info.latency for shard in shards)
    known = [latency for latency in (total, *(run.info.latency for run in merged)) if latency]
    return max(known, key=lambda latency: latency.requests, default=None)


def _other_conditions(sources: Sequence[LoadedRun]) -> Iterator[Resumption]:
    """Return the parts that were made under other conditions than the first."""
    usual = sources[0].info.provenance
    for source in sources:
        yield from source.info.resumed
        provenance = source.info.provenance
        changed = {name: value for name, value in provenance.items() if usual.get(name) != value}
        if changed:
            yield Resumption(at=source.info.created, changed=changed)


def _fill(store: RunStore, chosen: Mapping[EpisodeKey, tuple[Path, EpisodeRecord]]) -> int:
    """Add the records that the store lacks; return how many videos are lost."""
    stored = {record.key: record for record in load_run(store.folder)[1]}
    names = {record.video: key for key, record in stored.items() if record.video}
    lost = 0
    for key, (folder, source) in chosen.items():
        record = source
        if source.video is not None:
            known = stored[key].video if key in stored else None
            name = known or _unique_name(source.video, key, names)
            record = dataclasses.replace(source, video=name)
            if (folder / source.video).is_file():
                link_file(folder / source.video, store.folder / name)
            else:
                lost += 1
        if stored.get(key) != record:
            store.append(record)
    return lost


def _unique_name(video: str, key: EpisodeKey, names: dict[str, EpisodeKey]) -> str:
    """Return a name that no other episode's video has, its present one if possible."""
    path, number = PurePosixPath(video), 1
    while names.setdefault(video, key) != key:
        number += 1
        video = path.with_name(f"{path.stem}-{number}{path.suffix}").as_posix()
    return video


def _absent(infos: Sequence[RunInfo]) -> tuple[str, ...]:
    """Return the shards that are not among these, if all are parts of the same division."""
    parts = [re.fullmatch(r"(\d+)/(\d+)", str(info.config.get("shard"))) for info in infos]
    shards = {(int(part[1]), int(part[2])) for part in parts if part}
    counts = {count for _, count in shards}
    if None in parts or len(counts) != 1:
        return ()
    count = counts.pop()
    return tuple(f"{n}/{count}" for n in range(1, count + 1) if (n, count) not in shards)
