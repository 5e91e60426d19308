"""Augmenting pictures during training."""

import torch
from torch import Tensor

from policies.rdt.network import Batch

BACKGROUND = 127
"""Grey level of a picture that is not there, int(255 · mean) of SigLIP's processor."""


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


def mask_conditions(batch: Batch, probability: float, mean_state: Tensor) -> None:
    """Hide parts of what a plan depends on, each independently, as RDT's own training does.

    A hidden picture becomes the uniform background, a hidden state the data's mean. Targets stay.

    Args:
        batch: Changed in place.
        probability: Of hiding the state, and of hiding each picture; 0 changes nothing.
        mean_state: (V,) mean of the training data's states.
    """
    if probability == 0.0:
        return
    images, state = batch["images"], batch["state"]
    hidden = torch.rand(images.shape[:3], device=images.device) < probability
    batch["images"] = images.masked_fill(hidden[..., None, None, None], BACKGROUND)
    blind = torch.rand(len(state), 1, device=state.device) < probability
    batch["state"] = torch.where(blind, mean_state.to(state), state)
