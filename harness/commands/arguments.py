"""What users type for several commands, and what it means."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.errors import ConfigError
from tasks.settings import MOST_NUMBERS, read_word


def parse_indices(text: str, what: str) -> tuple[int, ...]:
    """Read indices such as ``0,3`` or ``0-4,7``.

    Args:
        text: What was typed.
        what: What the numbers stand for, for the message.

    Raises:
        ConfigError: It is something else, or a number comes twice.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r" *([0-9]{1,12})(?: *- *([0-9]{1,12}))? *", part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise ConfigError(
                f"{what} '{text}' cannot be read. Allowed: numbers and ranges such as 0,3 or 0-4."
            )
        span = range(int(match[1]), int(match[2] or match[1]) + 1)
        if len(numbers) + len(span) > MOST_NUMBERS:
            raise ConfigError(
                f"{what} '{text}' is too much. Allowed: up to {MOST_NUMBERS} numbers."
            )
        numbers += span
    if len(set(numbers)) != len(numbers):
        raise ConfigError(f"{what} '{text}' names a number twice. Fix: name each once.")
    return tuple(numbers)


def parse_tasks(suite: str, text: str | None) -> tuple[int, ...]:
    """Read the tasks of a suite: indices, ranges, names, or all of them where nothing was typed.

    Raises:
        ConfigError: Unknown suite or task.
    """
    from tasks.suites import find_task, suite_tasks

    if text is None or text == "all":
        return tuple(task.index for task in suite_tasks(suite))
    if re.fullmatch(r"[\d,\s-]+", text):
        return tuple(find_task(suite, index).index for index in parse_indices(text, "--tasks"))
    return tuple(find_task(suite, name.strip()).index for name in text.split(","))


def parse_demo_files(paths: Sequence[Path]) -> list[Path]:
    """Return the demo files that files and folders stand for, each once.

    Raises:
        ConfigError: None was named, or one does not exist.
    """
    from tasks.demos.folders import find_all_demo_files

    if not paths:
        raise ConfigError("No demo file was named. Fix: name HDF5 files or folders of them.")
    return find_all_demo_files(paths)


def parse_options(given: Mapping[str, str]) -> dict[str, bool | int | float | str]:
    """Read a policy's settings: numbers, true or false, and words.

    Args:
        given: What was typed, by name.
    """
    return {name.replace("-", "_"): read_word(text) for name, text in given.items()}
