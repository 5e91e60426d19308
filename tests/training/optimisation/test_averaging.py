"""Averages of weights against the definition."""

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from training.optimisation.averaging import WeightAverage, decay


def test_an_average_is_the_sum_of_what_it_saw() -> None:
    module = nn.Linear(3, 2)
    average = WeightAverage(module, 0.9)
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
    ours = WeightAverage(module, 0.9999, warmup=True)
    for value in range(50):
        nn.init.constant_(module.weight, float(value))
        ours.update(module)
        theirs.step(module.parameters())
    torch.testing.assert_close(ours.tensors["weight"], theirs.shadow_params[0])
    assert decay(10_000_000, 0.9999, warmup=True) == 0.9999


def test_averages_of_coarse_weights_are_fine() -> None:
    module = nn.Linear(64, 64).to(torch.bfloat16)
    average = WeightAverage(module, 0.999)
    nn.init.constant_(module.weight, 0.0)
    average.update(module)
    nn.init.constant_(module.weight, 1.0)
    for _ in range(100):
        average.update(module)
    assert average.tensors["weight"].dtype == torch.float32
    assert average.tensors["weight"].mean().item() == pytest.approx(1 - 0.999**100, rel=1e-4)


def test_no_average_is_no_work() -> None:
    module = nn.Linear(2, 2)
    average = WeightAverage(module, 0.0)
    average.update(module)
    before = module.weight.clone()
    with average.applied(module):
        assert torch.equal(module.weight, before)
    assert average.tensors == {}
