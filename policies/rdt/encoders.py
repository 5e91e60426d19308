"""The small encoders that are trained together with RDT, and the config that fixes them."""

from dataclasses import field

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from policies.rdt.words import KNOWN_WORDS, PADDING, VOCABULARY, VOCABULARY_SIZE
from tasks.observation import CAMERAS

_CHANNELS = (16, 32, 48)
_GROUPS = 8


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class EncoderSources:
    """Where the large frozen encoders come from. Small built-in ones need none of this."""

    siglip: str | None = None
    """Folder or hub name of a SigLIP checkpoint, whole or its vision tower alone."""

    t5: str | None = None
    """Folder or hub name of a T5 encoder."""

    language_cache: str | None = None
    """Folder of instructions that were encoded before; with it T5 is not needed."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class EncodersConfig:
    """What turns pictures and words into tokens."""

    cameras: tuple[str, ...] = field(default=CAMERAS)
    """Cameras, in the order of the image list; each has its own network."""

    image_size: int = Field(default=64, ge=16, multiple_of=16)
    """Height and width of the pictures, pixels."""

    image_token_dim: int = Field(default=128, ge=8, multiple_of=8)
    """Width of an image token."""

    max_words: int = Field(default=32, ge=1)
    """Most words in an instruction."""

    text_token_dim: int = Field(default=64, ge=1)
    """Width of a word's token."""

    @property
    def tokens_per_image(self) -> int:
        """Tokens from one picture."""
        return (self.image_size // 16) ** 2

    @property
    def image_identity(self) -> str:
        """Names the image encoder; two checkpoints with the same name take the same pictures."""
        return f"conv{self.image_size}-{self.tokens_per_image}x{self.image_token_dim}-v1"

    @property
    def text_identity(self) -> str:
        """Names the text encoder."""
        return f"{VOCABULARY}-{self.max_words}x{self.text_token_dim}"


class ImageEncoder(nn.Module):
    """Per camera a stack of stride-2 convolutions, shared over the history."""

    def __init__(self, config: EncodersConfig) -> None:
        super().__init__()
        self.towers = nn.ModuleList(_tower(config.image_token_dim) for _ in config.cameras)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.positions = nn.Parameter(
            0.02 * torch.randn(len(config.cameras), config.tokens_per_image, config.image_token_dim)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Encode pictures.

        Args:
            images: (B, history, cameras, 3, S, S) uint8.

        Returns:
            (B, history·cameras·patches, width), flattened (history, camera, patch).
        """
        batch, history = images.shape[:2]
        per_camera = []
        for index, tower in enumerate(self.towers):
            pixels = images[:, :, index].flatten(0, 1).contiguous(memory_format=torch.channels_last)
            grid = tower(pixels.to(self.positions.dtype).div_(127.5).sub_(1.0))
            tokens = grid.flatten(2).transpose(1, 2) + self.positions[index]
            per_camera.append(tokens.unflatten(0, (batch, history)))
        return torch.stack(per_camera, dim=2).flatten(1, 3)


class TextEncoder(nn.Module):
    """One learned token per word; words that are not listed start at zero."""

    def __init__(self, config: EncodersConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY_SIZE, config.text_token_dim, padding_idx=PADDING)
        with torch.no_grad():
            self.embedding.weight[len(KNOWN_WORDS) + 2 :] = 0.0

    def forward(self, token_ids: Tensor) -> Tensor:
        """Encode (B, L) int64 word numbers as (B, L, width)."""
        embedded: Tensor = self.embedding(token_ids)
        return embedded


def _tower(width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 3
    for channels in (*_CHANNELS, width):
        layers += [
            nn.Conv2d(before, channels, 3, stride=2, padding=1),
            nn.GroupNorm(_GROUPS, channels),
            nn.SiLU(inplace=True),
        ]
        before = channels
    return nn.Sequential(*layers)
