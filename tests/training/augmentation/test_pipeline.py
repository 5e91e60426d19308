"""Augmentation: alike for all frames, bounded, as often as asked, never a flip."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.errors import ConfigError
from tests.training.demo_files import write_file
from training.augmentation.photometric import add_noise, crop_resize, jitter, turn_hue
from training.augmentation.pipeline import augment_images, draw_preview
from training.data_settings import AugmentationSettings

SIZE = 32
CHANGES = [
    {"image_shift": 4},
    {"crop": 0.3},
    {"colour": 1.0},
    {"blur": 1.0},
    {"motion_blur": 1.0},
    {"pixel_noise": 10.0},
    {"augment": "official"},
]


def pictures(samples: int = 12) -> torch.Tensor:
    """Return (samples, 2, 2, 3, S, S): the two frames of a camera are the same picture."""
    generator = torch.Generator().manual_seed(0)
    shape = samples, 1, 2, 3, SIZE // 4, SIZE // 4
    coarse = torch.randint(0, 255, shape, generator=generator, dtype=torch.uint8)
    one = coarse.repeat_interleave(4, -1).repeat_interleave(4, -2)
    return one.expand(-1, 2, -1, -1, -1, -1).contiguous()


@pytest.mark.parametrize("settings", CHANGES, ids=lambda each: next(iter(each)))
def test_frames_of_a_camera_change_alike_and_cameras_apart(settings: dict[str, object]) -> None:
    torch.manual_seed(1)
    given = pictures()
    found = augment_images(given, AugmentationSettings(**settings))
    assert found.shape == given.shape
    assert found.dtype == torch.uint8
    assert torch.equal(found[:, 0], found[:, 1])
    changed = (found != given).flatten(3).any(3)[:, 0]
    assert changed.any()
    assert len({tuple(row.tolist()) for row in (found.int() - given.int()).flatten(1)}) > 6


@pytest.mark.parametrize("settings", CHANGES, ids=lambda each: next(iter(each)))
def test_left_stays_left(settings: dict[str, object]) -> None:
    given = torch.zeros(8, 2, 2, 3, SIZE, SIZE, dtype=torch.uint8)
    given[..., : SIZE // 2] = 200  # the left is light
    given[..., : SIZE // 2, :] += 40  # the top is lighter
    torch.manual_seed(0)
    found = augment_images(given, AugmentationSettings(**settings)).float()
    left, right = found[..., : SIZE // 2], found[..., SIZE // 2 :]
    assert (left.mean((-1, -2, -3)) > right.mean((-1, -2, -3))).all()
    top, bottom = found[..., : SIZE // 2, :], found[..., SIZE // 2 :, :]
    assert (top.mean((-1, -2, -3)) > bottom.mean((-1, -2, -3))).all()


def test_nothing_asked_nothing_done() -> None:
    given = pictures()
    assert augment_images(given, AugmentationSettings()) is given


def test_the_official_mix_leaves_half_of_all_pictures() -> None:
    torch.manual_seed(0)
    given = pictures(100)
    found = augment_images(given, AugmentationSettings(augment="official"))
    share = (found != given).flatten(3).any(3)[:, 0].float().mean().item()
    assert share == pytest.approx(0.5, abs=0.1)
    with pytest.raises(ConfigError, match="has its own"):
        AugmentationSettings(augment="official", blur=0.5)


def test_hue_turns_as_colorsys_does() -> None:
    import colorsys

    colours = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    turned = turn_hue(colours, 0.2)
    for place in range(16):
        hue, saturation, value = colorsys.rgb_to_hsv(*colours.flatten(2)[0, :, place].tolist())
        expected = colorsys.hsv_to_rgb((hue + 0.2) % 1.0, saturation, value)
        assert turned.flatten(2)[0, :, place].tolist() == pytest.approx(expected, abs=1e-4)


def test_jitter_of_no_strength_is_none_and_noise_has_its_deviation() -> None:
    torch.manual_seed(0)
    frames = 0.25 + 0.5 * torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(jitter(frames, 0.0), frames, atol=1e-5, rtol=0)
    for kind, deviation in (("gaussian", 5.0), ("laplace", 5.0 * 2**0.5), ("poisson", 5.0**0.5)):
        noise = (add_noise(frames, kind, 5.0, per_channel=True) - frames) * 255
        assert noise.std().item() == pytest.approx(deviation, rel=0.05)
        assert torch.equal(noise[0].round(), noise[1].round())


def test_a_crop_is_part_of_the_picture() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    for _ in range(20):
        row = crop_resize(ramp, 0.4)[0, 0, 32]
        assert (row.diff() >= 0).all()
        assert 0.55 <= (row[-1] - row[0]).item() <= 1.0


def test_the_sheet_shows_what_was_recorded_first(tmp_path: Path) -> None:
    demos = write_file(tmp_path / "a.hdf5", size=16)
    settings = AugmentationSettings(augment="official")
    sheet = draw_preview(demos, tmp_path / "out" / "s.png", settings, size=16, rows=4)
    drawn = np.asarray(Image.open(sheet))
    side = 128 + 4
    assert drawn.shape == (4 * side, 12 * side, 3)
    plain = draw_preview(demos, tmp_path / "p.png", AugmentationSettings(), size=16, rows=2)
    first = np.asarray(Image.open(plain))
    assert (first[:side] == first[side:]).all()
    assert (first[:side] == drawn[:side]).all()
    assert (drawn[:side] != drawn[side : 2 * side]).any()
