"""What the runs of a study measured, arm by arm, horizon by horizon, seed by seed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from results.folder import RUN_FILE, load_run
from results.records import EpisodeKey, EpisodeRecord
from results.statistics.seeds import SeedRates
from results.studies.records import ArmRecord, StudyRecord

TRAINING_LOG = Path("train") / "train.jsonl"
"""Log of a cell's training, relative to the cell's folder."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """An arm at an execution horizon.

    Attributes:
        arm: Its name.
        exec_horizon: Control steps executed per plan.
        episodes: Finished episodes of each finished seed, by seed.
        unfinished: Seeds whose run is missing, incomplete, or has episodes that broke.
    """

    arm: str
    exec_horizon: int
    episodes: Mapping[int, Mapping[EpisodeKey, EpisodeRecord]]
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
                    counts[number] += step is not None
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
    finished: dict[int, dict[EpisodeKey, EpisodeRecord]] = {}
    unfinished = []
    for seed, cell in enumerate(arm.folders):
        episodes = _finished_episodes(folder / cell, horizon)
        if episodes is None:
            unfinished.append(seed)
        else:
            finished[seed] = episodes
    return Measurement(
        arm=arm.name, exec_horizon=horizon, episodes=finished, unfinished=tuple(unfinished)
    )


def _finished_episodes(cell: Path, horizon: int) -> dict[EpisodeKey, EpisodeRecord] | None:
    for run in _runs(cell):
        info, records = load_run(run)
        if info.policy.get("exec_horizon") != horizon:
            continue
        finished = {record.key: record for record in records if record.outcome != "error"}
        return finished if len(finished) == info.expected_episodes else None
    return None


def _runs(cell: Path) -> Iterator[Path]:
    """Yield the run folders of a cell's evaluations, not those made during its training."""
    evaluations = cell / "eval"
    for path in sorted(evaluations.rglob(RUN_FILE)) if evaluations.is_dir() else ():
        yield path.parent


def sampled_errors(folder: Path, arm: ArmRecord) -> list[dict[str, Any]]:
    """Return the last measurement of the error of sampled plans of each seed that has one.

    Args:
        folder: The study's folder.
        arm: The arm.
    """
    found = []
    for cell in arm.folders:
        log = folder / cell / TRAINING_LOG
        if not log.is_file():
            continue
        entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        sampled = [entry["sampled"] for entry in entries if "sampled" in entry]
        if sampled:
            found.append(sampled[-1])
    return found
