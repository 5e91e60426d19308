"""Texts that users type for an option, and the values they stand for."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from tasks.demos.folders import find_all_demo_files
from tasks.errors import ConfigError
from tasks.settings import MOST_NUMBERS, read_word
from tasks.suites import Instructions, find_task, suite_tasks

_MOST_BYTES = 200
"""Folder names may have 255, of which some go to horizon and fusion."""


def read_numbers(text: str, option: str) -> tuple[int, ...]:
    """Read numbers such as ``0,3`` or ``0-4,7``.

    Args:
        text: What was typed.
        option: The option, for the message.

    Raises:
        ConfigError: It is something else, or a number comes twice.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r" *([0-9]{1,12})(?: *- *([0-9]{1,12}))? *", part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise ConfigError(
                f"{option} '{text}' cannot be read. Allowed: numbers and ranges such as 0,3 or 0-4."
            )
        span = range(int(match[1]), int(match[2] or match[1]) + 1)
        if len(numbers) + len(span) > MOST_NUMBERS:
            raise ConfigError(
                f"{option} '{text}' is too much. Allowed: up to {MOST_NUMBERS} numbers."
            )
        numbers += span
    if len(set(numbers)) != len(numbers):
        raise ConfigError(f"{option} '{text}' names a number twice. Fix: name each once.")
    return tuple(numbers)


def read_tasks(value: Any, suites: Iterable[str], option: str = "--tasks") -> Any:
    """Read tasks of suites: indices, ranges, names, or ``all``.

    Args:
        value: What was typed; a number stands for itself, and what else is no text is returned.
        suites: The suites; a name must stand for the same index in each.
        option: The option, for messages.

    Returns:
        The indices; None for all tasks.

    Raises:
        ConfigError: Unknown suite or task.
    """
    text = _typed(value)
    if text is None:
        return (value,) if type(value) is int else value
    if text == "all":
        return None
    indexed = re.fullmatch(r"[\d,\s-]+", text)
    asked: Sequence[int | str] = (
        read_numbers(text, option) if indexed else [name.strip() for name in text.split(",")]
    )
    indices = {suite: tuple(find_task(suite, task).index for task in asked) for suite in suites}
    if len(set(indices.values())) > 1:
        raise ConfigError(
            f"{option} '{text}' has other indices in one suite than in another: {indices}. "
            "Fix: give one suite at a time."
        )
    return next(iter(indices.values()))


def all_tasks(suite: str) -> tuple[int, ...]:
    """Return the indices of a suite's tasks.

    Raises:
        ConfigError: Unknown suite.
    """
    return tuple(task.index for task in suite_tasks(suite))


def split_names(value: Any) -> Any:
    """Read names with commas between them, each once; what is no text is returned as it is."""
    text = _typed(value)
    return value if text is None else tuple(dict.fromkeys(n.strip() for n in text.split(",")))


def read_count(value: Any) -> Any:
    """Read a number, ``all``, or leave what is no text as it is.

    Raises:
        ConfigError: It is another text.
    """
    if not isinstance(value, str) or value == "all":
        return value
    number = read_word(value)
    if type(number) is int and number >= 0:
        return number
    raise ConfigError(f"--record '{value}' cannot be read. Allowed: a number, or all.")


def read_automatic(value: Any, info: ValidationInfo) -> Any:
    """Read a number, ``auto``, or leave what is no text as it is.

    Raises:
        ConfigError: It is another text.
    """
    if not isinstance(value, str) or value == "auto":
        return value
    number = read_word(value)
    if type(number) is int:
        return number
    option = f"--{(info.field_name or 'number').replace('_', '-')}"
    raise ConfigError(f"{option} '{value}' cannot be read. Allowed: a whole number, or auto.")


def read_delays(value: Any) -> Any:
    """Read delays: numbers of control steps such as ``0,2,4``, and ``measured``.

    Raises:
        ConfigError: It is something else, or one comes twice.
    """
    text = _typed(value)
    if text is None:
        return value
    words = [word.strip() for word in text.split(",")]
    steps = ",".join(word for word in words if word != "measured")
    if words.count("measured") > 1:
        raise ConfigError(f"--delay '{text}' names measured twice. Fix: name each once.")
    numbers = read_numbers(steps, "--delay") if steps else ()
    return (*numbers, *(("measured",) if "measured" in words else ()))


def check_label(label: str) -> str:
    """Return a label that can be shown and be a folder's name.

    Raises:
        ConfigError: It is empty, too long, ``.`` or ``..``, or has characters that nobody sees.
    """
    if not label.isprintable() or not label.strip(" .") or len(label.encode()) > _MOST_BYTES:
        given = f"{label[:40]}…" if len(label) > 40 else label
        raise ConfigError(
            f"The label '{given}' is not allowed. Allowed: 1 to {_MOST_BYTES} bytes of printable "
            "text that is more than dots."
        )
    return label


def check_instructions(instructions: str) -> str:
    """Return which sentences policies are told: a word of ``Instructions``, or a CSV file.

    Raises:
        ConfigError: It is another word.
    """
    known = get_args(Instructions)
    if instructions not in known and not spoken_from_file(instructions):
        raise ConfigError(
            f"--instructions '{instructions}' is not known. Allowed: {', '.join(known)}, or a file "
            "of sentences whose name ends in .csv."
        )
    return instructions


def spoken_from_file(instructions: str | None) -> TypeGuard[str]:
    """Whether instructions are a file of sentences."""
    return instructions is not None and instructions.lower().endswith(".csv")


def demo_files(paths: Sequence[Path]) -> list[Path]:
    """Return the demo files that files and folders stand for, each once.

    Raises:
        ConfigError: None was named, or one does not exist.
    """
    if not paths:
        raise ConfigError(
            "No demo file was named. Fix: name HDF5 files, LeRobot data sets, or folders of them."
        )
    return find_all_demo_files(paths)


def _numbers(value: Any, info: ValidationInfo) -> Any:
    text = _typed(value)
    if text is not None:
        return read_numbers(text, f"--{(info.field_name or 'numbers').replace('_', '-')}")
    return (value,) if type(value) is int else value


def _each_once(numbers: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
    if twice := [number for number in numbers if numbers.count(number) > 1]:
        raise ConfigError(
            f"{info.field_name or 'numbers'} names {twice[0]} twice. Fix: name each once."
        )
    return numbers


def _typed(value: Any) -> str | None:
    """Return the text that was typed; None for a value of another kind."""
    if isinstance(value, str):
        return value
    parts = isinstance(value, Sequence) and len(value) and all(isinstance(v, str) for v in value)
    return ",".join(value) if parts else None


InstructionSource = Annotated[str, AfterValidator(check_instructions)]
"""Which sentences policies are told: a word of ``Instructions``, or a CSV file."""

Convention = Literal["before_action", "after_action"]
"""``tasks.demos.schema.Convention``, without importing h5py."""

Numbers = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_numbers), AfterValidator(_each_once)
]
"""Numbers, each once; also a single one, or text such as ``0,3`` or ``0-4``."""

Names = Annotated[tuple[str, ...], BeforeValidator(split_names)]
"""Names, also as text with commas between them."""

Label = Annotated[str, AfterValidator(check_label)]
"""What users call a run: shown in tables, and the name of its folder in a recipe."""
