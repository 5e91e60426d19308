"""The learning rate, and the moving average of weights."""

from pathlib import Path

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from tasks.errors import ConfigError
from training.config import TrainingConfig
from training.config_sections import OptimisationSettings
from training.launch import accumulation_steps
from training.optimisation import ExponentialMovingAverage, ema_decay, learning_rate


def test_an_average_is_the_sum_of_what_it_saw() -> None:
    module = nn.Linear(3, 2)
    average = ExponentialMovingAverage(module, 0.9)
    seen = []
    for value in (1.0, 5.0, -2.0, 4.0):
        nn.init.constant_(module.weight, value)
        average.update(module)
        seen.append(value)
    expected = seen[0]
    for value in seen[1:]:
        expected = 0.9 * expected + 0.1 * value
    assert average.tensors["weight"].mean().item() == pytest.approx(expected)
    with average.applied(module):
        assert module.weight.mean().item() == pytest.approx(expected)
    assert module.weight.mean().item() == 4.0


def test_the_rising_decay_is_that_of_diffusers() -> None:
    module = nn.Linear(2, 2)
    theirs = EMAModel(
        module.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75
    )
    ours = ExponentialMovingAverage(module, 0.9999, warmup=True)
    for value in range(50):
        nn.init.constant_(module.weight, float(value))
        ours.update(module)
        theirs.step(module.parameters())
    torch.testing.assert_close(ours.tensors["weight"], theirs.shadow_params[0])
    assert ema_decay(10_000_000, 0.9999, warmup=True) == 0.9999


def test_averages_of_coarse_weights_are_fine() -> None:
    module = nn.Linear(64, 64).to(torch.bfloat16)
    average = ExponentialMovingAverage(module, 0.999)
    nn.init.constant_(module.weight, 0.0)
    average.update(module)
    nn.init.constant_(module.weight, 1.0)
    for _ in range(100):
        average.update(module)
    assert average.tensors["weight"].dtype == torch.float32
    assert average.tensors["weight"].mean().item() == pytest.approx(1 - 0.999**100, rel=1e-4)


def test_no_average_is_no_work() -> None:
    module = nn.Linear(2, 2)
    average = ExponentialMovingAverage(module, 0.0)
    average.update(module)
    before = module.weight.clone()
    with average.applied(module):
        assert torch.equal(module.weight, before)
    assert average.tensors == {}


def rates(**settings: object) -> list[float]:
    made = OptimisationSettings(updates=100, learning_rate=1.0, **settings)
    return [learning_rate(made, update) for update in range(100)]


TENTHS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


@pytest.mark.parametrize("name", ["constant_with_warmup", "cosine", "linear"])
def test_the_warm_up_rises_by_equal_steps_to_the_peak(name: str) -> None:
    assert rates(schedule=name, warmup=10)[:10] == pytest.approx(TENTHS)
    assert rates(schedule=name, warmup=0.1) == rates(schedule=name, warmup=10)


@pytest.mark.parametrize(
    ("name", "after_warmup"),
    [
        ("constant_with_warmup", {10: 1, 40: 1, 55: 1, 70: 1, 99: 1}),
        ("linear", {10: 1, 40: 0.66666667, 55: 0.5, 70: 0.33333333, 99: 0.01111111}),
        ("cosine", {10: 1, 25: 0.9330127, 40: 0.75, 55: 0.5, 70: 0.25, 85: 0.0669873}),
    ],
)
def test_the_learning_rate_after_the_warm_up(name: str, after_warmup: dict[int, float]) -> None:
    found = rates(schedule=name, warmup=10)
    assert {update: found[update] for update in after_warmup} == pytest.approx(after_warmup)
    assert found[10:] == sorted(found[10:], reverse=True)


def test_a_constant_rate_has_no_warm_up() -> None:
    assert rates(schedule="constant") == [1.0] * 100


def test_a_warm_up_that_would_be_ignored_is_refused() -> None:
    with pytest.raises(ConfigError, match="constant_with_warmup"):
        OptimisationSettings(schedule="constant", warmup=100)
    with pytest.raises(ConfigError, match="neither"):
        OptimisationSettings(warmup=2.5)
    assert OptimisationSettings(schedule="constant").warmup_updates == 0
    assert TrainingConfig(demos=(), out=Path("x")).warmup_updates == 100


def test_accumulation_follows_from_the_effective_batch() -> None:
    made = OptimisationSettings(batch_size=4, effective_batch_size=256)
    assert [accumulation_steps(made, processes) for processes in (1, 2, 8, 64)] == [64, 32, 8, 1]
    assert accumulation_steps(OptimisationSettings(batch_size=4), 8) == 1
    with pytest.raises(ConfigError, match="252 or 264"):
        accumulation_steps(made, 3)
    with pytest.raises(ConfigError, match="Allowed nearby: 512"):
        accumulation_steps(made, 128)
