"""Which instructions a language cache is to hold, and what became of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ConfigError

if TYPE_CHECKING:
    from policies.rdt.encoders.base import Form
    from tasks.suites import Instructions as Source

TYPED = "--text"
"""Name of the instructions that were typed."""


@dataclass(frozen=True, kw_only=True)
class Instructions:
    """Instructions that belong together.

    Attributes:
        name: Their suite, or where else they come from.
        texts: As they are given to T5, each once.
        added: How many of them are new in the cache.
        missing: Those that are not in it.
    """

    name: str
    texts: tuple[str, ...]
    added: int = 0
    missing: tuple[str, ...] = ()


def check_request(
    *, suites: str | None, texts: Sequence[str] | None, t5: str | None, official: Path | None
) -> None:
    """Refuse a request that leaves open what is to be encoded, or by what.

    Raises:
        ConfigError: It does.
    """
    if t5 is not None and official is not None:
        raise ConfigError(
            "Both --t5 and --import were given. A cache comes from one encoder, and .pt files do "
            "not say which theirs is. Fix: give one of the two, and each its own --out."
        )
    if t5 is None and official is None:
        raise ConfigError(
            "Nothing was given to encode with. Fix: give --t5 FOLDER (T5-v1.1-XXL's encoder, or "
            "its hub name google/t5-v1_1-xxl), or --import with .pt files of RDT's own tool."
        )
    if t5 is not None and suites is None and not texts:
        raise ConfigError(
            "No instruction was given. Fix: give --suite libero_goal (several with commas), or "
            '--text "put the bowl on the plate".'
        )


def gather(
    suites: str | None, texts: Sequence[str], form: "Form", said: "Source" = "name"
) -> list[Instructions]:
    """Collect instructions.

    Args:
        suites: Suites with commas between them.
        texts: More instructions.
        form: How they are written for T5.
        said: Which sentences of the suites' tasks; see ``tasks.suites.Task.instruction_by``.

    Raises:
        ConfigError: No suite has such a name.
        PrerequisiteError: LIBERO is not installed.
    """
    # Names before words: to write an instruction needs torch, which takes seconds to import.
    from tasks.suites import suite_tasks

    names = [] if suites is None else [name.strip() for name in suites.split(",")]
    raw = {name: [task.instruction_by(said) for task in suite_tasks(name)] for name in names}
    if texts:
        raw[TYPED] = list(texts)
    from policies.rdt.encoders.language import format_instruction

    return [
        Instructions(name=name, texts=_distinct(format_instruction(text, form) for text in given))
        for name, given in raw.items()
    ]


def encode_into(
    groups: Sequence[Instructions],
    *,
    t5: str,
    out: Path,
    dtype: str,
    device: str,
    progress: Callable[[int], None] | None = None,
) -> list[Instructions]:
    """Encode what the cache lacks.

    Args:
        groups: What it is to hold.
        t5: Folder or hub name of the encoder.
        out: The cache; made if it is not there.
        dtype: ``bfloat16`` or ``float32``.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: Told after each text how many are done, those already there included.

    Raises:
        ConfigError: A source or the cache cannot be used.
        SpecMismatchError: The cache is another encoder's.
        PrerequisiteError: There is no such device, or T5 is on the hub and cannot be reached.
    """
    import torch

    from policies.rdt.encoders.language import encode_instructions
    from policies.rdt.model.torch_runtime import resolve_device

    before = set(_missing(groups, out))
    encode_instructions(
        [text for group in groups for text in group.texts],
        t5=t5,
        out=out,
        dtype=getattr(torch, dtype),
        device=resolve_device(device),
        progress=progress,
    )
    return [
        replace(group, added=sum(text in before for text in group.texts))
        for group in report_on(groups, out)
    ]


def import_into(out: Path, official: Path) -> Instructions:
    """Take over what RDT's own tool encoded.

    Raises:
        ConfigError: There is no such file, one is something else, or the cache cannot be used.
        SpecMismatchError: The cache is another encoder's, or the files do not belong together.
    """
    from policies.rdt.encoders.language import import_official

    done = import_official(official, out=out)
    return Instructions(name=str(official), texts=done.texts, added=done.added)


def report_on(groups: Sequence[Instructions], out: Path) -> list[Instructions]:
    """Say which instructions a cache lacks."""
    lacking = set(_missing(groups, out))
    return [
        replace(group, missing=tuple(text for text in group.texts if text in lacking))
        for group in groups
    ]


def describe_cache(out: Path) -> dict[str, Any]:
    """Say what a cache is: its folder and encoder, how many files, how large."""
    from policies.rdt.encoders.language_cache import LanguageCache

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


def _missing(groups: Iterable[Instructions], out: Path) -> list[str]:
    from policies.rdt.encoders.language_cache import LanguageCache, is_cache

    texts = _distinct(text for group in groups for text in group.texts)
    if not is_cache(out):
        return list(texts)
    cache = LanguageCache.open(out)
    return [text for text in texts if not cache.path(text).is_file()]


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
