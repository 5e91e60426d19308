"""Weights of the loss."""

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


def test_weights_are_inverse_variances_clamped_and_capped() -> None:
    """Golden numbers: inverse variances 25, 6.25, 1, 400, 2500, 100, 4, whose mean is 433.75."""
    settings = LossSettings(
        loss="weighted", std_min=0.02, std_max=1.0, rotation_cap=1.5, gripper_factor=3.0
    )
    found = slot_weights(settings, LAYOUT, deviations())
    golden = {
        39: 1.0539316,  # 25 / 433.75 × 128 / 7
        40: 0.2634829,
        41: 0.0421573,  # a deviation of 2 counts as 1
        42: 16.8629060,
        43: 27.4285714,  # a deviation of 0.001 counts as 0.02; capped at 1.5 × 128 / 7
        44: 4.2157265,
        10: 0.5058872,  # three times 4 / 433.75 × 128 / 7
    }
    assert {slot: found[slot].item() for slot in golden} == pytest.approx(golden, rel=1e-5)
    assert found[[slot for slot in range(128) if slot not in golden]].abs().sum() == 0
    table = {row["slot"]: row for row in weight_table(LAYOUT, deviations(), found)}
    assert table[40]["std"] == pytest.approx(0.4)
    assert table[40]["weight"] == 0.2635
    assert "rot" in str(table[43]["what"])


def test_equal_deviations_weigh_alike() -> None:
    weighted, masked = LossSettings(loss="weighted"), LossSettings(loss="masked")
    equal = torch.full((128,), 0.3)
    torch.testing.assert_close(
        slot_weights(weighted, LAYOUT, equal), slot_weights(masked, LAYOUT, equal)
    )


def test_settings_that_would_be_ignored_are_refused() -> None:
    with pytest.raises(ConfigError, match="--gripper-factor with --loss masked"):
        LossSettings(loss="masked", gripper_factor=2.0)
    with pytest.raises(ConfigError, match="above --std-max"):
        LossSettings(loss="weighted", std_min=2.0)
