"""Encoding instructions ahead of time, into a language cache."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from cyclopts import Parameter
from pydantic import model_validator

from harness.options import InstructionSource, split_names, spoken_from_file
from tasks.errors import ConfigError
from tasks.paraphrases import read_paraphrases
from tasks.settings import settings
from tasks.suites import Instructions, suite_tasks

TYPED = "--text"
"""Name of the instructions that were typed."""


@settings
class LanguageConfig:
    """The instructions, their encoder, and the cache."""

    out: Path
    """Folder of the language cache."""

    suite: str | None = None
    """Suites with commas between them, LIBERO-PRO's too: libero_goal,libero_10_lan."""

    text: tuple[str, ...] = ()
    """An instruction; may be given several times."""

    t5: str | None = None
    """T5's encoder: a folder, or a hub name such as google/t5-v1_1-xxl."""

    official: Annotated[Path | None, Parameter(name="--import")] = None
    """Instead of --t5: a .pt file of RDT's own encoding tool, or a folder of them. With --suite or
    --text it is checked what they lack."""

    instructions: InstructionSource = "name"
    """Which sentences of the suites' tasks, as eval --instructions has them: name or bddl, or
    FILE.csv with paraphrases for the one suite that is given."""

    form: Literal["official", "plain"] = "official"
    """How instructions are written for T5. official: capitalised and with a period, as in RDT's
    pre-training; plain: as they are. Evaluate with the same --option.form."""

    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """In which T5 computes, and of what is kept; RDT's embeddings are bfloat16."""

    device: str = "auto"
    """auto, cpu or cuda; the official encoder takes 9.5 GB in bfloat16."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse settings without an instruction or an encoder, or with two encoders."""
        if self.t5 is not None and self.official is not None:
            raise ConfigError(
                "Both --t5 and --import were given. A cache comes from one encoder, and .pt files "
                "do not say which theirs is. Fix: give one of the two, and each its own --out."
            )
        if self.t5 is None and self.official is None:
            raise ConfigError(
                "Nothing was given to encode with. Fix: give --t5 FOLDER (T5-v1.1-XXL's encoder, "
                "or its hub name google/t5-v1_1-xxl), or --import with .pt files of RDT's own tool."
            )
        if self.suite is None and spoken_from_file(self.instructions):
            raise ConfigError(
                f"--instructions '{self.instructions}' was given without a suite. Fix: give the "
                "suite that the sentences are for, such as --suite libero_goal."
            )
        if self.t5 is not None and self.suite is None and not self.text:
            raise ConfigError(
                "No instruction was given. Fix: give --suite libero_goal (several with commas), or "
                '--text "put the bowl on the plate".'
            )
        return self


@dataclass(frozen=True, kw_only=True)
class InstructionGroup:
    """Instructions that belong together.

    Attributes:
        name: Their suite, or another source.
        texts: The instructions as T5 gets them, each once.
        added: How many of them are new in the cache.
        missing: Instructions that are not in the cache.
    """

    name: str
    texts: tuple[str, ...]
    added: int = 0
    missing: tuple[str, ...] = ()

    @property
    def present(self) -> int:
        """How many were in the cache before."""
        return len(self.texts) - self.added - len(self.missing)

    def as_dict(self) -> dict[str, Any]:
        """Return the group as ``--json`` has it."""
        return {
            "name": self.name,
            "instructions": len(self.texts),
            "encoded": self.added,
            "present": self.present,
            "missing": list(self.missing),
        }


def instruction_groups(config: LanguageConfig) -> list[InstructionGroup]:
    """Return the instructions to encode, as T5 gets them.

    Raises:
        ConfigError: No suite has such a name.
        PrerequisiteError: LIBERO is not installed.
    """
    # Names are checked before torch is imported, which takes seconds.
    suites = [] if config.suite is None else split_names(config.suite)
    texts = {}
    for suite in suites:
        name, sentences = _sentences(suite, config.instructions)
        texts[name] = sentences
    if config.text:
        texts[TYPED] = list(config.text)
    from policies.rdt.encoders.language import format_instruction

    return [
        InstructionGroup(
            name=name, texts=_distinct(format_instruction(text, config.form) for text in group)
        )
        for name, group in texts.items()
    ]


def _sentences(suite: str, instructions: str) -> tuple[str, list[str]]:
    """Return a name for the sentences of a suite, and the sentences."""
    if spoken_from_file(instructions):
        file = read_paraphrases(Path(instructions), suite)
        return file.name, [row.instruction for row in file.rows]
    source = cast(Instructions, instructions)
    return suite, [task.instruction_by(source) for task in suite_tasks(suite)]


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
    import torch

    from policies.rdt.encoders.language import encode_instructions, import_official
    from policies.rdt.model.torch_runtime import resolve_device

    if config.official is not None:
        files = import_official(config.official, out=config.out)
        official = InstructionGroup(name=str(config.official), texts=files.texts, added=files.added)
        return [official, *_with_missing(groups, config.out)]
    assert config.t5 is not None
    new = set(_missing(groups, config.out))
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


def _with_missing(groups: Sequence[InstructionGroup], out: Path) -> list[InstructionGroup]:
    missing = set(_missing(groups, out))
    return [
        replace(group, missing=tuple(text for text in group.texts if text in missing))
        for group in groups
    ]


def _missing(groups: Iterable[InstructionGroup], out: Path) -> list[str]:
    from policies.rdt.encoders.language_cache import LanguageCache, is_cache

    texts = _distinct(text for group in groups for text in group.texts)
    if not is_cache(out):
        return list(texts)
    cache = LanguageCache.open(out)
    return [text for text in texts if not cache.path(text).is_file()]


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
