"""The encoder of T5 (Raffel et al. 2020, arXiv 1910.10683), frozen, as RDT's text encoder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from policies.rdt.encoders.language_cache import CachedEncoder
from policies.rdt.encoders.pretrained import check_kind, find_file, fingerprint, load_pretrained
from tasks.errors import ConfigError, PrerequisiteError

OFFICIAL = "google/t5-v1_1-xxl"
"""Hub name of the encoder that the published RDT weights were trained with."""

MAX_TOKENS = 1024
"""Most tokens of an instruction, its end included."""

_WHAT, _KINDS = "a T5 encoder", ("t5",)
_PROBE = "Put the black bowl on the plate, 3 cm left of it."


class T5Encoder:
    """A T5 encoder with its tokenizer, one instruction at a time.

    Args:
        source: Folder or hub name, of a whole T5 checkpoint or of its encoder.
        dtype: Of the weights; RDT's embeddings were made in bfloat16.
        device: Of the weights. The official encoder has 9.5 GB in bfloat16.

    Raises:
        ConfigError: The source is not a T5 encoder, or has no tokenizer.
        SpecMismatchError: Weights are missing.
        PrerequisiteError: It is on the hub and the hub cannot be reached.
    """

    def __init__(
        self,
        source: str = OFFICIAL,
        *,
        dtype: torch.dtype = torch.bfloat16,
        device: str | torch.device = "cpu",
    ) -> None:
        from transformers import T5EncoderModel

        self.source = source
        check_kind(source, what=_WHAT, kinds=_KINDS)
        self._tokenize = open_tokenizer(source)
        self._model: Any = load_pretrained(
            source,
            T5EncoderModel.from_pretrained,
            what=_WHAT,
            kinds=_KINDS,
            dtype=dtype,
        )
        config = self._model.config
        self.dtype, self.device = dtype, torch.device(device)
        self.width = int(config.d_model)
        self._end = int(config.eos_token_id)
        name = fingerprint(self._model, config.num_heads, self.token_ids(_PROBE))
        self.identity = f"t5-{self.width}-{str(dtype).removeprefix('torch.')}-{name}"
        self._model.to(self.device)

    @property
    def description(self) -> CachedEncoder:
        """The record of this encoder in a cache."""
        dtype = str(self.dtype).removeprefix("torch.")
        return CachedEncoder(
            identity=self.identity, width=self.width, dtype=dtype, source=self.source
        )

    def __deepcopy__(self, memory: dict[int, Any]) -> "T5Encoder":
        return self

    def token_ids(self, text: str) -> list[int]:
        """Number the pieces of a text; the last number is the end's.

        Raises:
            ConfigError: There are more than ``MAX_TOKENS``.
        """
        ids = self._tokenize(text)
        if not ids or ids[-1] != self._end:
            ids = [*ids, self._end]
        if len(ids) > MAX_TOKENS:
            raise ConfigError(
                f"The instruction '{text[:60]}…' has {len(ids)} tokens. Allowed: up to "
                f"{MAX_TOKENS}. Fix: shorten it."
            )
        return ids

    @torch.no_grad()
    def encode(self, text: str) -> Tensor:
        """Encode a text alone, without padding.

        Returns:
            (L, width) on the CPU in the encoder's dtype, the end's token last.

        Raises:
            ConfigError: It is too long.
        """
        ids_1L = torch.tensor([self.token_ids(text)], device=self.device)
        with torch.autocast(self.device.type, enabled=False):
            encoded = self._model(input_ids=ids_1L, attention_mask=torch.ones_like(ids_1L))
        tokens: Tensor = encoded.last_hidden_state[0].cpu()
        return tokens


Tokenize = Callable[[str], list[int]]
"""Numbers the pieces of a text."""


def open_tokenizer(source: str) -> Tokenize:
    """Open the tokenizer beside a model: ``tokenizer.json``, or else ``spiece.model``.

    It neither truncates nor pads.

    Raises:
        ConfigError: The model has neither, or the file is damaged.
        PrerequisiteError: A package is missing, or the hub cannot be reached.
    """
    if path := find_file(source, "tokenizer.json", _WHAT):
        return _open_tokenizers(path)
    path = find_file(source, "spiece.model", _WHAT)
    if path is None:
        raise ConfigError(
            f"'{source}' has no tokenizer. Needed beside the weights: tokenizer.json or "
            f"spiece.model. Fix: copy it there from {OFFICIAL}."
        )
    return _open_sentencepiece(path)


def _open_tokenizers(path: Path) -> Tokenize:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust side raises nothing more specific
        raise _damaged(path, error) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: list(tokenizer.encode(text).ids)


def _open_sentencepiece(path: Path) -> Tokenize:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise PrerequisiteError(
            f"'{path}' needs the package sentencepiece. Fix: pip install sentencepiece"
        ) from error
    try:
        processor = SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise _damaged(path, error) from error
    return lambda text: list(processor.encode(text))


def _damaged(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"'{path}' is damaged or not a tokenizer ({' '.join(str(error).split())[:200]}). "
        "Fix: copy it again."
    )
