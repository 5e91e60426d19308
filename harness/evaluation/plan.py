"""Planning evaluations: everything is settled and checked before anything is written.

``harness.evaluation.run.execute`` carries a plan out.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from harness.capacity import default_workers
from harness.evaluation.config import PINNED, VOLATILE, EvaluationConfig, Grid
from harness.evaluation.environments import EnvironmentSpec, LiberoSpec, in_libero
from harness.evaluation.grid import Combination, check_delay, combine, with_chunking
from harness.evaluation.latency import (
    Latency,
    instruction_of,
    measure_latency,
    recorded_latency,
    torch_threads,
)
from harness.evaluation.paraphrases import ParaphraseSpec
from harness.evaluation.workload import Workload, resolve_workload
from harness.provenance import checkpoint_sha256, collect_provenance
from harness.wording import check_wording, note_unknown
from policies.chunking import Chunking
from policies.executor import PlanExecutor, check_exec_horizon
from policies.interface import OptionalMembers, PolicySpec, StartingPolicy
from policies.registry import AnyPolicy
from results.folder import RUN_FILE
from results.records import RunInfo
from results.store import RunStore
from tasks.errors import ConfigError

_ELSEWHERE = {"policy", "delay", "delay_mode", "first_plan"}
"""Settings that a run's ``policy`` describes."""


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """A run that is settled and checked, ready to start.

    Attributes:
        config: The settings, every default filled in.
        workload: The episodes.
        policy: The policy, built.
        info: The content of ``run.json``.
        volatile: Settings in ``info`` that may change when the run is resumed.
        note: A remark for the user before the start; empty without one.
    """

    config: EvaluationConfig
    workload: Workload
    policy: AnyPolicy
    info: RunInfo
    volatile: tuple[str, ...]
    note: str = ""

    @property
    def new_executor(self) -> partial[PlanExecutor]:
        """Makes the plan executor of an episode; picklable."""
        spec = self.policy.spec
        assert self.config.exec_horizon is not None
        return partial(
            PlanExecutor,
            spec.horizon,
            self.config.exec_horizon,
            self.config.fusion,
            width=spec.width,
            delay=self.config.late,
        )


def plan_evaluation(
    config: EvaluationConfig,
    *,
    policy: AnyPolicy | None = None,
    environments: EnvironmentSpec | None = None,
) -> EvaluationPlan:
    """Plan one run; see ``plan_runs``."""
    return plan_runs([config], policy=policy, environments=environments)[0]


def plan_runs(
    configs: Sequence[EvaluationConfig],
    *,
    policy: AnyPolicy | None = None,
    environments: EnvironmentSpec | None = None,
) -> list[EvaluationPlan]:
    """Plan several runs of one policy, which is built once, after the rest was checked.

    Args:
        configs: One or more, with the same ``policy``.
        policy: The policy, if it is built already; ``config.policy`` then only describes it.
        environments: Builds the environments; LIBERO's by default.

    Raises:
        HarnessError: A setting is not allowed, or the policy does not fit the protocol.
        ResultsError: A folder holds something else or another run.
    """
    if any(config.policy != configs[0].policy for config in configs):
        raise ConfigError("Runs of several policies. Fix: plan those of one policy at a time.")
    resolved = [resolve_workload(config, environments) for config in configs]
    built = policy or configs[0].policy.build()
    return [_plan(config, workload, built) for config, workload in resolved]


def plan_sweep(
    config: EvaluationConfig,
    grid: Grid,
    *,
    policy: AnyPolicy | None = None,
    environments: EnvironmentSpec | None = None,
) -> list[EvaluationPlan]:
    """Plan a run for each combination of a grid that can be run, perturbation by perturbation.

    Args:
        config: The settings of all runs. A single combination has ``out`` as its run folder;
            several have one each below it, such as ``h16-act``.
        grid: The axes.
        policy: See ``plan_runs``.
        environments: See ``plan_runs``.

    Raises:
        HarnessError: A setting of any combination is not allowed.
        ResultsError: A folder holds something else or another run.
    """
    if grid.size > 1:
        _check_sweep_folder(config)
    axis: tuple[str | None, ...] = tuple(dict.fromkeys(grid.perturbs)) or (config.perturb,)
    resolved = [
        resolve_workload(replace(config, perturb=perturb), environments) for perturb in axis
    ]
    built = policy or with_chunking(config.policy, next(iter(grid.chunkings), None)).build()
    policies: dict[Chunking | None, AnyPolicy] = {}
    plans, problems = [], []
    for run, workload in resolved:
        for point in combine(run, grid, built.spec):
            if point.problem:
                problems.append(point.problem)
                continue
            if point.chunking not in policies:
                policies[point.chunking] = _with_chunking(built, point)
            plans.append(_plan(point.config, workload, policies[point.chunking]))
    if problems:
        total = len(plans) + len(problems)
        note = f"{len(problems)} of {total} combinations are left out, such as: {problems[0]}"
        plans[0] = replace(plans[0], note="\n  ".join(filter(None, (plans[0].note, note))))
    return plans


