"""What an evaluation will do, settled and checked before it starts; nothing is written here.

``resolve_workload`` needs no policy: it fills in the settings and lists the episodes.
``plan_evaluation``, ``plan_runs`` and ``plan_sweep`` build the policy and give plans, which
``harness.evaluation.run.execute`` carries out.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

from pydantic import TypeAdapter

from harness.capacity import default_workers
from harness.evaluation.config import PINNED, VOLATILE, EvaluationConfig, run_name
from harness.evaluation.environments import EnvironmentSpec, LiberoSpec, in_libero
from harness.provenance import checkpoint_sha256, collect_provenance
from harness.wording import check_wording
from policies.executor import PlanExecutor, check_exec_horizon
from policies.fusion import Fusion
from policies.interface import OptionalMembers, StartingPolicy
from policies.registry import AnyPolicy
from results.folder import RUN_FILE
from results.records import EpisodeKey, RunInfo
from results.store import RunStore
from tasks.errors import ConfigError
from tasks.protocols import Protocol, get_protocol


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The episodes of a run and where they take place.

    Attributes:
        protocol: The rules.
        environments: Builds the environments.
        task_names: Names of all tasks of the suite.
        planned: The episodes of all shards, task by task.
        episodes: Those of this run's shard.
        recorded: The planned episodes of which a video is made.
    """

    protocol: Protocol
    environments: EnvironmentSpec
    task_names: tuple[str, ...]
    planned: tuple[EpisodeKey, ...]
    episodes: tuple[EpisodeKey, ...]
    recorded: frozenset[EpisodeKey]


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """A run of which everything was checked that can be before it starts.

    Attributes:
        config: What is asked, every default filled in.
        workload: The episodes.
        policy: The policy, built.
        info: What ``run.json`` will say.
        volatile: Settings in ``info`` that may change when the run is resumed.
        note: What the user should know before it starts; empty if nothing.
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
        environments: Where episodes take place; LIBERO by default.

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
    exec_horizons: Sequence[int],
    fusions: Sequence[Fusion],
    *,
    policy: AnyPolicy | None = None,
    environments: EnvironmentSpec | None = None,
) -> list[EvaluationPlan]:
    """Plan a run for each combination of execution horizon and fusion, horizon by horizon.

    Args:
        config: What is common to all. A single combination has its folder ``out`` as run folder;
            several have one each below it, such as ``h16-act``.
        exec_horizons: Steps executed per plan; none for the policy's own.
        fusions: How overlapping plans are fused.
        policy: See ``plan_runs``.
        environments: See ``plan_runs``.

    Raises:
        HarnessError: A setting of any combination is not allowed.
        ResultsError: A folder holds something else or another run.
    """
    several = max(len(exec_horizons), 1) * len(fusions) > 1
    if several:
        _check_sweep_folder(config)
    config, workload = resolve_workload(config, environments)
    built = policy or config.policy.build()
    horizons = exec_horizons or (built.spec.exec_horizon,)
    for exec_horizon in horizons:
        check_exec_horizon(exec_horizon, built.spec.horizon)
    runs = [
        replace(
            config,
            exec_horizon=exec_horizon,
            fusion=fusion,
            out=config.out / run_name(exec_horizon, fusion) if several else config.out,
        )
        for exec_horizon, fusion in product(horizons, fusions)
    ]
    return [_plan(run, workload, built) for run in runs]


def _check_sweep_folder(config: EvaluationConfig) -> None:
    out = config.out
    reason = "is a file" if out.is_file() else "holds a run of its own"
    if out.is_file() or (out / RUN_FILE).exists():
        raise ConfigError(
            f"'{out}' {reason}, and several runs are asked for, which need a folder each below it. "
            "Fix: give another --out, or one --exec-horizon and one --fusion."
        )


def resolve_workload(
    config: EvaluationConfig, environments: EnvironmentSpec | None = None
) -> tuple[EvaluationConfig, Workload]:
    """Check and fill in what needs no policy, so that the saved configuration says what was run.

    Args:
        config: What is asked.
        environments: Where episodes take place; LIBERO by default.

    Returns:
        The configuration with tasks, initial states, seed, resolution, instructions and label, and
        the episodes.

    Raises:
        ConfigError: A protocol, suite, task, initial state or shard does not exist.
    """
    protocol = get_protocol(
        config.protocol, resolution=config.resolution, instructions=config.instructions
    )
    protocol.step_limit(config.suite)
    environments = environments or LiberoSpec(
        suite=config.suite, protocol=protocol, hold_steps=config.hold_steps
    )
    names = environments.task_names()
    tasks = tuple(range(len(names))) if config.tasks is None else config.tasks
    if not tasks or any(task >= len(names) for task in tasks):
        raise ConfigError(
            f"Tasks {list(tasks)} of {config.suite}. Allowed: one or more of 0 to {len(names) - 1}."
        )
    if config.episodes is not None and config.init_states is not None:
        raise ConfigError(
            f"Both episodes ({config.episodes}) and init_states were given. Fix: give one of them."
        )
    states = config.init_states
    if states is None:
        states = tuple(range(config.episodes or protocol.episodes))
    if not states or len(set(states)) != len(states) or len(set(tasks)) != len(tasks):
        raise ConfigError("A task or initial state is given twice, or none at all. Fix: each once.")
    for task in tasks:
        available = environments.init_states(task)
        if max(states) >= available:
            raise ConfigError(
                f"Initial state {max(states)} of {config.suite} task {task} does not exist. "
                f"Allowed: 0 to {available - 1}, so at most {available} episodes per task."
            )
    seed = protocol.seed if config.seed is None else config.seed
    planned = tuple(
        EpisodeKey(config.suite, task, state, seed) for task in tasks for state in states
    )
    filmed = states[: len(states) if config.record == "all" else config.record]
    workload = Workload(
        protocol=protocol,
        environments=environments,
        task_names=names,
        planned=planned,
        episodes=planned if config.shard is None else shard_of(planned, config.shard),
        recorded=frozenset(key for key in planned if key.init_state in filmed),
    )
    config = replace(
        config,
        tasks=tasks,
        episodes=None,
        init_states=states,
        seed=seed,
        resolution=protocol.resolution,
        instructions=protocol.instructions,
        label=config.label or config.policy.name,
    )
    return config, workload


def shard_of(planned: Sequence[EpisodeKey], shard: str) -> tuple[EpisodeKey, ...]:
    """Return the episodes of a shard.

    Shards are runs of the planned episodes whose lengths differ by one at most. As all episodes of
    a suite have the same step limit, that balances their steps; as they are contiguous, a shard
    builds as few simulations as can be.

    Args:
        planned: The episodes of the whole run.
        shard: Such as ``2/4``, the second of four.

    Raises:
        ConfigError: It cannot be read, or there are more shards than episodes.
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", shard)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(
            f"Shard '{shard}' cannot be read. Allowed: I/N with I from 1 to N, such as 1/4 to 4/4."
        )
    number, count, episodes = int(match[1]), int(match[2]), len(planned)
    if count > episodes:
        raise ConfigError(
            f"Shard {shard} of a run with {episodes} episodes. Allowed: I/N with N up to "
            f"{episodes}."
        )
    return tuple(planned[episodes * (number - 1) // count : episodes * number // count])


def _plan(config: EvaluationConfig, workload: Workload, policy: AnyPolicy) -> EvaluationPlan:
    members = OptionalMembers.of(policy)
    members.check_fit(workload.protocol)
    environments = workload.environments
    note = ""
    demos = members.demos
    if demos is not None and in_libero(environments):
        note = check_wording(demos, environments.tasks(config.tasks or ()), workload.protocol)
    spec = policy.spec
    exec_horizon = spec.exec_horizon if config.exec_horizon is None else config.exec_horizon
    check_exec_horizon(exec_horizon, spec.horizon)
    config = replace(
        config,
        exec_horizon=exec_horizon,
        workers=config.workers or default_workers(),  # the policy has taken its memory by now
    )
    info = _describe(config, workload, policy, members)
    volatile = (*VOLATILE, *(f"policy.options.{name}" for name in members.resumable_options))
    RunStore.check(config.out, info, volatile=volatile, pinned=PINNED)
    return EvaluationPlan(
        config=config, workload=workload, policy=policy, info=info, volatile=volatile, note=note
    )


def _describe(
    config: EvaluationConfig, workload: Workload, policy: AnyPolicy, members: OptionalMembers
) -> RunInfo:
    """Return what ``run.json`` says."""
    spec, protocol, environments = policy.spec, workload.protocol, workload.environments
    tasks, states = config.tasks or (), config.init_states or ()
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
    if isinstance(policy, StartingPolicy):
        described["starts_sha256"] = policy.check_episodes(config.suite, tasks, states)
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
    settings = TypeAdapter(EvaluationConfig).dump_python(config, mode="json", exclude={"policy"})
    return RunInfo(
        name=config.label or config.policy.name,
        policy=described,
        protocol={**protocol.as_dict(), "hash": protocol.hash},
        tasks={config.suite: tasks},
        episodes_per_task=len(states),
        expected_episodes=len(workload.planned),  # a shard alone is an incomplete run
        demos=str(demos.get("label") or ", ".join(sorted(demos))) if demos else None,
        config=settings,
        provenance=provenance,
    )
