"""Rows over training seeds: runs that differ in their checkpoint alone count as one policy."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from results.latency import sum_up
from results.leaderboard.rows import LeaderboardRow, rank_rows, rows_of_run
from results.records import RunInfo, RunRecords
from results.statistics.seeds import SeedRates, seeds_interval

METHOD = "Wilson with t over seeds"
"""How the interval of such a row is made; see ``results.statistics.seeds``."""


def rows_over_seeds(runs: Iterable[RunRecords]) -> list[LeaderboardRow]:
    """Return a row for each policy and suite, over all trainings of it.

    Runs are trainings of one policy where they have the same name, policy, protocol, tasks and
    demonstrations, and different checkpoints. A row has the trainings whose runs are complete; the
    others are noted. A run without such company has a row of its own.
    """
    groups: dict[str, list[RunRecords]] = {}
    for run in runs:
        groups.setdefault(_apart_from_checkpoint(run[0]), []).append(run)
    rows = []
    for group in groups.values():
        by_run = [rows_of_run(*run) for run in _each_checkpoint_once(group)]
        rows += [_over_seeds(suite_rows) for suite_rows in zip(*by_run, strict=True)]
    return rank_rows(rows)


def _apart_from_checkpoint(info: RunInfo) -> str:
    policy = {k: v for k, v in info.policy.items() if not k.startswith("checkpoint")}
    policy.pop("device", None)
    policy.pop("delay_measured_ms", None)  # the delay itself is what counts
    same = [info.name, info.perturbation, policy, info.protocol["hash"], info.mujoco, info.demos]
    same += [{suite: list(tasks) for suite, tasks in info.tasks.items()}, info.episodes_per_task]
    return json.dumps(same, sort_keys=True)


def _each_checkpoint_once(group: Sequence[RunRecords]) -> list[RunRecords]:
    """Leave out a second run of the same weights: it is no other training."""
    once: dict[str, RunRecords] = {}
    for info, records in group:
        weights = info.policy.get("checkpoint_sha256") or info.policy.get("checkpoint")
        once.setdefault(str(weights), (info, records))
    return list(once.values())


def _over_seeds(rows: Sequence[LeaderboardRow]) -> LeaderboardRow:
    if len(rows) == 1:
        return rows[0]
    complete = [row for row in rows if row.complete]
    shown = complete or rows[:1]
    rates = SeedRates(tuple(row.successes for row in shown), max(1, shown[0].episodes))
    interval = seeds_interval(rates)
    left = len(rows) - len(complete)
    return replace(
        shown[0],
        checkpoint=None,
        seeds=len(complete),
        successes=sum(row.successes for row in shown),
        episodes=sum(row.episodes for row in shown),
        expected=sum(row.expected for row in rows),
        rate=rates.rate if complete else shown[0].rate,
        low=interval.low,
        high=interval.high,
        method=METHOD if len(complete) > 1 else shown[0].method,
        detectable=None,
        steps_to_success=_mean(row.steps_to_success for row in shown),
        steps=_mean(row.steps for row in shown),
        latency=sum_up(row.latency for row in shown),
        errors=sum(row.errors for row in rows),
        error_count=sum(row.error_count for row in rows),
        notes=(f"{left} of {len(rows)} seeds are not complete",) if left else (),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
