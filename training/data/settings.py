"""Settings of the data."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class DataSettings:
    """Which samples a policy is trained on."""

    condition_mask: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability of hiding the state, and each picture, of a sample; RDT was trained with 0.1."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that prepare batches; 0 prepares them in the trainer, which suits small pictures
    in memory."""
