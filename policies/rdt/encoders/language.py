"""Encoding instructions ahead of time, so that whoever evaluates needs no text encoder."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from policies.rdt.encoders.base import Form
from policies.rdt.encoders.language_cache import (
    CachedEncoder,
    LanguageCache,
    is_cache,
    read_official,
)
from policies.rdt.encoders.t5 import T5Encoder
from tasks.errors import ConfigError

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class EncodedInstructions:
    """What became of some instructions.

    Attributes:
        texts: As they are given to T5, each once.
        cache: Where they are.
        added: How many were encoded or imported now.
        present: How many were there already.
    """

    texts: tuple[str, ...]
    cache: Path
    added: int
    present: int


def format_instruction(instruction: str, form: Form) -> str:
    """Write an instruction as it is given to T5.

    Args:
        instruction: The task in words.
        form: ``official``: as RDT's pre-training data has it, the first letter a capital and a
            period at the end; ``plain``: as it is.
    """
    text = instruction.strip()
    if form == "plain" or not text:
        return text
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def encode_instructions(
    texts: Iterable[str],
    *,
    t5: str,
    out: Path | str,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> EncodedInstructions:
    """Encode what a cache lacks; what is there stays, so a killed run goes on where it was.

    T5 is not even loaded where the cache was made from the same source and holds everything.

    Args:
        texts: As they are given to T5; see ``format_instruction``.
        t5: Folder or hub name of the encoder.
        out: The cache; made if it is not there.
        dtype: In which T5 computes, and of the tokens.
        device: Where T5 computes.
        progress: Told after each text how many are done, those already there included.

    Raises:
        ConfigError: A source, a text or the cache cannot be used.
        SpecMismatchError: The cache is another encoder's.
        PrerequisiteError: T5 is on the hub and the hub cannot be reached.
    """
    texts = list(dict.fromkeys(texts))
    if is_cache(out):
        cache = LanguageCache.open(out)
        known = (cache.encoder.source, cache.encoder.dtype)
        missing = [text for text in texts if cache.read(text) is None]
        if not missing and known == (t5, str(dtype).removeprefix("torch.")):
            return EncodedInstructions(
                texts=tuple(texts), cache=cache.folder, added=0, present=len(texts)
            )
    encoder = T5Encoder(t5, dtype=dtype, device=device)
    cache = LanguageCache.create(out, encoder.description)
    missing = [text for text in texts if cache.read(text) is None]
    present = len(texts) - len(missing)
    for index, text in enumerate(missing, 1):
        cache.write(text, encoder.encode(text))
        if progress is not None:
            progress(present + index)
    return EncodedInstructions(
        texts=tuple(texts), cache=cache.folder, added=len(missing), present=present
    )


def import_official(source: Path | str, *, out: Path | str) -> EncodedInstructions:
    """Take over instructions that the official single-instruction tool encoded.

    Args:
        source: A ``.pt`` file, or a folder of them.
        out: The cache; made if it is not there.

    Raises:
        ConfigError: There is no such file, one is something else, or the cache cannot be used.
        SpecMismatchError: The cache is another encoder's, or the files differ in width or dtype.
    """
    source = Path(source).expanduser()
    files = [source] if source.is_file() else sorted(source.glob("*.pt"))
    if not files:
        raise ConfigError(
            f"There is no .pt file at '{source}'. Needed: a file, or a folder of them, as RDT's "
            "own tool writes one per instruction. Fix: correct the path."
        )
    given = [read_official(file) for file in files]
    width, dtype = given[0][1].shape[1], str(given[0][1].dtype).removeprefix("torch.")
    # The files do not say which encoder they come from, only that it was RDT's.
    encoder = CachedEncoder(
        identity=imported_identity(width), width=width, dtype=dtype, source=str(source)
    )
    cache = LanguageCache.create(out, encoder)
    texts = tuple(dict.fromkeys(text for text, _ in given))
    present = sum(cache.read(text) is not None for text in texts)
    for text, tokens in given:
        cache.write(text, tokens)
    return EncodedInstructions(
        texts=texts, cache=cache.folder, added=len(texts) - present, present=present
    )


def imported_identity(width: int) -> str:
    """Name the encoder of official files, which do not name it themselves."""
    return f"t5-{width}-imported"
