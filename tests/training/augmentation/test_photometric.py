"""Shifting pictures."""

import torch

from training.augmentation.photometric import shift_images


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
