"""The numbers of a leaderboard row, and which rows may be ranked together.

Errors say nothing of a policy's skill: they are counted apart and are in no rate or mean. Rows are
ranked within the same suite and the same tasks; a row is ranked once all its episodes count. Ranks
follow the rates alone; letters say which of them the same episodes tell apart.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from results.comparison.pairs import Outcomes, contrasts_of, letters_of, outcomes_of
from results.latency import LatencyHistogram
from results.records import EpisodeRecord, RunInfo, RunRecords, most_frequent_error
from results.robustness.dimensions import PerturbedRow, perturbed_rows
from results.statistics.intervals import rate_interval
from results.statistics.power import detectable_difference


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeaderboardRow:
    """One run on one suite, or on one task of it."""

    label: str
    """Name of the run."""

    suite: str
    """Name of the suite."""

    tasks: tuple[int, ...]
    """Indices of the tasks asked for."""

    task_name: str | None
    """Name of the task if there is one alone and it was tried."""

    policy: str
    """Name of the policy."""

    checkpoint: str | None
    """Checkpoint of the policy, if it has one."""

    exec_horizon: int | None
    """Steps executed per plan."""

    fusion: str | None
    """How overlapping plans are fused."""

    delay: str | None = None
    """How late plans are: control steps, and the mode if the robot pauses; None without a delay."""

    chunking: str | None = None
    """How a plan is joined to the one before, where the policy does so."""

    successes: int
    """Episodes that succeeded."""

    episodes: int
    """Episodes that count: successes and failures."""

    expected: int
    """Episodes asked for."""

    rate: float | None
    """Successes over episodes, in [0, 1]; None before the first."""

    low: float
    """Lower end of the 95 % interval of the rate."""

    high: float
    """Upper end of it."""

    method: str
    """How the interval was made, such as ``Wilson``."""

    stopped: bool = False
    """Whether a sequential comparison stopped the run, so that a fixed-n interval would be wrong:
    ``low`` and ``high`` are then 0 and 1."""

    detectable: float | None
    """Smallest difference that shows against an independent run of as many episodes; None if none
    does."""

    steps_to_success: float | None
    """Mean control steps over successes."""

    steps: float | None
    """Mean control steps over all episodes that count."""

    errors: int
    """Episodes whose last attempt broke."""

    error: str | None
    """The most frequent error, on one line; None if none broke."""

    error_count: int
    """How many episodes it broke."""

    demos: str | None
    """Which demonstrations the policy was trained on."""

    protocol: str
    """Name of the protocol."""

    protocol_hash: str
    """Hash of the protocol."""

    mujoco: str | None = None
    """Version of mujoco it was simulated with, if the run says so."""

    latency: LatencyHistogram | None = None
    """How long the requests of plans of the whole run took, where the policy says so."""

    seeds: int | None = None
    """Trainings that the row counts together; None for a single run."""

    perturbed: PerturbedRow | None = None
    """Success by dimension of perturbation; None where nothing is perturbed."""

    rank: int | None = None
    """1 for the best of the same suite and tasks; equal rates share a rank; None if incomplete."""

    letters: str = ""
    """Complete runs of the very same episodes that share a letter are not told apart; empty where
    there is no other such run. Episodes of another protocol or mujoco are not the same."""

    notes: tuple[str, ...] = ()
    """Remarks that matter when this row is compared with others."""

    @property
    def perturbation(self) -> str | None:
        """What is perturbed in every task alike; None if nothing is, or each has its own."""
        return None if self.perturbed is None else self.perturbed.perturbation

    @property
    def complete(self) -> bool:
        """Whether every episode asked for counts."""
        return self.episodes >= self.expected


def rows_from_runs(runs: Iterable[RunRecords]) -> list[LeaderboardRow]:
    """Return a row for each run and suite.

    Groups of the same suite and tasks come in the order of their first run; in each the ranked
    rows come best first, then the incomplete ones.
    """
    rows = [
        (_with_dimensions(row, info, records), outcomes_of(records, row.suite))
        for info, records in runs
        for row in rows_of_run(info, records)
    ]
    return rank_rows(_lettered(rows))


def _with_dimensions(
    row: LeaderboardRow, info: RunInfo, records: Sequence[EpisodeRecord]
) -> LeaderboardRow:
    rows = [each for each in perturbed_rows([(info, records)]) if each.suites == (row.suite,)]
    return dataclasses.replace(row, perturbed=rows[0]) if rows else row


def rows_of_run(info: RunInfo, records: Sequence[EpisodeRecord]) -> list[LeaderboardRow]:
    """Return the rows of one run, a row for each of its suites, without ranks."""
    rows = [
        _row(info, records, suite, info.tasks[suite], info.expected_of(suite))
        for suite in info.suites
    ]
    return [dataclasses.replace(row, latency=info.latency) for row in rows]


def rows_by_task(runs: Iterable[RunRecords]) -> list[LeaderboardRow]:
    """Return a row for each run and task, in the order of the tasks, for each task best first."""
    rows = [
        _row(info, records, suite, (task,), info.expected_of(suite) // len(info.tasks[suite]))
        for info, records in runs
        for suite in info.suites
        for task in info.tasks[suite]
    ]
    suites = list(dict.fromkeys(row.suite for row in rows))
    rows.sort(key=lambda row: (suites.index(row.suite), row.tasks))
    return rank_rows(rows)


def _row(
    info: RunInfo,
    records: Sequence[EpisodeRecord],
    suite: str,
    tasks: tuple[int, ...],
    expected: int,
) -> LeaderboardRow:
    asked = frozenset(tasks)
    attempted = [record for record in records if record.suite == suite and record.task in asked]
    counted = [record for record in attempted if record.outcome != "error"]
    wins = [record for record in counted if record.outcome == "success"]
    won, tried = (Counter(record.task for record in group) for group in (wins, counted))
    interval = rate_interval([(won[task], tried[task]) for task in tasks])
    broken = [record.error or "" for record in attempted if record.outcome == "error"]
    error, error_count = most_frequent_error(broken) if broken else (None, 0)
    stopped = info.order_seed is not None and len(counted) < expected
    row = LeaderboardRow(
        label=info.name,
        suite=suite,
        tasks=tuple(tasks),
        task_name=attempted[0].task_name if attempted and len(tasks) == 1 else None,
        policy=str(info.policy["name"]),
        checkpoint=_text(info.policy.get("checkpoint")),
        exec_horizon=info.policy.get("exec_horizon"),
        fusion=_text(info.policy.get("fusion")),
        delay=delay_of(info.policy),
        chunking=chunking_of(info.policy),
        successes=len(wins),
        episodes=len(counted),
        expected=expected,
        rate=len(wins) / len(counted) if counted else None,
        low=0.0 if stopped else interval.low,
        high=1.0 if stopped else interval.high,
        method="none: stopped early" if stopped else interval.method,
        stopped=stopped,
        detectable=detectable_difference(len(wins) / len(counted), len(counted))
        if counted and not stopped
        else None,
        steps_to_success=fmean(record.steps for record in wins) if wins else None,
        steps=fmean(record.steps for record in counted) if counted else None,
        errors=len(broken),
        error=error,
        error_count=error_count,
        demos=info.demos,
        protocol=info.protocol_name,
        protocol_hash=str(info.protocol["hash"]),
        mujoco=info.mujoco,
    )
    return dataclasses.replace(row, notes=_notes_of_run(row, info, counted))


def _notes_of_run(
    row: LeaderboardRow, info: RunInfo, records: Sequence[EpisodeRecord]
) -> tuple[str, ...]:
    notes = []
    if row.stopped:
        notes.append("stopped by libero-bench decide, see its interval of the difference")
    if not row.complete:
        notes.append(f"incomplete {row.episodes}/{row.expected}")
    if starved := sum(record.starved_steps or 0 for record in records):
        steps = sum(record.steps for record in records)
        notes.append(f"held still for want of a plan in {starved} of {steps} steps")
    changed = sorted({name for again in info.resumed for name in again.changed})
    if changed:
        notes.append(f"resumed with another {', '.join(changed)}")
    return tuple(notes)


def _lettered(rows: Sequence[tuple[LeaderboardRow, Outcomes]]) -> list[LeaderboardRow]:
    """Give letters to the most rows of a suite and tasks that have the very same episodes."""
    same: dict[tuple[str, str | None, frozenset[int]], dict[tuple[Any, ...], list[int]]] = {}
    for index, (row, outcomes) in enumerate(rows):
        if row.complete:
            alike = same.setdefault((row.suite, row.perturbation, frozenset(row.tasks)), {})
            episodes = (row.protocol_hash, row.mujoco, frozenset(outcomes))
            alike.setdefault(episodes, []).append(index)
    lettered = [row for row, _ in rows]
    for alike in same.values():
        indices = max(alike.values(), key=len)
        runs = [rows[index][1] for index in indices]
        if len(runs) > 1 and runs[0]:
            letters = letters_of(runs, contrasts_of(runs))
            for index, letter in zip(indices, letters, strict=True):
                lettered[index] = dataclasses.replace(lettered[index], letters=letter)
    return lettered


def rank_rows(rows: list[LeaderboardRow]) -> list[LeaderboardRow]:
    """Rank rows of the same suite and tasks; see ``rows_from_runs`` for the order."""
    groups: dict[tuple[str, str | None, frozenset[int]], list[LeaderboardRow]] = {}
    for row in rows:
        groups.setdefault((row.suite, row.perturbation, frozenset(row.tasks)), []).append(row)
    return [row for group in groups.values() for row in _ranked_group(group)]


def _ranked_group(group: list[LeaderboardRow]) -> list[LeaderboardRow]:
    # Between equal rates the one with more episodes, hence the higher lower end, comes first.
    group = sorted(group, key=lambda row: (not row.complete, -(row.rate or 0.0), -row.low))
    usual = Counter(row.protocol_hash for row in group).most_common(1)[0][0]
    versions = Counter(row.mujoco for row in group if row.mujoco).most_common(1)
    ranked: list[LeaderboardRow] = []
    for index, row in enumerate(group, start=1):
        rank: int | None = index if row.complete else None
        if rank and ranked and ranked[-1].rate == row.rate:
            rank = ranked[-1].rank
        notes = row.notes
        if row.protocol_hash != usual:
            notes = (*notes, f"other protocol: {row.protocol} {row.protocol_hash[:8]}")
        if row.mujoco not in (None, *dict(versions)):
            notes = (*notes, f"other mujoco: {row.mujoco}, not {versions[0][0]}")
        ranked.append(dataclasses.replace(row, rank=rank, notes=notes))
    return ranked


def delay_of(policy: Mapping[str, Any]) -> str | None:
    """Describe the delay of a run's policy in a word; None without one."""
    steps = policy.get("delay")
    if not steps:
        return None
    words = [str(steps)]
    words += ["pause"] if policy.get("delay_mode") == "pause" else []
    words += ["first held"] if policy.get("first_plan") == "hold" else []
    return ", ".join(words)


def chunking_of(policy: Mapping[str, Any]) -> str | None:
    """Describe how a run's policy joins plans, with the options of that; None where it does not."""
    options = policy.get("options")
    if not isinstance(options, Mapping) or options.get("guidance", "none") == "none":
        return None
    method = str(options["guidance"])
    stem = method.split("-")[0]
    names = [name for name in options if name == "samples" or name.startswith(f"{stem}_")]
    given = ",".join(f"{name.removeprefix(f'{stem}_')}={options[name]}" for name in names)
    return f"{method}:{given}" if given else method


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
