"""Encoding instructions with T5 into a language cache."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness.language import InstructionGroup, LanguageConfig
from policies.rdt.encoders.language import (
    encode_instructions,
    format_instruction,
    import_official,
)
from policies.rdt.encoders.language_cache import LanguageCache, is_cache
from policies.rdt.model.torch_runtime import resolve_device, use_threads


def instruction_groups(
    sentences: Mapping[str, Sequence[str]], config: LanguageConfig
) -> list[InstructionGroup]:
    """Return sentences as T5 gets them.

    Args:
        sentences: By their suite or another source, as ``asked_sentences`` returns them.
        config: How they are worded.
    """
    return [
        InstructionGroup(
            name=name, texts=_distinct(format_instruction(text, config.form) for text in group)
        )
        for name, group in sentences.items()
    ]


def encode(
    groups: Sequence[InstructionGroup],
    config: LanguageConfig,
    progress: Callable[[int], None] | None = None,
) -> list[InstructionGroup]:
    """Encode the instructions that the cache lacks, or import official files.

    Args:
        groups: The instructions.
        config: The encoder and the cache, which is made if it is missing.
        progress: Called after each text with the number done, those in the cache included.

    Returns:
        The groups, preceded by the official files if these were imported.

    Raises:
        ConfigError: A source or the cache cannot be used.
        SpecMismatchError: The cache is another encoder's, or official files do not belong together.
        PrerequisiteError: There is no such device, or T5 is on the hub and cannot be reached.
    """
    if config.official is not None:
        files = import_official(config.official, out=config.out)
        official = InstructionGroup(name=str(config.official), texts=files.texts, added=files.added)
        return [official, *_with_missing(groups, config.out)]
    assert config.t5 is not None
    new = set(_missing(groups, config.out))
    use_threads(0)
    encode_instructions(
        [text for group in groups for text in group.texts],
        t5=config.t5,
        out=config.out,
        dtype=getattr(torch, config.dtype),
        device=resolve_device(config.device),
        progress=progress,
    )
    return [
        replace(group, added=sum(text in new for text in group.texts))
        for group in _with_missing(groups, config.out)
    ]


def describe_cache(out: Path) -> dict[str, Any]:
    """Return facts about a cache: folder, encoder, number of files, size."""
    cache = LanguageCache.open(out)
    sizes = [file.stat().st_size for file in cache.folder.glob("*.safetensors")]
    return {
        "cache": str(cache.folder),
        "encoder": cache.encoder.identity,
        "width": cache.encoder.width,
        "dtype": cache.encoder.dtype,
        "files": len(sizes),
        "megabytes": round(sum(sizes) / 1e6, 2),
    }


def _with_missing(groups: Sequence[InstructionGroup], out: Path) -> list[InstructionGroup]:
    missing = set(_missing(groups, out))
    return [
        replace(group, missing=tuple(text for text in group.texts if text in missing))
        for group in groups
    ]


def _missing(groups: Iterable[InstructionGroup], out: Path) -> list[str]:
    texts = _distinct(text for group in groups for text in group.texts)
    if not is_cache(out):
        return list(texts)
    cache = LanguageCache.open(out)
    return [text for text in texts if not cache.path(text).is_file()]


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
