"""Planning evaluations: everything is settled and checked before anything is written.

``harness.evaluation.run.execute`` carries a plan out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from harness.evaluation.config import PINNED, VOLATILE, EvaluationConfig, Grid
from harness.evaluation.description import describe_run
from harness.evaluation.engine import Engine
from harness.evaluation.environments import EnvironmentSpec, LiberoSpec, in_libero
from harness.evaluation.grid import (
    Combination,
    about_left_out,
    check_delay,
    combine,
    with_chunking,
    with_horizon,
)
from harness.evaluation.latency import (
    Latency,
    instruction_of,
    measure_latency,
    recorded_latency,
    torch_threads,
)
from harness.evaluation.local_engine import LocalEngine
from harness.evaluation.paraphrases import ParaphraseSpec
from harness.evaluation.workload import Workload, resolve_workload
from harness.provenance import collect_provenance
from harness.wording import check_wording, note_unknown
from policies.chunking import Chunking
from policies.executor import PlanExecutor, check_exec_horizon
from policies.interface import OptionalMembers, PlanRequest, PolicySpec
from policies.registry import AnyPolicy
from results.folder import RUN_FILE
from results.records import RunInfo
from results.store import RunStore
from tasks.errors import ConfigError
from tasks.observation import FloatArray


@dataclass(frozen=True)
class DescribedPolicy:
    """A policy that was built to plan a run, and is let go as replicas of it will plan."""

    spec: PolicySpec

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Raise an error: the replicas plan."""
        raise TypeError("the run's replicas plan")


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """A run that is settled and checked, ready to start.

    Attributes:
        config: The settings, every default filled in.
        workload: The episodes.
        policy: The policy, built; a ``DescribedPolicy`` if replicas of it plan.
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
    engine: Engine | None = None,
) -> EvaluationPlan:
    """Plan one run; see ``plan_runs``."""
    return plan_runs([config], policy=policy, environments=environments, engine=engine)[0]


def plan_runs(
    configs: Sequence[EvaluationConfig],
    *,
    policy: AnyPolicy | None = None,
    environments: EnvironmentSpec | None = None,
    engine: Engine | None = None,
) -> list[EvaluationPlan]:
    """Plan several runs of one policy, which is built once, after the rest was checked.

    Args:
        configs: One or more, with the same ``policy``.
        policy: The policy, if it is built already; ``config.policy`` then only describes it.
        environments: Builds the environments; LIBERO's by default.
        engine: What will run them; this machine by default.

    Raises:
        HarnessError: A setting is not allowed, or the policy does not fit the protocol.
        ResultsError: A folder holds something else or another run.
    """
    if any(config.policy != configs[0].policy for config in configs):
        raise ConfigError("Runs of several policies. Fix: plan those of one policy at a time.")
    resolved = [resolve_workload(config, environments) for config in configs]
    engine = engine or LocalEngine(configs[0])
    built = policy or engine.build_policy(configs[0].policy)
    return [_plan(config, workload, built, engine) for config, workload in resolved]


def plan_sweep(
    config: EvaluationConfig,
    grid: Grid,
    *,
    policy: AnyPolicy | None = None,
    environments: EnvironmentSpec | None = None,
    engine: Engine | None = None,
) -> list[EvaluationPlan]:
    """Plan a run for each combination of a grid that can be run, perturbation by perturbation.

    Args:
        config: The settings of all runs. A single combination has ``out`` as its run folder;
            several have one each below it, such as ``h16-act``.
        grid: The axes.
        policy: See ``plan_runs``.
        environments: See ``plan_runs``.
        engine: See ``plan_runs``.

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
    engine = engine or LocalEngine(config)
    first = with_chunking(config.policy, next(iter(grid.chunkings), None))
    built = policy or engine.build_policy(first)
    policies: dict[Chunking | None, AnyPolicy] = {}
    plans, problems = [], []
    for run, workload in resolved:
        for point in combine(run, grid, built.spec):
            if point.problem:
                problems.append(point.problem)
                continue
            if point.chunking not in policies:
                policies[point.chunking] = _with_chunking(built, point, engine)
            plans.append(_plan(point.config, workload, policies[point.chunking], engine))
    if problems:
        note = about_left_out(problems, len(plans) + len(problems))
        plans[0] = replace(plans[0], note="\n  ".join(filter(None, (plans[0].note, note))))
    return plans


