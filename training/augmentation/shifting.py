"""Shifting pictures, on whole pixels."""

import torch
from torch import Tensor


def shift_images(images: Tensor, pixels: int) -> Tensor:
    """Shift every camera's pictures by up to some pixels, repeating the border.

    All frames of one camera in one sample shift alike, so motion between them stays. Random shifts
    are the pad-and-crop augmentation of DrQ (Kostrikov et al. 2020, arXiv 2004.13649).

    Args:
        images: (B, history, cameras, 3, S, S).
        pixels: Largest shift in each direction; 0 returns the pictures as they are.

    Returns:
        The same shape and dtype. Shifts come from torch's global generator.
    """
    if pixels == 0:
        return images
    batch, _, cameras, _, size, _ = images.shape
    reach = torch.arange(size, device=images.device)
    shifts = torch.randint(-pixels, pixels + 1, (2, batch, cameras), device=images.device)
    rows, columns = (reach + shifts[..., None]).clamp(0, size - 1)  # each (B, cameras, S)
    sample = torch.arange(batch, device=images.device)[:, None, None, None]
    camera = torch.arange(cameras, device=images.device)[None, :, None, None]
    # (B, cameras, S, S, history, 3): indices beside slices come first.
    picked = images.movedim((1, 3), (4, 5))[
        sample, camera, rows[..., :, None], columns[..., None, :]
    ]
    return picked.movedim((4, 5), (1, 3)).contiguous()
