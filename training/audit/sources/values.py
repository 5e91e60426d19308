"""Values of settings and flags, and the facts that they set."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

_LARGEST = 1e15

_CAMERAS = {
    "agentview": ("agentview", "cam_high", "image", "full_image", "third_person", "front"),
    "wrist": ("robot0_eye_in_hand", "eye_in_hand", "wrist", "wrist_image", "cam_right_wrist"),
}
"""Names that others give to LIBERO's cameras and their images."""

_ENDINGS = ("_image", "_rgb")


@dataclass(frozen=True)
class Setting:
    """The fact that a setting or flag sets.

    Attributes:
        fact: Section and name, such as ``training.batch``.
        convert: Makes the fact's value of the setting's; raises ValueError where it cannot.
    """

    fact: str
    convert: Callable[[Any], Any] = lambda value: value

    @property
    def section(self) -> str:
        """The section of the fact."""
        return self.fact.partition(".")[0]

    @property
    def entry(self) -> str:
        """The name of the fact in its section."""
        return self.fact.partition(".")[2]


def one(words: list[str]) -> str:
    """Return a flag's only value.

    Raises:
        ValueError: It has none, or only a shell knows it.
    """
    if not words or is_unreadable(words[0]):
        raise ValueError("no value that can be read")
    return words[0]


def is_unreadable(word: str) -> bool:
    """Return whether a word has a value that only a shell knows."""
    return "$" in word or "`" in word


def whole(words: list[str]) -> int:
    """Return a flag's value as a whole number; 1e5 counts as one.

    Raises:
        ValueError: It is not one.
    """
    value = number(words)
    if value != int(value):
        raise ValueError(f"{value} is not a whole number")
    return int(value)


def count(words: list[str]) -> int:
    """Return a flag's value as a number of things, 1 or more.

    Raises:
        ValueError: It is not one.
    """
    if (value := whole(words)) < 1:
        raise ValueError(f"{value} is less than 1")
    return value


def counts(words: list[str]) -> tuple[int, ...]:
    """Return a flag's values as numbers of things, separated by spaces or commas.

    Raises:
        ValueError: One is none, or there is none.
    """
    values = tuple(count([word]) for word in items(words))
    if not values:
        raise ValueError("no value")
    return values


def number(words: list[str]) -> float:
    """Return a flag's value as a number.

    Raises:
        ValueError: It is not one.
    """
    value = float(one(words))
    if not abs(value) < _LARGEST:
        raise ValueError(f"{value} is no number of anything")
    return value


def switch(words: list[str]) -> bool:
    """Return whether a flag is set: bare, or with a word for yes.

    Raises:
        ValueError: It is neither yes nor no.
    """
    if not words:
        return True
    word = one(words).lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off", "none"):
        return False
    raise ValueError(f"{word} is neither yes nor no")


def items(words: list[str]) -> tuple[str, ...]:
    """Return a flag's values, separated by spaces or commas."""
    return tuple(item for word in words for item in word.strip("[]").split(",") if item)


def one_of(kind: Any) -> Callable[[list[str]], str]:
    """Return a converter for one of the words of a ``Literal``."""

    def convert(words: list[str]) -> str:
        word = one(words)
        if word not in get_args(kind):
            raise ValueError(f"{word} is none of {', '.join(get_args(kind))}")
        return word

    return convert


def camera_name(given: str) -> str:
    """Return this project's name of a camera; an unknown one stays as it is."""
    short = given.strip().lower()
    for ending in _ENDINGS:
        short = short.removesuffix(ending)
    for name, others in _CAMERAS.items():
        if short in others or given.lower() in others:
            return name
    return given


def camera_names(words: list[str]) -> tuple[str, ...]:
    """Return this project's names of cameras, separated by spaces or commas."""
    return tuple(camera_name(name) for name in items(words))
