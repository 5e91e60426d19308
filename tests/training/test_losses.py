"""Weights of the loss against the formula."""

import pytest
import torch

from policies.rdt.actions.layout_file import get_layout
from tasks.errors import ConfigError
from training.config_sections import LossSettings
from training.losses import slot_weights, weight_table

LAYOUT = get_layout("eef-velocity")
POSITION, ROTATION, GRIPPER = [39, 40, 41], [42, 43, 44], 10


def deviations() -> torch.Tensor:
    std = torch.zeros(128)
    std[POSITION] = torch.tensor([0.2, 0.4, 2.0])
    std[ROTATION] = torch.tensor([0.05, 0.001, 0.1])
    std[GRIPPER] = 0.5
    return std


def test_plain_and_masked() -> None:
    assert torch.equal(slot_weights(LossSettings(), LAYOUT, deviations()), torch.ones(128))
    masked = slot_weights(LossSettings(loss="masked"), LAYOUT, deviations())
    assert masked.mean() == 1
    assert set(torch.nonzero(masked).flatten().tolist()) == {*POSITION, *ROTATION, GRIPPER}


def test_weighted_is_the_formula() -> None:
    settings = LossSettings(
        loss="weighted", std_min=0.02, std_max=1.0, rotation_cap=1.5, gripper_factor=3.0
    )
    raw = {39: 25.0, 40: 6.25, 41: 1.0, 42: 400.0, 43: 2500.0, 44: 100.0, 10: 4.0}
    mean = sum(raw.values()) / 7
    expected = {slot: value / mean for slot, value in raw.items()}
    for slot in ROTATION:
        expected[slot] = min(expected[slot], 1.5)
    expected[10] *= 3.0
    found = slot_weights(settings, LAYOUT, deviations())
    assert expected[43] == 1.5
    assert {s: found[s].item() * 7 / 128 for s in raw} == pytest.approx(expected, rel=1e-5)
    rest = [slot for slot in range(128) if slot not in raw]
    assert found[rest].abs().sum() == 0
    table = {row["slot"]: row for row in weight_table(LAYOUT, deviations(), found)}
    assert table[40]["std"] == pytest.approx(0.4)
    assert "rot" in str(table[43]["what"])


def test_settings_that_would_be_ignored_are_refused() -> None:
    with pytest.raises(ConfigError, match="--gripper-factor with --loss masked"):
        LossSettings(loss="masked", gripper_factor=2.0)
    with pytest.raises(ConfigError, match="above --std-max"):
        LossSettings(loss="weighted", std_min=2.0)
