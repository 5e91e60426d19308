"""What a policy is shown of a sample: noise on its state, and parts that are hidden."""

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
    """Hide parts of what a plan depends on, each independently, as RDT's own training does.

    A hidden picture becomes the uniform background, a hidden state the data's mean, a hidden
    frequency 0, a hidden instruction the empty one, and which slots mean something all zeros.
    Targets stay. Pictures that a window says are not ``shown`` are hidden always.

    Args:
        batch: Changed in place.
        settings: With the probabilities.
        cameras: Names, in the order of the pictures.
        mean_state: (V,) mean of the training data's states.
        no_text: Tokens and mask of the empty instruction; needed where language is hidden.
        missing: Cameras that are always hidden, whatever augmentation did to their background.
    """
    if "shown" in batch:
        unseen = ~batch["shown"][:, :, None, None, None, None]
        batch["images"] = batch["images"].masked_fill(unseen, BACKGROUND)
    images, state = batch["images"], batch["state"]
    device, count = images.device, len(state)
    likely = [1.0 if camera in missing else settings.mask_probability(camera) for camera in cameras]
    chances = torch.tensor(likely, device=device)
    if chances.any():
        hidden = torch.rand(images.shape[:3], device=device) < chances
        batch["images"] = images.masked_fill(hidden[..., None, None, None], BACKGROUND)

    def drawn(what: str) -> Tensor | None:
        chance = settings.mask_probability(what)
        return torch.rand(count, 1, device=device) < chance if chance else None

    if (blind := drawn("state")) is not None:
        batch["state"] = torch.where(blind, mean_state.to(state), state)
    if (blind := drawn("frequency")) is not None:
        batch["ctrl_freqs"] = torch.where(blind[:, 0], 0.0, float(CONTROL_HZ))
    if (blind := drawn("elements")) is not None:
        batch["action_mask"] = batch["action_mask"].masked_fill(blind, 0.0)
    if no_text is not None and (blind := drawn("language")) is not None:
        ids, mask = (each.to(device) for each in no_text)
        given = batch["token_ids"]
        wide = blind.view(-1, *[1] * (given.ndim - 1))
        batch["token_ids"] = torch.where(wide, ids, given)
        batch["token_mask"] = torch.where(blind, mask, batch["token_mask"])
