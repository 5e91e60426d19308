"""Settings of augmentation."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class AugmentationSettings:
    """How pictures are changed; all frames of a camera in a sample alike, and never flipped."""

    image_shift: Annotated[int, Field(ge=0, le=32)] = 0
    """Pictures are shifted at random by up to so many of the encoder's pixels; 0 for none."""
