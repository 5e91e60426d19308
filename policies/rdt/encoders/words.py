"""Instructions as numbers: one per known word, and buckets for words nobody listed."""

import re
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

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

VOCABULARY = "words-v1"
"""Names this list and its buckets; change it whenever a number changes its meaning."""

PADDING, EMPTY = 0, 1
"""The numbers of padding, and of an instruction without words."""

UNKNOWN_BUCKETS = 64
"""Words that are not listed share these by hash; their embeddings start at zero."""

_FIRST_KNOWN = 2
_FIRST_UNKNOWN = _FIRST_KNOWN + len(KNOWN_WORDS)
VOCABULARY_SIZE = _FIRST_UNKNOWN + UNKNOWN_BUCKETS

_NUMBERS = {word: _FIRST_KNOWN + index for index, word in enumerate(KNOWN_WORDS)}


def word_ids(instruction: str) -> list[int]:
    """Number the words of an instruction; case and punctuation do not matter.

    Args:
        instruction: The task in words.

    Returns:
        At least one number in [1, VOCABULARY_SIZE).
    """
    words = re.findall(r"[^\W_]+", instruction.lower())
    return [_NUMBERS.get(word, _unknown(word)) for word in words] or [EMPTY]


def tokenize(
    instructions: Sequence[str], length: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Number and pad instructions.

    Args:
        instructions: B tasks in words.
        length: L, the number of places.

    Returns:
        (B, L) int64 numbers, 0 where padded, and (B, L) bool, True where there is a word.

    Raises:
        ConfigError: An instruction has more words than places.
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


def _unknown(word: str) -> int:
    return _FIRST_UNKNOWN + zlib.crc32(word.encode()) % UNKNOWN_BUCKETS
