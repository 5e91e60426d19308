"""Measuring normalisations, and whose is taken."""

from pathlib import Path

import numpy as np
import pytest
import torch

from policies.rdt.actions.normalisation import Normalisation, action_slots, state_slots
from tasks.demos.reader import read_demos
from tasks.errors import ConfigError
from tests.training.demo_files import write_file
from tests.training.windows import LAYOUT, demos_of, windows_of
from training.data.normalisation import LEAST_SCALE, choose_normalisation, measure, scales
from training.data_settings import DataSettings

ARM = list(action_slots(LAYOUT))


def test_each_method_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal([3.0, -2.0], [0.5, 4.0], (501, 2))
    mean = scales("meanstd", values, (39, 40))
    np.testing.assert_allclose(mean.offset, values.sum(0) / 501)
    deviation = np.sqrt(((values - values.sum(0) / 501) ** 2).sum(0) / 501)
    np.testing.assert_allclose(mean.scale, deviation)
    ordered = np.sort(values, axis=0)
    for method, low, high in (("minmax", 0, 500), ("quantile", 5, 495)):
        found = scales(method, values, (39, 40))
        ends = np.stack([ordered[low], ordered[high]])
        np.testing.assert_allclose((ends - found.offset) / found.scale, [[-1, -1], [1, 1]])


@pytest.mark.parametrize("method", ["meanstd", "minmax", "quantile"])
def test_what_hardly_changes_is_not_blown_up(method: str) -> None:
    values = np.stack([np.full(50, 0.7), np.linspace(0, 1e-6, 50)], axis=1)
    found = scales(method, values, (39, 40))
    assert found.scale == (LEAST_SCALE, LEAST_SCALE)
    assert np.abs((values - found.offset) / found.scale).max() < 1e-3


def test_states_and_actions_have_their_own_numbers(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", demos=3, steps=40, convention="before_action")
    settings = {"held_out": 1}
    demos = demos_of(path, **settings)
    assert len(demos) == 2
    found = measure("meanstd", LAYOUT, demos, "executed")
    data, plain = windows_of(path, normalisation=found, **settings), windows_of(path, **settings)
    actions = np.concatenate([demo.actions[:, :6] for demo in read_demos(path)][:2])
    joints = np.concatenate([demo.joint_pos for demo in read_demos(path)][:2])
    np.testing.assert_allclose(found.action.scale, actions.std(0), rtol=1e-5)
    np.testing.assert_allclose(found.state.offset[:7], joints.mean(0), rtol=1e-4, atol=1e-6)
    # The gripper's slot is as the layout has it; what the loss's weights see is normalised.
    np.testing.assert_allclose(data.action_std[ARM], 1.0, rtol=1e-4)
    assert data.action_std[10] == plain.action_std[10]
    sample, before = data[5], plain[5]
    expected = (before["actions"][:, ARM].numpy() - found.action.offset) / found.action.scale
    np.testing.assert_allclose(sample["actions"][:, ARM], expected, atol=1e-5)
    assert torch.equal(sample["actions"][:, 10], before["actions"][:, 10])
    # Noise in decibels is a share of the same spread before and after.
    slots = list(state_slots(LAYOUT))
    share = before["state_std"][slots].numpy() / np.array(found.state.scale)
    np.testing.assert_allclose(sample["state_std"][slots], share, rtol=1e-4)
    np.testing.assert_allclose(data.mean_state[slots], 0.0, atol=1e-5)


def test_beyond_the_end_nothing_moves(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", convention="before_action")
    found = measure("quantile", LAYOUT, demos_of(path), "executed")
    last = windows_of(path, normalisation=found)[11]["actions"].numpy()
    decoded = found.applied_to(LAYOUT).decode_actions(last)
    np.testing.assert_allclose(decoded[1:, :6], 0.0, atol=1e-6)
    assert (decoded[:, 6] == 1.0).all()


def test_whose_normalisation_is_taken(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5")
    demos = demos_of(path)
    none, mean = Normalisation(), measure("meanstd", LAYOUT, demos, "executed")

    def choose(asked: str | None, start=none, before=None) -> Normalisation:
        settings = DataSettings(normalise=asked)
        return choose_normalisation(settings, LAYOUT, demos, start=start, before=before)

    assert choose(None) == choose("none") == choose("none", start=mean) == none
    assert choose(None, start=mean) == mean
    assert choose("quantile", start=mean) == measure("quantile", LAYOUT, demos, "executed")
    # A run that goes on keeps its numbers, even if the demonstrations changed since.
    other = measure("meanstd", LAYOUT, demos[:1], "executed")
    assert choose("meanstd", before=other) == choose(None, before=other) == other
    with pytest.raises(ConfigError, match=r"under 'meanstd'. Fix: --normalise meanstd"):
        choose("quantile", before=other)
