"""What ``run.json`` says of a run before its first episode."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter

from harness.engines import ReplicaOptions
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.latency import Latency
from harness.evaluation.paraphrases import ParaphraseSpec
from harness.evaluation.workload import Workload
from harness.provenance import checkpoint_sha256
from policies.interface import OptionalMembers, PolicySpec, StartingPolicy
from policies.registry import AnyPolicy
from results.records import RunInfo
from tasks.errors import ConfigError

_ELSEWHERE = {"policy", "delay", "delay_mode", "first_plan"}
"""Settings that a run's ``policy`` describes."""

_UNLESS_DEFAULT = (*(option.name for option in fields(ReplicaOptions)), "max_batch")
"""Settings that only runs with other values than the defaults have in ``run.json``."""

_PERTURBING = (
    "perturb",
    "noise_stream",
    "base_tasks",
    "per_base",
    "offline_only",
    "plus_assets",
)
"""Settings that only perturbed runs have in ``run.json``."""


def _dimensions(workload: Workload) -> dict[str, dict[str, int]] | None:
    """Return the planned episodes in each dimension of perturbation."""
    facts = {task: workload.environments.facts(task) for task in workload.tasks}
    counts: Counter[str] = Counter()
    for key in workload.planned:
        counts.update(filter(None, [facts[key.task].get("dimension")]))
    return {workload.suite: dict(counts)} if counts else None


def _describe_policy(
    config: EvaluationConfig, spec: PolicySpec, latency: Latency | None
) -> dict[str, Any]:
    """Return how the policy was asked for plans, and how these were executed."""
    described: dict[str, Any] = {
        "name": config.policy.name,
        "checkpoint": config.policy.checkpoint,
        "exec_horizon": config.exec_horizon,
        "fusion": str(config.fusion),
        "horizon": spec.horizon,
        "history": spec.history,
        "cameras": spec.cameras,
        "options": config.policy.options,
    }
    if config.delay:
        described |= {
            "delay": config.delay,
            "delay_mode": config.delay_mode,
            "first_plan": config.first_plan,
        }
    if latency is not None:
        described["delay_measured_ms"] = latency.median_ms
    return described


def describe_run(
    config: EvaluationConfig,
    workload: Workload,
    policy: AnyPolicy,
    members: OptionalMembers,
    latency: Latency | None,
    provenance: Mapping[str, Any],
) -> RunInfo:
    """Return the content of ``run.json``.

    Args:
        config: The settings, every default filled in.
        workload: The episodes.
        policy: The policy.
        members: Its optional members.
        latency: What a measured delay rests on.
        provenance: Of the code and of this machine; the policy's and the episodes' are added.

    Raises:
        ConfigError: The policy's starts do not fit the episodes.
    """
    spec, protocol, environments = policy.spec, workload.protocol, workload.environments
    tasks, states = workload.tasks, config.init_states or ()
    described = _describe_policy(config, spec, latency)
    if isinstance(policy, StartingPolicy):
        if isinstance(environments, ParaphraseSpec):
            raise ConfigError(
                f"--policy {config.policy.name} starts from {policy.starts} and hears no words. "
                "Fix: leave the file of --instructions out."
            )
        described["starts_sha256"] = policy.check_episodes(workload.suite, tasks, states)
        protocol = protocol.starting_from(policy.starts)
    elif environments.starts is not None:
        protocol = protocol.starting_from(environments.starts)
    if members.device:
        described["device"] = str(members.device).split(":")[0]
    provenance = {**provenance, **(members.provenance or {})}
    provenance["init_states"] = environments.fingerprints(tasks)
    if config.policy.checkpoint is not None:
        # A name on a hub stands for files that the policy knows the place of.
        files = checkpoint_sha256(members.files or config.policy.checkpoint)
        for number, other in enumerate(members.more_files):
            more = checkpoint_sha256(other)
            files |= {f"more-{number}/{name}": digest for name, digest in more.items()}
        described["checkpoint_sha256"] = hashlib.sha256(repr(files).encode()).hexdigest()
        provenance["checkpoint_files"] = files
    demos = members.demos
    settings = TypeAdapter(EvaluationConfig).dump_python(config, mode="json", exclude=_ELSEWHERE)
    settings = {name: v for name, v in settings.items() if name not in _PERTURBING or v}
    if config.order_seed is None:
        del settings["order_seed"]
    for option in fields(config):
        if option.name in _UNLESS_DEFAULT and getattr(config, option.name) == option.default:
            del settings[option.name]
    return RunInfo(
        name=config.label or config.policy.name,
        policy=described,
        protocol={**protocol.as_dict(), "hash": protocol.hash},
        tasks={workload.suite: tasks},
        episodes_per_task=len(states),
        expected_episodes=len(workload.planned),  # a shard alone is an incomplete run
        perturbation=None if config.perturb == "none" else config.perturb,
        dimensions=_dimensions(workload),
        demos=str(demos.get("label") or ", ".join(sorted(demos))) if demos else None,
        config=settings,
        provenance=provenance,
    )
