"""Learning rates, warm-up and accumulation against formulas."""

import math
from pathlib import Path

import pytest

from tasks.errors import ConfigError
from training.config import TrainingConfig
from training.optimisation.schedule import accumulation, learning_rate
from training.optimisation.settings import OptimisationSettings


def rates(**settings: object) -> list[float]:
    made = OptimisationSettings(updates=100, learning_rate=1.0, **settings)
    return [learning_rate(made, update) for update in range(100)]


@pytest.mark.parametrize("name", ["constant_with_warmup", "cosine", "linear"])
def test_the_warm_up_is_a_line_in_updates(name: str) -> None:
    expected = pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates(schedule=name, warmup=10)[:10] == expected
    assert rates(schedule=name, warmup=0.1) == rates(schedule=name, warmup=10)


def test_what_follows_the_warm_up() -> None:
    assert rates(schedule="constant") == [1.0] * 100
    assert rates(schedule="constant_with_warmup", warmup=10)[10:] == [1.0] * 90
    linear = rates(schedule="linear", warmup=10)
    assert linear[10:] == pytest.approx([1 - i / 90 for i in range(90)])
    cosine = rates(schedule="cosine", warmup=10)
    assert cosine[10:] == pytest.approx([0.5 + 0.5 * math.cos(math.pi * i / 90) for i in range(90)])


def test_a_warm_up_that_would_be_ignored_is_refused() -> None:
    with pytest.raises(ConfigError, match="constant_with_warmup"):
        OptimisationSettings(schedule="constant", warmup=100)
    with pytest.raises(ConfigError, match="neither"):
        OptimisationSettings(warmup=2.5)
    assert OptimisationSettings(schedule="constant").warmup_updates == 0
    assert TrainingConfig(demos=(), out=Path("x")).warmup_updates == 100


def test_accumulation_follows_from_the_effective_batch() -> None:
    made = OptimisationSettings(batch_size=4, effective_batch_size=256)
    assert [accumulation(made, processes) for processes in (1, 2, 8, 64)] == [64, 32, 8, 1]
    assert accumulation(OptimisationSettings(batch_size=4), 8) == 1
    with pytest.raises(ConfigError, match="252 or 264"):
        accumulation(made, 3)
    with pytest.raises(ConfigError, match="Allowed nearby: 512"):
        accumulation(made, 128)
