"""Noise on the state, and how often parts of a sample are hidden."""

import pytest
import torch

from policies.rdt.encoders.images import BACKGROUND
from tasks.errors import ConfigError
from training.data.windows import add_state_noise, mask_conditions
from training.data_settings import DataSettings

CAMERAS = ("agentview", "wrist")
COUNT = 4000


def batch() -> dict[str, torch.Tensor]:
    return {
        "images": torch.zeros(COUNT, 2, 2, 3, 2, 2, dtype=torch.uint8),
        "state": torch.zeros(COUNT, 5),
        "state_std": torch.arange(5.0).expand(COUNT, -1),
        "action_mask": torch.ones(COUNT, 5),
        "token_ids": torch.full((COUNT, 3), 7),
        "token_mask": torch.ones(COUNT, 3, dtype=torch.bool),
        "actions": torch.zeros(1),
    }


def hidden(missing: tuple[str, ...] = (), **settings: float) -> dict[str, float]:
    torch.manual_seed(0)
    given = batch()
    before = dict(given)
    no_text = torch.tensor([1, 0, 0]), torch.tensor([True, False, False])
    chances = DataSettings(**settings)
    mask_conditions(given, chances, CAMERAS, torch.ones(5), no_text, missing=missing)
    assert before["images"].sum() == 0
    pictures = (given["images"] == BACKGROUND).float().flatten(3)
    assert torch.equal(pictures.amin(3), pictures.amax(3))  # a picture is hidden whole or not
    frequencies = given.get("ctrl_freqs", torch.full((COUNT,), 20.0))
    assert set(frequencies.tolist()) <= {0.0, 20.0}
    silent = given["token_ids"][:, 0] == 1
    assert torch.equal(silent, ~given["token_mask"][:, 1])
    return {
        "agentview": pictures[:, :, 0].mean().item(),
        "wrist": pictures[:, :, 1].mean().item(),
        "state": given["state"].mean().item(),
        "frequency": (frequencies == 0).float().mean().item(),
        "language": silent.float().mean().item(),
        "elements": 1 - given["action_mask"].mean().item(),
    }


def test_one_probability_hides_everything_as_often() -> None:
    assert hidden(condition_mask=0.1) == pytest.approx(dict.fromkeys(hidden(), 0.1), abs=0.02)


@pytest.mark.parametrize("what", ["agentview", "wrist", "state", "frequency", "language"])
def test_each_has_its_own(what: str) -> None:
    expected = dict.fromkeys(hidden(), 0.0) | {what: 0.3}
    assert hidden(**{f"mask_{what}": 0.3}) == pytest.approx(expected, abs=0.03)
    rest = dict.fromkeys(hidden(), 0.2) | {what: 0.0}
    assert hidden(condition_mask=0.2, **{f"mask_{what}": 0.0}) == pytest.approx(rest, abs=0.03)


def test_a_missing_camera_is_always_hidden() -> None:
    expected = dict.fromkeys(hidden(), 0.0) | {"wrist": 1.0}
    assert hidden(missing=("wrist",)) == expected
    some = hidden(missing=("agentview",), condition_mask=0.2)
    assert some["agentview"] == 1.0
    assert some["wrist"] == pytest.approx(0.2, abs=0.02)


def test_cameras_are_known_and_their_masks_have_an_effect() -> None:
    assert DataSettings(cameras=("wrist",)).cameras == ("wrist",)
    for bad in ((), ("wrist", "wrist")):
        with pytest.raises(ConfigError, match=r"--cameras .* is not allowed.*Fix"):
            DataSettings(cameras=bad)
    with pytest.raises(ConfigError, match="--mask-wrist without the camera wrist"):
        DataSettings(cameras=("agentview",), mask_wrist=0.1)


def test_nothing_is_hidden_by_default() -> None:
    assert set(hidden().values()) == {0.0}


def test_noise_has_the_deviation_of_its_decibels() -> None:
    torch.manual_seed(0)
    given = batch()
    add_state_noise(given, 20.0)
    expected = [0.0, 0.1, 0.2, 0.3, 0.4]
    assert given["state"].std(0).tolist() == pytest.approx(expected, rel=0.05)
    clean = batch()
    add_state_noise(clean, None)
    assert clean["state"].abs().sum() == 0
