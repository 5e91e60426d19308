"""The interfaces of image and text encoders, their configs, and their cache.

Small encoders are trained along with RDT and saved with it. Large ones, SigLIP and T5, are frozen:
they are loaded from elsewhere and are in no checkpoint. A new encoder implements ``ImageEncoder``
or ``TextEncoder`` and is added to ``factory.build_encoders``.
"""

import hashlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from torch import Tensor, nn

from tasks.observation import CAMERAS
from tasks.settings import settings

Form = Literal["official", "plain"]
"""Form of an instruction for T5: capitalised and with a period, or unchanged."""

VOCABULARY = "words-v1"
"""Names the word list in ``small``; change it whenever a number changes its meaning."""

MissingHistory = Literal["first", "background"]
"""Replacement of frames before an episode's start: its first frame, or a uniform image."""


@settings
class EncoderSources:
    """Sources of the large frozen encoders; small built-in ones need none."""

    siglip: str | None = None
    """Folder or hub name of a SigLIP checkpoint, whole or its vision tower alone."""

    t5: str | None = None
    """Folder or hub name of a T5 encoder."""

    language_cache: str | None = None
    """Folder of instructions that were encoded before; with it T5 is not needed."""


@settings
class EncodersConfig:
    """The small encoders that are trained along."""

    cameras: tuple[str, ...] = field(default=CAMERAS)
    """Cameras, in the order of the image list; each has its own network."""

    image_size: int = Field(default=64, ge=16, multiple_of=16)
    """Height and width of the images, pixels."""

    image_token_dim: int = Field(default=128, ge=8, multiple_of=8)
    """Width of an image token."""

    max_words: int = Field(default=32, ge=1)
    """Most words in an instruction."""

    text_token_dim: int = Field(default=64, ge=1)
    """Width of a word's token."""

    @property
    def tokens_per_image(self) -> int:
        """Tokens from one image."""
        return (self.image_size // 16) ** 2

    @property
    def tokens_per_step(self) -> int:
        """Tokens from the images of one control step."""
        return len(self.cameras) * self.tokens_per_image

    @property
    def image_identity(self) -> str:
        """Names the image encoder; two checkpoints with the same name take the same images."""
        return f"conv{self.image_size}-{self.tokens_per_image}x{self.image_token_dim}-v1"

    @property
    def text_identity(self) -> str:
        """Names the text encoder."""
        return f"{VOCABULARY}-{self.max_words}x{self.text_token_dim}"

    @property
    def missing_history(self) -> MissingHistory:
        """Replacement of frames before an episode's start."""
        return "first"


@settings
class FrozenEncodersConfig:
    """Large frozen encoders: SigLIP and T5."""

    cameras: tuple[str, ...] = field(default=CAMERAS)
    """Cameras, in the order of the image list: external, right wrist, left wrist."""

    slots: int = Field(default=3, ge=1)
    """Images per control step that RDT takes; those beyond the cameras show the background."""

    image_size: int = Field(default=384, ge=1)
    """Height and width of the images, pixels."""

    tokens_per_image: int = Field(default=729, ge=1)
    """Tokens from one image."""

    image_token_dim: int = Field(default=1152, ge=1)
    """Width of an image token."""

    max_words: int = Field(default=1024, ge=1)
    """Most tokens of an instruction, its end included."""

    text_token_dim: int = Field(default=4096, ge=1)
    """Width of a text token."""

    image_identity: str
    """Names the image encoder and its weights."""

    text_identity: str
    """Names the text encoder and its weights."""

    form: Form = "official"
    """Form of instructions for T5."""

    missing_history: MissingHistory = "background"
    """Replacement of frames before an episode's start."""

    @property
    def tokens_per_step(self) -> int:
        """Tokens from the images of one control step."""
        return self.slots * self.tokens_per_image


AnyEncodersConfig = EncodersConfig | FrozenEncodersConfig


class ImageEncoder(nn.Module, ABC):
    """Images to tokens."""

    @abstractmethod
    def prepare(self, frames: npt.NDArray[np.uint8]) -> Tensor:
        """Resize camera frames for the encoder, in training and inference alike.

        Args:
            frames: (..., H, W, 3) uint8.

        Returns:
            (..., 3, S, S) uint8 on the CPU.
        """

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Encode images.

        Args:
            images: (B, history, cameras, 3, S, S) uint8, on any device.

        Returns:
            (B, history·slots·patches, width), flattened (history, camera, patch).
        """


class TextEncoder(nn.Module, ABC):
    """Instructions to tokens.

    Methods raise ``ConfigError`` for an instruction that is too long or not in the cache.
    """

    @abstractmethod
    def padded_length(self, instruction: str) -> int:
        """Give the length to which this instruction is padded, whatever else is asked.

        Instructions that share a forward pass must have the same padded length, so that no plan's
        arithmetic depends on its neighbours.
        """

    @abstractmethod
    def prepare(self, instructions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Turn B instructions into inputs of ``forward``, padded to the longest padded length.

        Returns:
            (B, L) int64 numbers or (B, L, width) embeddings, and (B, L) bool, True where there is a
            word; on the CPU.
        """

    def check_instructions(self, instructions: Sequence[str]) -> None:
        """Refuse instructions that cannot be prepared, all at once, before any is needed.

        Raises:
            ConfigError: Some cannot; the message counts them.
        """

    @abstractmethod
    def forward(self, text: Tensor) -> Tensor:
        """Encode prepared instructions as (B, L, width)."""


@plain_dataclass(frozen=True, kw_only=True)
class Encoders:
    """An image encoder, a text encoder, and the config that fixes both."""

    config: AnyEncodersConfig
    image: ImageEncoder
    text: TextEncoder


Compute = Callable[[list[int]], Sequence[Tensor]]


class LRUCache:
    """A cache that drops the values least recently used.

    Args:
        limit: Values kept between calls; those of the latest call are kept even if there are more.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._values: OrderedDict[Hashable, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def __deepcopy__(self, memory: dict[int, Any]) -> "LRUCache":
        return LRUCache(self.limit)

    def clear(self) -> None:
        """Drop all values."""
        self._values.clear()

    def look_up(self, keys: Sequence[Hashable], compute: Compute) -> list[Tensor]:
        """Give the value of every key, computing each missing one once.

        Args:
            keys: A key may come several times.
            compute: Maps positions in ``keys``, the first of each missing key, to their values.

        Returns:
            One value per key. They are shared: do not write into them.
        """
        first = {key: index for index, key in reversed(list(enumerate(keys)))}
        values = {key: self._values[key] for key in first if key in self._values}
        missing = sorted(index for key, index in first.items() if key not in values)
        if missing:
            computed = zip(missing, compute(missing), strict=True)
            values |= {keys[index]: value for index, value in computed}
        for key in first:
            self._values[key] = values[key]
            self._values.move_to_end(key)
        while len(self._values) > max(self.limit, len(first)):
            self._values.popitem(last=False)
        return [values[key] for key in keys]


def content_key(array: npt.NDArray[Any]) -> Hashable:
    """Give a key that is the same only for arrays of equal shape, dtype and elements."""
    data = np.ascontiguousarray(array)
    return data.shape, data.dtype.str, hashlib.blake2b(data.data, digest_size=16).digest()
