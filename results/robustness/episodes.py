"""Perturbed episodes: whose they are, of which base task, and their unperturbed counterparts."""

import json
from collections.abc import Iterable, Sequence
from functools import cache

from results.records import EpisodeRecord, RunInfo, RunRecords
from results.statistics.clusters import ClusteredRate, Trial, clustered_rate

ORIGINAL_SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
"""Suites from whose names those of their perturbed kin begin."""

_WORDS = ("name", "hash", "paraphrases")
"""Entries of a protocol that other words change."""


@cache
def unperturbed_suite(suite: str) -> str:
    """Return the suite that a perturbed one derives from; any other is its own."""
    kin = [name for name in ORIGINAL_SUITES if suite.startswith((f"{name}_", f"{name}+"))]
    return kin[0] if kin else suite


def is_perturbed(record: EpisodeRecord) -> bool:
    """Whether an episode's task is perturbed, in its scene, its pictures or its words."""
    return record.perturbation is not None or record.dimension is not None


def base_of(record: EpisodeRecord) -> tuple[str, str]:
    """Return suite and name of the task that an episode's derives from."""
    return unperturbed_suite(record.suite), record.base_task or record.task_name


def policy_of(info: RunInfo) -> str:
    """Return a text that runs of one policy under one set of rules share, whatever their tasks."""
    policy = {name: value for name, value in info.policy.items() if name != "device"}
    if "checkpoint_sha256" in policy:
        policy.pop("checkpoint", None)
    rules = {name: value for name, value in info.protocol.items() if name not in _WORDS}
    if rules.get("instructions") == "upstream":
        rules["instructions"] = "name"  # the same for tasks that nothing perturbs
    return json.dumps([info.name, policy, rules, info.mujoco], sort_keys=True, default=str)


def counted(records: Iterable[EpisodeRecord]) -> list[EpisodeRecord]:
    """Return the episodes that count: successes and failures."""
    return [record for record in records if record.outcome != "error"]


def rate_of(records: Sequence[EpisodeRecord]) -> ClusteredRate | None:
    """Return the success rate of episodes with an interval clustered by base task.

    Args:
        records: Episodes; errors are left out.

    Returns:
        None if no episode counts.
    """
    kept = counted(records)
    if not kept:
        return None
    return clustered_rate(Trial(base_of(r), r.outcome == "success") for r in kept)


def unperturbed_records(
    runs: Iterable[RunRecords], policy: str, bases: Iterable[tuple[str, str]]
) -> list[EpisodeRecord]:
    """Return a policy's unperturbed episodes on some base tasks; none unless each has some.

    Args:
        runs: All runs that there are.
        policy: As ``policy_of`` gives it.
        bases: Suite and name of each base task.
    """
    wanted = set(bases)
    found = [
        record
        for info, records in runs
        if policy_of(info) == policy
        for record in records
        if not is_perturbed(record) and (record.suite, record.task_name) in wanted
    ]
    return found if {(record.suite, record.task_name) for record in found} == wanted else []
