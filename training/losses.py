"""The loss: a weight for each slot of an action."""

import torch
from torch import Tensor

from policies.rdt.actions.channels import GRIPPERS
from policies.rdt.actions.layout import Layout
from training.config_sections import LossSettings


def slot_weights(settings: LossSettings, layout: Layout, std: Tensor) -> Tensor:
    """Return the weights (V,) of squared errors in the mean over all slots.

    Under ``weighted`` slot d has min(max(std_d, std_min), std_max)^−2, divided by the mean of that
    over the action's slots; rotations are then capped and the gripper multiplied. Under ``masked``
    an action's slot has 1. Both are zero outside the action and scaled by all slots over the
    action's, so that the mean over all slots is one over the action's.

    Args:
        settings: The loss.
        layout: The slots of an action.
        std: (V,) standard deviation of each slot over the actions of the demonstrations.
    """
    mask = torch.from_numpy(layout.action_mask)
    if settings.loss == "plain":
        return torch.ones_like(mask)
    spread = len(mask) / mask.sum()
    if settings.loss == "masked":
        return mask * spread
    weights = mask / std.clamp(settings.std_min, settings.std_max).square()
    weights = weights / (weights.sum() / mask.sum())
    for channel in layout.action:
        slots = list(channel.slots)
        if channel.source in GRIPPERS:
            weights[slots] *= settings.gripper_factor
        elif "rot" in channel.source:
            weights[slots] = weights[slots].clamp(max=settings.rotation_cap)
    return (weights * spread).float()


SlotRow = dict[str, str | int | float]
"""``slot``, ``what``, ``std`` and ``weight`` of a slot."""


def weight_table(layout: Layout, std: Tensor, weights: Tensor) -> list[SlotRow]:
    """Return a row per slot of an action: its meaning, its deviation and its weight."""
    return [
        {
            "slot": slot,
            "what": f"{channel.source}[{place}]" if len(channel.slots) > 1 else channel.source,
            "std": round(float(std[slot]), 6),
            "weight": round(float(weights[slot]), 4),
        }
        for channel in layout.action
        for place, slot in enumerate(channel.slots)
    ]
