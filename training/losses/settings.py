"""Settings of the loss."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class LossSettings:
    """What the squared error is averaged over."""

    loss: Literal["plain", "masked"] = "plain"
    """plain: mean over all 128 slots, as RDT is trained; masked: over the action's slots."""