def _with_chunking(built: AnyPolicy, point: Combination, engine: Engine) -> AnyPolicy:
    """Return the policy with the options of a combination, its weights shared where it can be."""
    if point.chunking is None:
        return built
    with_options = OptionalMembers.of(built).with_options
    if with_options is not None:
        return with_options(point.chunking.options)
    return engine.build_policy(point.config.policy)


def _check_sweep_folder(config: EvaluationConfig) -> None:
    out = config.out
    reason = "is a file" if out.is_file() else "holds a run of its own"
    if out.is_file() or (out / RUN_FILE).exists():
        raise ConfigError(
            f"'{out}' {reason}, and several runs are asked for, which need a folder each below it. "
            "Fix: give another --out, or one --exec-horizon, one --fusion and one --perturb."
        )


def _plan(
    config: EvaluationConfig, workload: Workload, policy: AnyPolicy, engine: Engine
) -> EvaluationPlan:
    _check_replicas(config, policy.spec)
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
    config = with_horizon(config, spec)
    exec_horizon = config.exec_horizon
    assert exec_horizon is not None
    check_exec_horizon(exec_horizon, spec.horizon)
    check_delay(config, spec)
    latency = _latency(config, workload, policy)
    if latency is not None:
        config = replace(config, delay=latency.steps)
        check_delay(config, spec)
    config = replace(
        config,
        workers=config.workers
        or engine.default_workers(),  # the policy has taken its memory by now
    )
    if starved := config.late.starves(exec_horizon, spec.horizon):
        note = "\n  ".join(filter(None, (note, _starving(config, starved, spec))))
    members = replace(members, device=engine.device(config.policy, members.device))
    provenance = collect_provenance(renderer=bool(spec.cameras or config.record))
    info = describe_run(config, workload, policy, members, latency, provenance)
    volatile = (*VOLATILE, *(f"policy.options.{name}" for name in members.resumable_options))
    RunStore.check(config.out, info, volatile=volatile, pinned=PINNED)
    return EvaluationPlan(
        config=config,
        workload=workload,
        policy=DescribedPolicy(spec) if engine.replicas and not spec.privileged else policy,
        info=info,
        volatile=volatile,
        note=note,
    )


def _check_replicas(config: EvaluationConfig, spec: PolicySpec) -> None:
    """Refuse replicas of a policy that runs beside each simulation, and devices named twice."""
    options = {"--replicas": config.replicas, "--devices": ",".join(config.devices)}
    given = [f"{option} {value}" for option, value in options.items() if value]
    if given and spec.privileged:
        raise ConfigError(
            f"{given[0]} was given to policy '{config.policy.name}', which runs beside each "
            "simulation. Fix: leave it out, and give --workers."
        )
    if config.devices and config.policy.device != "auto":
        raise ConfigError(
            f"Both --device {config.policy.device} and --devices {','.join(config.devices)} were "
            "given. Fix: give one of them."
        )
    if config.engine == "ray" and config.delay == "measured":
        raise ConfigError(
            "--delay measured was given with --engine ray, whose machines may differ. Fix: measure "
            "with --engine local, and give the number of steps."
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


def _check_words(demos: Mapping[str, Any], environments: LiberoSpec, workload: Workload) -> str:
    """Compare what the policy is told with what it was trained on; return a note."""
    if isinstance(environments, ParaphraseSpec):
        return note_unknown(demos, environments.sentences(workload.tasks))
    return check_wording(demos, environments.tasks(workload.tasks), workload.protocol)
