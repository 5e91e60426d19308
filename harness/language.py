"""Encoding instructions ahead of time, into a language cache."""

from dataclasses import dataclass
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


def asked_sentences(config: LanguageConfig) -> dict[str, list[str]]:
    """Return the sentences to encode, by their suite or another source.

    Raises:
        ConfigError: No suite has such a name.
        PrerequisiteError: LIBERO is not installed.
    """
    suites = [] if config.suite is None else split_names(config.suite)
    sentences = dict(_sentences(suite, config.instructions) for suite in suites)
    if config.text:
        sentences[TYPED] = list(config.text)
    return sentences


def _sentences(suite: str, instructions: str) -> tuple[str, list[str]]:
    """Return a name for the sentences of a suite, and the sentences."""
    if spoken_from_file(instructions):
        file = read_paraphrases(Path(instructions), suite)
        return file.name, [row.instruction for row in file.rows]
    source = cast(Instructions, instructions)
    return suite, [task.instruction_by(source) for task in suite_tasks(suite)]
