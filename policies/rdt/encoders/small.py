"""The small encoders that are trained together with RDT: a conv net per camera, a word list."""

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from policies.rdt.encoders.base import EncodersConfig, ImageEncoder, TextEncoder
from policies.rdt.encoders.images import resize_frames
from tasks.errors import ConfigError

_WORDS = """
akita alphabet and at back basket bbq between black book both bottle bottom bowl box butter
cabinet caddy center cheese chocolate close compartment cookies cream drawer dressing from
front frying in inside it juice ketchup layer left microwave middle milk moka mug next of off
on open orange pan pick place plate pot pots pudding push put rack ramekin red right salad
sauce shelf soup stack stove table the them to tomato top tray turn under up white wine wooden
yellow
a beside by cookie cup door grab into lift move not object slide switch take using
"""

KNOWN_WORDS: tuple[str, ...] = tuple(_WORDS.split())
"""Every word of the LIBERO suites, then common paraphrases. A checkpoint depends on the order."""

PADDING, EMPTY = 0, 1
"""Numbers of padding, and of an instruction without words."""

UNKNOWN_BUCKETS = 64
"""Numbers shared, by hash, by all words that are not listed; their embeddings start at zero."""

_FIRST_KNOWN = 2
_FIRST_UNKNOWN = _FIRST_KNOWN + len(KNOWN_WORDS)
VOCABULARY_SIZE = _FIRST_UNKNOWN + UNKNOWN_BUCKETS

_NUMBERS = {word: _FIRST_KNOWN + index for index, word in enumerate(KNOWN_WORDS)}


def word_ids(instruction: str) -> list[int]:
    """Number the words of an instruction, ignoring case and punctuation.

    Returns:
        At least one number in [1, VOCABULARY_SIZE).
    """
    words = re.findall(r"[^\W_]+", instruction.lower())
    return [_NUMBERS.get(word, _unknown_id(word)) for word in words] or [EMPTY]


def tokenize(
    instructions: Sequence[str], length: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Number the words of B instructions and pad them to a length L.

    Returns:
        (B, L) int64 numbers, 0 where padded, and (B, L) bool, True where there is a word.

    Raises:
        ConfigError: An instruction has more than L words.
    """
    ids_BL = np.full((len(instructions), length), PADDING, dtype=np.int64)
    for row, instruction in zip(ids_BL, instructions, strict=True):
        ids = word_ids(instruction)
        if len(ids) > length:
            raise ConfigError(
                f"The instruction '{instruction}' has {len(ids)} words. Allowed: up to {length}. "
                "Fix: shorten it, or train a policy with a larger max_words."
            )
        row[: len(ids)] = ids
    return ids_BL, ids_BL != PADDING


def _unknown_id(word: str) -> int:
    return _FIRST_UNKNOWN + zlib.crc32(word.encode()) % UNKNOWN_BUCKETS


_CHANNELS = (16, 32, 48)
_GROUPS = 8


class ConvImageEncoder(ImageEncoder):
    """Per camera a stack of stride-2 convolutions, shared over the history."""

    def __init__(self, config: EncodersConfig) -> None:
        super().__init__()
        self._size = config.image_size
        self.towers = nn.ModuleList(_tower(config.image_token_dim) for _ in config.cameras)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.positions = nn.Parameter(
            0.02 * torch.randn(len(config.cameras), config.tokens_per_image, config.image_token_dim)
        )

    def prepare(self, frames: npt.NDArray[np.uint8]) -> Tensor:
        """Resize frames to (..., 3, S, S), averaging over areas."""
        return resize_frames(frames, self._size)

    def forward(self, images: Tensor) -> Tensor:
        """Encode (B, history, cameras, 3, S, S) uint8 as (B, history·cameras·patches, width)."""
        batch, history = images.shape[:2]
        images = images.to(self.positions.device)
        per_camera = []
        for index, tower in enumerate(self.towers):
            pixels = images[:, :, index].flatten(0, 1).contiguous(memory_format=torch.channels_last)
            grid = tower(pixels.to(self.positions.dtype).div_(127.5).sub_(1.0))
            tokens = grid.flatten(2).transpose(1, 2) + self.positions[index]
            per_camera.append(tokens.unflatten(0, (batch, history)))
        return torch.stack(per_camera, dim=2).flatten(1, 3)


class WordEncoder(TextEncoder):
    """One learned token per word; words that are not listed start at zero."""

    def __init__(self, config: EncodersConfig) -> None:
        super().__init__()
        self._max_words = config.max_words
        self.embedding = nn.Embedding(VOCABULARY_SIZE, config.text_token_dim, padding_idx=PADDING)
        with torch.no_grad():
            self.embedding.weight[len(KNOWN_WORDS) + 2 :] = 0.0

    def padded_length(self, instruction: str) -> int:
        """Give the same length for all instructions."""
        return self._max_words

    def prepare(self, instructions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Number the words: (B, L) int64, and (B, L) bool."""
        ids_BL, mask_BL = tokenize(instructions, self._max_words)
        return torch.from_numpy(ids_BL), torch.from_numpy(mask_BL)

    def check_instructions(self, instructions: Sequence[str]) -> None:
        """Refuse instructions of too many words."""
        distinct = dict.fromkeys(instructions)
        long = [text for text in distinct if len(word_ids(text)) > self._max_words]
        if long:
            raise ConfigError(
                f"{len(long)} of {len(distinct)} instructions have more than {self._max_words} "
                f"words, such as '{long[0]}'. Fix: shorten them or leave them out, or train a "
                "policy with a larger max_words."
            )

    def forward(self, text: Tensor) -> Tensor:
        """Encode (B, L) int64 word numbers as (B, L, width)."""
        embedded: Tensor = self.embedding(text)
        return embedded


def _tower(width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((3, *_CHANNELS, width)):
        layers += [
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
            nn.GroupNorm(_GROUPS, outputs),
            nn.SiLU(inplace=True),
        ]
    return nn.Sequential(*layers)
