from pathlib import Path

import pytest

from harness.evaluation.config import EvaluationConfig
from harness.evaluation.environments import EnvironmentSpec
from harness.evaluation.plan import (
    episode_keys,
    parse_shard,
    planned_keys,
    recorded_keys,
    resolve,
)
from policies.registry import PolicyConfig
from tasks.errors import ConfigError
from tests.harness.doubles import EchoSpec


def resolved(**changes: object) -> EvaluationConfig:
    config = EvaluationConfig(
        policy=PolicyConfig(name="random"),
        suite="libero_object",
        out=Path("nowhere"),
        **{"episodes": 7, **changes},  # type: ignore[arg-type]
    )
    places: EnvironmentSpec = EchoSpec()
    return resolve(config, environments=places)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 21])
def test_shards_are_disjoint_complete_and_of_equal_length(count: int) -> None:
    shards = [episode_keys(resolved(shard=f"{i}/{count}")) for i in range(1, count + 1)]
    assert [key for shard in shards for key in shard] == planned_keys(resolved())
    lengths = [len(shard) for shard in shards]
    assert max(lengths) - min(lengths) <= 1
    # Contiguous: all shards together build a simulation for each task and each cut.
    built = sum(len({key.task for key in shard}) for shard in shards)
    assert built <= 3 + count - 1


def test_without_a_shard_everything_is_asked_for() -> None:
    assert episode_keys(resolved()) == planned_keys(resolved())
    assert len(planned_keys(resolved())) == 21


def test_films_are_the_same_in_whatever_shard() -> None:
    whole = recorded_keys(resolved(record=2))
    assert {(key.task, key.init_state) for key in whole} == {
        (task, state) for task in range(3) for state in range(2)
    }
    assert recorded_keys(resolved(record=2, shard="2/4")) == whole
    assert recorded_keys(resolved(record="all")) == set(planned_keys(resolved()))
    assert recorded_keys(resolved()) == set()


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "-1/4", "1/4/2", "a/b", "1/2 ", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 1/4"):
        parse_shard(text, 100)


def test_more_shards_than_episodes_are_refused() -> None:
    assert parse_shard("4/4", 4) == (4, 4)
    with pytest.raises(ConfigError, match="N up to 21"):
        resolved(shard="1/22")
