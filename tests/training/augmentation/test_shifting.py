"""Shifting pictures."""

import torch

from training.augmentation.shifting import BACKGROUND, mask_conditions, shift_images


def test_shifts_are_bounded_and_alike_over_history() -> None:
    torch.manual_seed(0)
    size, most = 12, 3
    rows = torch.arange(size, dtype=torch.uint8)[:, None].expand(size, size)
    columns = rows.T
    picture = torch.stack([rows, columns, rows + columns])
    images = picture.expand(20, 2, 2, 3, size, size).clone()
    shifted = shift_images(images, most)
    assert shifted.shape == images.shape
    assert shifted.dtype == torch.uint8
    centre = shifted[:, :, :, :, size // 2, size // 2].int() - size // 2
    assert torch.equal(shifted[:, 0], shifted[:, 1])
    assert centre[..., :2].abs().max() == most
    assert len({tuple(c.tolist()) for c in centre[:, 0].flatten(0, 1)}) > 10
    for sample in range(20):
        down, right = centre[sample, 0, 0, :2].tolist()
        expected = [min(max(r + down, 0), size - 1) for r in range(size)]
        assert shifted[sample, 0, 0, 0, :, 5].tolist() == expected
        expected = [min(max(r + right, 0), size - 1) for r in range(size)]
        assert shifted[sample, 0, 0, 1, 5].tolist() == expected


def test_no_shift_changes_nothing() -> None:
    images = torch.randint(0, 255, (2, 2, 2, 3, 8, 8), dtype=torch.uint8)
    assert shift_images(images, 0) is images


def test_conditions_are_hidden_as_often_as_asked() -> None:
    torch.manual_seed(0)
    images = torch.zeros(2000, 2, 2, 3, 4, 4, dtype=torch.uint8)
    state, mean = torch.zeros(2000, 5), torch.ones(5)
    batch = {"images": images, "state": state, "actions": torch.zeros(1)}
    mask_conditions(batch, 0.1, mean)
    pictures = (batch["images"] == BACKGROUND).flatten(3).float()
    assert torch.equal(pictures.amin(3), pictures.amax(3))  # a picture is hidden whole or not
    assert 0.09 < pictures.mean() < 0.11
    assert 0.08 < batch["state"].mean() < 0.12
    assert images.sum() == 0
    untouched = dict(batch)
    mask_conditions(untouched, 0.0, mean)
    assert untouched["images"] is batch["images"]
