"""The loss, with a weight for each slot of an action, and the error of sampled plans."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from policies.rdt.actions.channels import GRIPPERS
from policies.rdt.actions.layout import Layout
from policies.rdt.model.network import Batch, RDTPolicyNetwork
from training.config_sections import LossSettings
from training.data.windows import DemoWindows


def slot_weights(settings: LossSettings, layout: Layout, std: Tensor) -> Tensor:
    """Return the weights of squared errors in the mean over all slots.

    Under ``weighted`` slot d has min(max(std_d, std_min), std_max)^−2, divided by the mean of that
    over the action's slots; rotations are then capped and the gripper multiplied. Under ``masked``
    an action's slot has 1. Both are zero outside the action and scaled by the number of all slots
    over the number of the action's, so that the mean over all slots is one over the action's.

    Args:
        settings: The loss.
        layout: The slots of an action and their meaning.
        std: (V,) standard deviation of each slot over the actions of the demonstrations.

    Returns:
        (V,) float32.
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


_ROWS = 16


@dataclass(frozen=True, kw_only=True)
class SampledError:
    """Mean squared errors in the unified vector, before a demonstration's end.

    They are in the layout's own units, whatever the normalisation, so that runs compare.

    Attributes:
        overall: Over an action's slots and all time steps.
        per_slot: By the number of the slot.
        per_step: By the time step of the plan.
        windows: On how many windows.
    """

    overall: float
    per_slot: dict[str, float]
    per_step: list[float]
    windows: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, six significant digits each."""
        plain: dict[str, Any] = asdict(self)
        plain["overall"] = _short(self.overall)
        plain["per_slot"] = {slot: _short(value) for slot, value in self.per_slot.items()}
        plain["per_step"] = [_short(value) for value in self.per_step]
        return plain


@torch.no_grad()
def sampled_error(
    network: RDTPolicyNetwork,
    data: DemoWindows,
    layout: Layout,
    *,
    windows: int,
    move: Callable[[Batch], Batch],
) -> SampledError:
    """Sample plans on some windows, always the same, from always the same noise.

    Args:
        network: In evaluation mode.
        data: The windows; neither augmented nor masked.
        layout: Which slots are an action's.
        windows: How many, evenly spread over all.
        move: Takes a batch to where the network is.
    """
    count = min(windows, len(data))
    chosen = [(2 * i + 1) * len(data) // (2 * count) for i in range(count)]
    generator = torch.Generator().manual_seed(0)
    shape = network.config.pred_horizon, network.config.action_dim
    units = torch.from_numpy(data.normalisation.action_units)
    sums, counts = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape[0])
    for first in range(0, count, _ROWS):
        rows = chosen[first : first + _ROWS]
        batch = move(default_collate([data[row] for row in rows]))
        noise = torch.randn(len(rows), *shape, generator=generator)
        plans = network.sample(batch, noise.to(batch["state"].device))
        errors = ((plans.float() - batch["actions"]).cpu() * units).square().double()
        valid = data.before_end(rows, shape[0])
        sums += (errors * valid[..., None]).sum(0)
        counts += valid.sum(0)
    slots = sorted(layout.action_slots)
    return SampledError(
        overall=float(sums[:, slots].sum() / (counts.sum() * len(slots))),
        per_slot={str(s): float(sums[:, s].sum() / counts.sum()) for s in slots},
        per_step=(sums[:, slots].mean(1) / counts.clamp(min=1)).tolist(),
        windows=count,
    )


def _short(value: float) -> float:
    return float(f"{value:.6g}")
