"""How plans are sampled from an RDT: everything about it that is not in the weights."""

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tasks.errors import ConfigError

GuidanceName = Literal["none", "bid", "inpaint"]
"""What a new plan owes to the one before; see ``policies.rdt.guidance``."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class SamplingOptions:
    """How to sample plans.

    Raises:
        ConfigError: Two settings contradict each other.
    """

    solver_steps: int | None = Field(default=None, ge=1, le=999)
    """Solver steps; None for the number in the network's config."""

    guidance: GuidanceName = "none"
    """``none``; ``bid`` keeps, of several samples, the one nearest to the previous plan's rest;
    ``inpaint`` blends that rest into the sampling."""

    samples: int = Field(default=1, ge=1)
    """Samples N per plan for ``bid``; with 1 it is plain sampling."""

    bid_decay: float = Field(default=0.5, gt=0.0, le=1.0)
    """ρ of ``bid``: a step counts ρ times as much as the step before it."""

    inpaint_weight: float = Field(default=1.0, ge=0.0, le=1.0)
    """``inpaint``: weight of the previous plan at its first remaining step; 0 is plain sampling."""

    inpaint_frozen: int = Field(default=0, ge=0)
    """``inpaint``: steps at full weight before the decay begins."""

    inpaint_decay: Literal["exponential", "linear", "none"] = "exponential"
    """``inpaint``: how the weight falls to 0 over the overlap; ``none`` keeps it to the end."""

    compile: bool = False
    """Compile the trunk with ``torch.compile``: minutes at the first plan, faster ones after."""

    cuda_graphs: bool = False
    """Replay a denoising step as one CUDA graph; needs a CUDA device."""

    def __post_init__(self) -> None:
        if self.samples > 1 and self.guidance != "bid":
            raise ConfigError(
                f"samples={self.samples} with guidance '{self.guidance}'. Several samples are only "
                "of use where one is chosen. Fix: give guidance=bid, or samples=1."
            )
