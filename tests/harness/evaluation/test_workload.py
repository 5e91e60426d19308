from pathlib import Path

import pytest

from harness.evaluation.config import EvaluationConfig
from harness.evaluation.workload import Workload, resolve_workload, shard_of
from policies.registry import PolicyConfig
from tasks.errors import ConfigError
from tests.harness.doubles import EchoSpec


def workload(**changes: object) -> Workload:
    config = EvaluationConfig(
        policy=PolicyConfig(name="random"),
        suite="libero_object",
        out=Path("nowhere"),
        **{"episodes": 7, **changes},  # type: ignore[arg-type]
    )
    return resolve_workload(config, EchoSpec())[1]


@pytest.mark.parametrize("count", [1, 2, 4, 5, 21])
def test_shards_are_disjoint_complete_and_of_equal_length(count: int) -> None:
    shards = [workload(shard=f"{i}/{count}").episodes for i in range(1, count + 1)]
    assert tuple(key for shard in shards for key in shard) == workload().planned
    lengths = [len(shard) for shard in shards]
    assert max(lengths) - min(lengths) <= 1
    # Contiguous: all shards together build a simulation for each task and each cut.
    built = sum(len({key.task for key in shard}) for shard in shards)
    assert built <= 3 + count - 1


def test_without_a_shard_everything_is_asked_for() -> None:
    assert workload().episodes == workload().planned
    assert len(workload().planned) == 21


def test_films_are_the_same_in_whatever_shard() -> None:
    whole = workload(record=2).recorded
    assert {(key.task, key.init_state) for key in whole} == {
        (task, state) for task in range(3) for state in range(2)
    }
    assert workload(record=2, shard="2/4").recorded == whole
    assert workload(record="all").recorded == set(workload().planned)
    assert workload().recorded == set()


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "-1/4", "1/4/2", "a/b", "1/2 ", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 1/4"):
        shard_of(workload().planned, text)


def test_more_shards_than_episodes_are_refused() -> None:
    four = workload(tasks=(0,), episodes=4).planned
    assert shard_of(four, "4/4") == four[3:]
    with pytest.raises(ConfigError, match="N up to 21"):
        workload(shard="1/22")
