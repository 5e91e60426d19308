"""The episodes of a run and their environments, settled without the policy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.evaluation.config import EvaluationConfig
from harness.evaluation.environments import EnvironmentSpec, LiberoSpec
from results.records import EpisodeKey
from tasks.errors import ConfigError
from tasks.protocols import Protocol, get_protocol


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The episodes of a run and their environments.

    Attributes:
        protocol: The rules.
        environments: Builds the environments.
        task_names: Names of all tasks of the suite.
        planned: The episodes of all shards, task by task.
        episodes: The episodes of this run's shard.
        recorded: The planned episodes that are filmed.
    """

    protocol: Protocol
    environments: EnvironmentSpec
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
