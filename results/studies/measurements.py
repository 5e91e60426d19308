"""What the runs of a study measured, arm by arm, horizon by horizon, seed by seed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from results.folder import RUN_FILE, load_run
from results.records import EpisodeKey, EpisodeRecord, RunInfo
from results.statistics.seeds import SeedRates
from results.studies.records import ArmRecord, StudyRecord


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """An arm at an execution horizon.

    Attributes:
        arm: Its name.
        exec_horizon: Control steps executed per plan.
        episodes: Finished episodes of each finished seed, by seed.
        runs: Run folder of each finished seed.
        unfinished: Seeds whose run is missing, incomplete, or has episodes that broke.
    """

    arm: str
    exec_horizon: int
    episodes: Mapping[int, Mapping[EpisodeKey, EpisodeRecord]]
    runs: Mapping[int, Path]
    unfinished: tuple[int, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The finished seeds."""
        return tuple(self.episodes)

    @property
    def keys(self) -> list[EpisodeKey]:
        """The episodes that all finished seeds have."""
        common = reduce(set.intersection, (set(each) for each in self.episodes.values()))
        return sorted(common)

    def rates(self) -> SeedRates | None:
        """Return the successes of each seed; None where no seed is finished."""
        keys = self.keys if self.episodes else []
        if not keys:
            return None
        counts = [
            sum(episodes[key].outcome == "success" for key in keys)
            for episodes in self.episodes.values()
        ]
        return SeedRates(tuple(counts), len(keys))

    def predicates(self) -> dict[str, SeedRates]:
        """Return how often each predicate of the goal was reached, by its name."""
        keys = self.keys if self.episodes else []
        reached: dict[str, list[int]] = {}
        for number, episodes in enumerate(self.episodes.values()):
            for key in keys:
                for name, step in (episodes[key].goals_first_held or {}).items():
                    counts = reached.setdefault(name, [0] * len(self.episodes))
                    counts[number] += bool(step)  # what held from the start was not reached
        return {name: SeedRates(tuple(c), len(keys)) for name, c in reached.items()}


def read_measurements(folder: Path, study: StudyRecord) -> dict[tuple[str, int], Measurement]:
    """Read all runs of a study.

    Args:
        folder: The study's folder.
        study: What it asked for.

    Returns:
        The measurements by arm and execution horizon, finished or not.

    Raises:
        ResultsError: A run is damaged or of a newer version.
    """
    return {
        (arm.name, horizon): _measurement(folder, arm, horizon)
        for arm in study.arms
        for horizon in arm.exec_horizons
    }


def _measurement(folder: Path, arm: ArmRecord, horizon: int) -> Measurement:
    episodes: dict[int, dict[EpisodeKey, EpisodeRecord]] = {}
    runs = {}
    for seed, cell in enumerate(arm.folders):
        for run in _runs(folder / cell):
            info, records = load_run(run)
            if info.policy.get("exec_horizon") != horizon:
                continue
            if (finished := finished_episodes(info, records)) is not None:
                episodes[seed], runs[seed] = finished, run
    unfinished = tuple(seed for seed in range(len(arm.folders)) if seed not in episodes)
    return Measurement(
        arm=arm.name, exec_horizon=horizon, episodes=episodes, runs=runs, unfinished=unfinished
    )


def finished_episodes(
    info: RunInfo, records: Iterable[EpisodeRecord]
) -> dict[EpisodeKey, EpisodeRecord] | None:
    """Return the episodes of a run by their key; None if any is missing or broke."""
    finished = {record.key: record for record in records if record.outcome != "error"}
    return finished if len(finished) == info.expected_episodes else None


def _runs(cell: Path) -> Iterator[Path]:
    """Yield the run folders of a cell's evaluations, not those made during its training."""
    evaluations = cell / "eval"
    for path in sorted(evaluations.rglob(RUN_FILE)) if evaluations.is_dir() else ():
        yield path.parent
