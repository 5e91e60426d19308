"""Noise on the state, and random masking of the conditions of a plan."""

from collections.abc import Sequence

import torch
from torch import Tensor

from policies.rdt.encoders.images import BACKGROUND
from tasks.observation import CONTROL_HZ
from training.config_sections import DataSettings
from training.data.windows import Window


def add_state_noise(batch: Window, decibels: float | None) -> None:
    """Add noise to the state: normal, by deviation / 10^(dB/20), as RDT's training does.

    Args:
        batch: Changed in place.
        decibels: Signal-to-noise ratio; None for none.
    """
    if decibels is None:
        return
    state = batch["state"]
    batch["state"] = state + torch.randn_like(state) * batch["state_std"] / 10 ** (decibels / 20)


def mask_conditions(
    batch: Window,
    settings: DataSettings,
    cameras: Sequence[str],
    mean_state: Tensor,
    no_text: tuple[Tensor, Tensor] | None,
    *,
    missing: Sequence[str] = (),
) -> None:
    """Hide conditions at random, each independently, as in RDT's own training.

    A hidden image becomes the uniform background, a hidden state the mean state, a hidden frequency
    0, a hidden instruction the empty one, and a hidden slot mask zeros. Targets stay. Images that
    are not ``shown`` in a window are always hidden.

    Args:
        batch: Changed in place.
        settings: The probabilities.
        cameras: Names, in the order of the images.
        mean_state: (V,) mean of the training data's states.
        no_text: Tokens and mask of the empty instruction; needed where language is hidden.
        missing: Cameras that are always hidden, as augmentation may have changed their background.
    """
    if "shown" in batch:
        unseen = ~batch["shown"][:, :, None, None, None, None]
        batch["images"] = batch["images"].masked_fill(unseen, BACKGROUND)
    images, state = batch["images"], batch["state"]
    device, count = images.device, len(state)
    probabilities = torch.tensor(
        [1.0 if camera in missing else settings.mask_probability(camera) for camera in cameras],
        device=device,
    )
    if probabilities.any():
        hidden = torch.rand(images.shape[:3], device=device) < probabilities
        batch["images"] = images.masked_fill(hidden[..., None, None, None], BACKGROUND)

    def draw(condition: str) -> Tensor | None:
        """Draw (B, 1) which samples hide a condition; None where none ever does."""
        probability = settings.mask_probability(condition)
        return torch.rand(count, 1, device=device) < probability if probability else None

    if (masked := draw("state")) is not None:
        batch["state"] = torch.where(masked, mean_state.to(state), state)
    if (masked := draw("frequency")) is not None:
        batch["ctrl_freqs"] = torch.where(masked[:, 0], 0.0, float(CONTROL_HZ))
    if (masked := draw("elements")) is not None:
        batch["action_mask"] = batch["action_mask"].masked_fill(masked, 0.0)
    if no_text is not None and (masked := draw("language")) is not None:
        empty_ids, empty_mask = (tensor.to(device) for tensor in no_text)
        ids = batch["token_ids"]
        masked_ids = masked.view(-1, *[1] * (ids.ndim - 1))
        batch["token_ids"] = torch.where(masked_ids, empty_ids, ids)
        batch["token_mask"] = torch.where(masked, empty_mask, batch["token_mask"])
