"""The episodes of a run and their environments, settled without the policy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from harness.evaluation.config import EvaluationConfig
from harness.evaluation.environments import EnvironmentSpec, LiberoSpec, in_libero
from harness.evaluation.paraphrases import ParaphraseSpec
from harness.options import spoken_from_file
from results.records import EpisodeKey
from tasks.errors import ConfigError
from tasks.paraphrases import read_paraphrases
from tasks.protocols import Protocol, get_protocol
from tasks.suites import (
    Instructions,
    check_plus_files,
    check_states,
    is_plus,
    plus_subset,
    use_plus_assets,
)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The episodes of a run and their environments.

    Attributes:
        protocol: The rules.
        environments: Builds the environments.
        suite: Name of the suite in the results.
        tasks: Indices of the tasks in it.
        task_names: Names of all tasks of the suite.
        planned: The episodes of all shards, task by task.
        episodes: The episodes of this run's shard.
        recorded: The planned episodes that are filmed.
    """

    protocol: Protocol
    environments: EnvironmentSpec
    suite: str
    tasks: tuple[int, ...]
    task_names: tuple[str, ...]
    planned: tuple[EpisodeKey, ...]
    episodes: tuple[EpisodeKey, ...]
    recorded: frozenset[EpisodeKey]


def resolve_workload(
    config: EvaluationConfig, environments: EnvironmentSpec | None = None
) -> tuple[EvaluationConfig, Workload]:
    """Check the settings that need no policy and fill in their defaults.

    Args:
        config: The settings.
        environments: Builds the environments; LIBERO's by default.

    Returns:
        The configuration with tasks, initial states, seed, resolution, instructions and label, and
        the episodes.

    Raises:
        ConfigError: A protocol, suite, task, initial state, shard or file of instructions does not
            exist, or cannot be read.
    """
    use_plus_assets(config.plus_assets)
    protocol, spec = _rules_and_environments(config)
    environments = environments or spec
    names = environments.task_names()
    tasks = _check_tasks(config, environments)
    check_plus_files(config.suite, tasks)
    states = _check_states(config, protocol, environments, tasks)
    seed = protocol.seed if config.seed is None else config.seed
    planned = tuple(
        EpisodeKey(environments.suite, task, state, seed) for task in tasks for state in states
    )
    filmed = states[: len(states) if config.record == "all" else config.record]
    workload = Workload(
        protocol=protocol,
        environments=environments,
        suite=environments.suite,
        tasks=tasks,
        task_names=names,
        planned=planned,
        episodes=planned if config.shard is None else shard_of(planned, config.shard),
        recorded=frozenset(key for key in planned if key.init_state in filmed),
    )
    told = config.instructions if spoken_from_file(config.instructions) else protocol.instructions
    config = replace(
        config,
        tasks=spec.base_tasks(tasks) if isinstance(spec, ParaphraseSpec) else tasks,
        episodes=None,
        init_states=states,
        seed=seed,
        resolution=protocol.resolution,
        instructions=told,
        label=config.label or config.policy.name,
    )
    return config, workload


def _rules_and_environments(config: EvaluationConfig) -> tuple[Protocol, LiberoSpec]:
    """Return the protocol and LIBERO's environments under it."""
    words = config.instructions
    scene: dict[str, Any] = {
        "hold_steps": config.hold_steps,
        "perturb": config.perturb or "",
        "noise_stream": config.noise_stream,
        "plus_assets": config.plus_assets,
    }
    if not spoken_from_file(words):
        protocol = get_protocol(
            config.protocol,
            resolution=config.resolution,
            instructions=cast("Instructions | None", words),
        )
        protocol.step_limit(config.suite)
        return protocol, LiberoSpec(suite=config.suite, protocol=protocol, **scene)
    protocol = get_protocol(config.protocol, resolution=config.resolution)
    protocol.step_limit(config.suite)
    file = read_paraphrases(Path(words), config.suite)
    protocol = protocol.paraphrased(file.path.name, file.digest)
    return protocol, ParaphraseSpec(suite=file.name, protocol=protocol, file=file, **scene)


def _chosen_tasks(config: EvaluationConfig, count: int) -> tuple[int, ...]:
    """Return the tasks that are asked for, of a suite's ``count``."""
    asked = tuple(range(count)) if config.tasks is None else config.tasks
    if config.per_base is None and config.base_tasks is None and not config.offline_only:
        return asked
    if not is_plus(config.suite):
        raise ConfigError(
            f"--base-tasks, --per-base or --offline-only was given with {config.suite}. Allowed: "
            "with suites of LIBERO-Plus, such as libero_goal_plus."
        )
    part = plus_subset(
        config.suite,
        bases=config.base_tasks,
        per_base=config.per_base,
        offline_only=config.offline_only,
    )
    chosen = tuple(task for task in part if task in set(asked))
    if not chosen:
        raise ConfigError(
            f"None of the {len(asked)} tasks of {config.suite} is left by --base-tasks, --per-base "
            "and --offline-only. Fix: give other --tasks, or leave one of these options out."
        )
    return chosen


def _check_tasks(config: EvaluationConfig, environments: EnvironmentSpec) -> tuple[int, ...]:
    """Return the tasks, or the rows that stand for them."""
    if isinstance(environments, ParaphraseSpec):
        if config.offline_only or config.base_tasks is not None:
            raise ConfigError(
                "--offline-only or --base-tasks was given with a file of instructions, which needs "
                "no assets and whose tasks are --tasks. Fix: leave it out."
            )
        return environments.rows_of(config.tasks, config.per_base)
    count = len(environments.task_names())
    tasks = _chosen_tasks(config, count)
    if not tasks or any(task >= count for task in tasks):
        raise ConfigError(
            f"Tasks {list(tasks)} of {config.suite}. Allowed: one or more of 0 to {count - 1}."
        )
    return tasks


def _check_states(
    config: EvaluationConfig,
    protocol: Protocol,
    environments: EnvironmentSpec,
    tasks: Sequence[int],
) -> tuple[int, ...]:
    """Return the initial states, which every task must have."""
    if config.episodes is not None and config.init_states is not None:
        raise ConfigError(
            f"Both episodes ({config.episodes}) and init_states were given. Fix: give one of them."
        )
    if in_libero(environments) and environments.starts is None:
        check_states(environments.tasks(tasks))
    available = {task: environments.init_states(task) for task in tasks}
    states = config.init_states
    if states is None:
        single = isinstance(environments, ParaphraseSpec)
        usual = 1 if single else protocol.episodes_of(config.suite)
        states = tuple(range(config.episodes or min(usual, *available.values())))
    if not states or len(set(states)) != len(states) or len(set(tasks)) != len(tasks):
        raise ConfigError("A task or initial state is given twice, or none at all. Fix: each once.")
    for task, count in available.items():
        if max(states) >= count:
            raise ConfigError(
                f"Initial state {max(states)} of {config.suite} task {task} does not exist. "
                f"Allowed: 0 to {count - 1}, so at most {count} episodes per task."
            )
    return states


def shard_of(planned: Sequence[EpisodeKey], shard: str) -> tuple[EpisodeKey, ...]:
    """Return the episodes of a shard: a contiguous part of the planned ones.

    The lengths of shards differ by one at most, which balances their steps, as all episodes of a
    suite have the same step limit. Contiguous parts need the fewest simulations.

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
