"""Which episodes an evaluation consists of: its settings filled in, its shard, its films."""

import re
from dataclasses import replace

from harness.evaluation.config import EvaluationConfig
from harness.evaluation.environments import EnvironmentSpec, LiberoSpec
from results.records import EpisodeKey
from tasks.errors import ConfigError
from tasks.protocols import Protocol, get_protocol


def asked_protocol(config: EvaluationConfig) -> Protocol:
    """Return the protocol that a configuration asks for, with its changes.

    Raises:
        ConfigError: There is no such protocol, or a change is not allowed.
    """
    return get_protocol(
        config.protocol, resolution=config.resolution, instructions=config.instructions
    )


def resolve(
    config: EvaluationConfig, *, environments: EnvironmentSpec | None = None
) -> EvaluationConfig:
    """Check and fill in what needs no policy, so that the saved configuration says what was run.

    Args:
        config: What is asked.
        environments: Where episodes take place; LIBERO by default.

    Returns:
        The configuration with tasks, initial states, seed, resolution, instructions and label.

    Raises:
        ConfigError: A protocol, suite, task, initial state or shard does not exist.
    """
    protocol = asked_protocol(config)
    protocol.step_limit(config.suite)
    places = environments or LiberoSpec(suite=config.suite, protocol=protocol)
    names = places.task_names()
    tasks = tuple(range(len(names))) if config.tasks is None else config.tasks
    wrong = [task for task in tasks if task >= len(names)]
    if wrong or not tasks:
        raise ConfigError(
            f"Tasks {list(tasks)} of {config.suite}. Allowed: one or more of 0 to {len(names) - 1}."
        )
    if config.episodes is not None and config.init_states is not None:
        raise ConfigError(
            f"Both episodes ({config.episodes}) and init_states were given. Fix: give one of them."
        )
    wanted = config.init_states
    if wanted is None:
        wanted = tuple(range(config.episodes or protocol.episodes))
    if not wanted or len(set(wanted)) != len(wanted) or len(set(tasks)) != len(tasks):
        raise ConfigError("A task or initial state is given twice, or none at all. Fix: each once.")
    for task in tasks:
        available = places.init_states(task)
        if max(wanted) >= available:
            raise ConfigError(
                f"Initial state {max(wanted)} of {config.suite} task {task} does not exist. "
                f"Allowed: 0 to {available - 1}, so at most {available} episodes per task."
            )
    if config.shard is not None:
        parse_shard(config.shard, len(tasks) * len(wanted))
    return replace(
        config,
        tasks=tasks,
        episodes=None,
        init_states=wanted,
        seed=protocol.seed if config.seed is None else config.seed,
        resolution=protocol.resolution,
        instructions=protocol.instructions,
        label=config.label or config.policy.name,
    )


def parse_shard(text: str, episodes: int) -> tuple[int, int]:
    """Read which part of a run is asked for.

    Args:
        text: Such as ``2/4``, the second of four.
        episodes: Episodes of the whole run.

    Returns:
        The part's number, from 1, and the number of parts.

    Raises:
        ConfigError: It is something else, or there are more parts than episodes.
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(
            f"Shard '{text}' cannot be read. Allowed: I/N with I from 1 to N, such as 1/4 to 4/4."
        )
    if int(match[2]) > episodes:
        raise ConfigError(
            f"Shard {text} of a run with {episodes} episodes. Allowed: I/N with N up to {episodes}."
        )
    return int(match[1]), int(match[2])


def planned_keys(config: EvaluationConfig) -> list[EpisodeKey]:
    """Return the episodes of a resolved configuration, task by task, those of all shards."""
    assert config.tasks is not None
    assert config.init_states is not None
    assert config.seed is not None
    return [
        EpisodeKey(config.suite, task, state, config.seed)
        for task in config.tasks
        for state in config.init_states
    ]


def episode_keys(config: EvaluationConfig) -> list[EpisodeKey]:
    """Return the episodes that a resolved configuration asks for: those of its shard.

    Shards are runs of the planned episodes whose lengths differ by one at most. As all episodes of
    a suite have the same step limit, that balances their steps; as they are contiguous, a shard
    builds as few simulations as can be.
    """
    planned = planned_keys(config)
    if config.shard is None:
        return planned
    number, count = parse_shard(config.shard, len(planned))
    return planned[len(planned) * (number - 1) // count : len(planned) * number // count]


def recorded_keys(config: EvaluationConfig) -> set[EpisodeKey]:
    """Return the planned episodes of which a video is to be made, those of all shards."""
    assert config.init_states is not None
    count = len(config.init_states) if config.record == "all" else config.record
    states = config.init_states[: max(count, 0)]
    return {key for key in planned_keys(config) if key.init_state in states}