def _with_chunking(built: AnyPolicy, point: Combination) -> AnyPolicy:
    """Return the policy with the options of a combination, its weights shared where it can be."""
    if point.chunking is None:
        return built
    with_options = OptionalMembers.of(built).with_options
    return with_options(point.chunking.options) if with_options else point.config.policy.build()


def _check_sweep_folder(config: EvaluationConfig) -> None:
    out = config.out
    reason = "is a file" if out.is_file() else "holds a run of its own"
    if out.is_file() or (out / RUN_FILE).exists():
        raise ConfigError(
            f"'{out}' {reason}, and several runs are asked for, which need a folder each below it. "
            "Fix: give another --out, or one --exec-horizon, one --fusion and one --perturb."
        )


def _plan(config: EvaluationConfig, workload: Workload, policy: AnyPolicy) -> EvaluationPlan:
    members = OptionalMembers.of(policy)
    members.check_fit(workload.protocol)
    environments = workload.environments
    note = ""
    demos = members.demos
    if in_libero(environments):
        if members.check_instructions is not None:
            members.check_instructions(environments.sentences(workload.tasks))
        if demos is not None:
            note = _check_words(demos, environments, workload)
    spec = policy.spec
    exec_horizon = spec.exec_horizon if config.exec_horizon is None else config.exec_horizon
    check_exec_horizon(exec_horizon, spec.horizon)
    config = replace(config, exec_horizon=exec_horizon)
    check_delay(config, spec)
    latency = _latency(config, workload, policy)
    if latency is not None:
        config = replace(config, delay=latency.steps)
        check_delay(config, spec)
    config = replace(
        config,
        workers=config.workers or default_workers(),  # the policy has taken its memory by now
    )
    if starved := config.late.starves(exec_horizon, spec.horizon):
        note = "\n  ".join(filter(None, (note, _starving(config, starved, spec))))
    info = _describe(config, workload, policy, members, latency)
    volatile = (*VOLATILE, *(f"policy.options.{name}" for name in members.resumable_options))
    RunStore.check(config.out, info, volatile=volatile, pinned=PINNED)
    return EvaluationPlan(
        config=config, workload=workload, policy=policy, info=info, volatile=volatile, note=note
    )


def _starving(config: EvaluationConfig, starved: int, spec: PolicySpec) -> str:
    return (
        f"WARNING: with exec_horizon {config.exec_horizon} and a delay of {config.delay} steps, "
        f"plans of {spec.horizon} steps end before the next one arrives: {starved} of "
        f"{config.exec_horizon} steps are held still. Executing at most "
        f"{spec.horizon - config.late.steps} steps per plan avoids that."
    )


def _latency(config: EvaluationConfig, workload: Workload, policy: AnyPolicy) -> Latency | None:
    """Return the latency that decides a measured delay, measured once for a run."""
    if config.delay != "measured":
        return None
    assert config.tasks and config.exec_horizon
    with torch_threads(config.threads):
        return recorded_latency(config.out) or measure_latency(
            policy,
            resolution=workload.protocol.resolution,
            instruction=instruction_of(workload.environments, config.tasks[0], workload.protocol),
            exec_horizon=config.exec_horizon,
        )


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


def _check_words(demos: Mapping[str, Any], environments: LiberoSpec, workload: Workload) -> str:
    """Compare what the policy is told with what it was trained on; return a note."""
    if isinstance(environments, ParaphraseSpec):
        return note_unknown(demos, environments.sentences(workload.tasks))
    return check_wording(demos, environments.tasks(workload.tasks), workload.protocol)


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


def _describe(
    config: EvaluationConfig,
    workload: Workload,
    policy: AnyPolicy,
    members: OptionalMembers,
    latency: Latency | None,
) -> RunInfo:
    """Return the content of ``run.json``."""
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
    provenance = collect_provenance(renderer=bool(spec.cameras or config.record))
    provenance |= members.provenance or {}
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
