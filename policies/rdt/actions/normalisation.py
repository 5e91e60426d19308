"""Normalisation of states and actions.

A normalisation is applied to a layout: it subtracts an offset from each slot and divides by a
scale. The result is a layout again, so encoding with a contract's mapping normalises and decoding
with it denormalises.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, FiniteFloat, model_validator
from pydantic.dataclasses import dataclass

from policies.rdt.actions.channels import GRIPPERS, ActionChannel, Config, Slot, StateChannel
from policies.rdt.actions.layout import Layout
from policies.rdt.actions.slots import SIZE, Method, Slots
from tasks.errors import SpecMismatchError

_GRIPPER_STATES = ("gripper_open", "finger", "fingers")

C = TypeVar("C", StateChannel, ActionChannel)


@dataclass(frozen=True, kw_only=True, config=Config)
class SlotScales:
    """Offsets and scales of slots: normalised = (value − offset) / scale."""

    slots: tuple[Slot, ...] = ()
    """Slots of the unified vector."""
    offset: tuple[FiniteFloat, ...] = ()
    """One per slot, in the units of the layout."""
    scale: tuple[Annotated[FiniteFloat, Field(gt=0)], ...] = ()
    """One per slot, in the units of the layout."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not len(set(self.slots)) == len(self.slots) == len(self.offset) == len(self.scale):
            raise ValueError(
                f"{len(self.slots)} slots, {len(self.offset)} offsets and {len(self.scale)} "
                "scales; allowed: one offset and one scale for each slot, and each slot once"
            )
        return self


@dataclass(frozen=True, kw_only=True, config=Config)
class Normalisation:
    """The normalisation of states and of actions.

    A gripper's slots are not normalised: its action is a decision, read by a threshold, and the
    state holds the opening in the same slot.
    """

    method: Method = "none"
    """Statistics from which offsets and scales were chosen."""
    state: SlotScales = dataclasses.field(default_factory=SlotScales)
    """Scales of a state."""
    action: SlotScales = dataclasses.field(default_factory=SlotScales)
    """Scales of an action."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.action.slots) != (self.method != "none"):
            raise ValueError(
                f"method {self.method} with {len(self.action.slots)} slots of an action; allowed: "
                "none without slots, another with those of the arm"
            )
        return self

    def applied_to(self, layout: Layout) -> Layout:
        """Return the layout with this normalisation in its offsets and scales.

        Raises:
            SpecMismatchError: It has slots that the layout does not fill, or a gripper's.
        """
        if self.method == "none":
            return layout
        for what, scales, slots in (
            ("state", self.state, state_slots(layout)),
            ("action", self.action, action_slots(layout)),
        ):
            if foreign := sorted(set(scales.slots) - set(slots)):
                raise SpecMismatchError(
                    f"The normalisation has slots {', '.join(map(str, foreign))} of the {what}, "
                    f"which in the layout '{layout.name}' are none of its arm's. Allowed: "
                    f"{', '.join(map(str, slots))}. Fix: use the layout it was measured with."
                )
        return dataclasses.replace(
            layout,
            state=tuple(_normalised(channel, self.state) for channel in layout.state),
            action=tuple(_normalised(channel, self.action) for channel in layout.action),
        )

    @property
    def action_units(self) -> npt.NDArray[np.float32]:
        """(128,) the size of 1 in each slot of a normalised action, in the layout's units."""
        units = np.ones(SIZE, dtype=np.float32)
        units[list(self.action.slots)] = self.action.scale
        return units

    def as_plain(self) -> Any:
        """Return plain data: the word ``none``, as in older contracts, or all numbers."""
        return "none" if self.method == "none" else dataclasses.asdict(self)


def state_slots(layout: Layout) -> Slots:
    """Return the slots of a state that can be normalised: all but a gripper's."""
    arm = (channel for channel in layout.state if channel.source not in _GRIPPER_STATES)
    return tuple(slot for channel in arm for slot in channel.slots)


def action_slots(layout: Layout) -> Slots:
    """Return the slots of an action that can be normalised: all but the gripper's."""
    arm = (channel for channel in layout.action if channel.source not in GRIPPERS)
    return tuple(slot for channel in arm for slot in channel.slots)


def _read_none(plain: Any) -> Any:
    return Normalisation() if plain == "none" else plain


StoredNormalisation = Annotated[Normalisation, BeforeValidator(_read_none)]
"""A normalisation in a contract; older contracts hold just ``none``."""


def _normalised(channel: C, scales: SlotScales) -> C:
    offset = _by_slot(channel, dict(zip(scales.slots, scales.offset, strict=True)), 0.0)
    scale = _by_slot(channel, dict(zip(scales.slots, scales.scale, strict=True)), 1.0)
    if not offset.any() and (scale == 1.0).all():
        return channel
    # ((source − o) / s − offset) / scale, with the channel's own o and s.
    channel_scale = np.broadcast_to(channel.scale, offset.shape)
    return dataclasses.replace(
        channel,
        offset=tuple((channel.offset + channel_scale * offset).tolist()),
        scale=tuple((channel_scale * scale).tolist()),
    )


def _by_slot(
    channel: StateChannel | ActionChannel, numbers: Mapping[int, float], default: float
) -> npt.NDArray[np.float64]:
    return np.array([numbers.get(slot, default) for slot in channel.slots])
