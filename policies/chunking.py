"""Methods that join a new chunk (plan) to the one before it, as users name them.

The methods are carried out by the policy, which is told by its options; ``CHUNKINGS`` says which.
"""

from dataclasses import dataclass
from typing import Any

from tasks.errors import ConfigError, unknown_name
from tasks.settings import read_word

CHUNKINGS: dict[str, dict[str, str]] = {
    "none": {},
    "rtc": {"beta": "rtc_beta", "schedule": "rtc_schedule"},
    "rtc-blend": {"schedule": "rtc_schedule"},
    "inpaint": {"weight": "inpaint_weight", "frozen": "inpaint_frozen", "decay": "inpaint_decay"},
    "bid": {"samples": "samples", "decay": "bid_decay"},
}
"""The methods, and the policy's option behind each of their options."""

OVERLAPPING = ("rtc", "rtc-blend", "inpaint")
"""Methods that change nothing where a plan does not overlap the one before."""

_BID_SAMPLES = 8
"""Samples per plan of ``bid`` unless the user says otherwise."""


@dataclass(frozen=True)
class Chunking:
    """A method with its options.

    Attributes:
        name: A key of ``CHUNKINGS``.
        given: The options that were given, in order: names and values.
    """

    name: str
    given: tuple[tuple[str, Any], ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """The policy's options that stand for the method."""
        options = {CHUNKINGS[self.name][option]: value for option, value in self.given}
        if self.name == "bid":
            options = {"samples": _BID_SAMPLES} | options
        return {"guidance": self.name} | options

    def __str__(self) -> str:
        """Return the method as ``parse_chunkings`` reads it."""
        values = ",".join(f"{option}={value}" for option, value in self.given)
        return f"{self.name}:{values}" if values else self.name

    @property
    def folder_name(self) -> str:
        """The same as part of a folder's name."""
        return str(self).replace(":", "-").replace(",", "-")


def parse_chunkings(text: str) -> tuple[Chunking, ...]:
    """Read methods such as ``none,rtc:beta=10,schedule=linear,inpaint``; none of an empty text.

    Text after a comma belongs to the method before it if it has the form of an option.

    Raises:
        ConfigError: There is no method or option of that name, or a method comes twice.
    """
    methods: list[tuple[str, list[tuple[str, Any]]]] = []
    for part in text.split(",") if text.strip() else ():
        head, colon, first = part.strip().partition(":")
        option_text = first if colon else part
        if colon or "=" not in part:
            if head not in CHUNKINGS:
                raise unknown_name("chunking", head, CHUNKINGS)
            methods.append((head, []))
        if colon or "=" in part:
            if not methods:
                raise ConfigError(
                    f"--chunking '{text}' begins with an option. Allowed: a method before it, such "
                    "as rtc:beta=10."
                )
            name, given = methods[-1]
            given.append(_read_option(name, option_text, {option for option, _ in given}))
    chunkings = tuple(Chunking(name, tuple(given)) for name, given in methods)
    if len(set(chunkings)) != len(chunkings):
        raise ConfigError(f"--chunking '{text}' names a method twice. Fix: name each once.")
    return chunkings


def _read_option(method: str, text: str, earlier: set[str]) -> tuple[str, Any]:
    option, equals, value = (word.strip() for word in text.partition("="))
    allowed = CHUNKINGS[method]
    if not allowed:
        raise ConfigError(f"Chunking '{method}' has no options, but '{text}' was given.")
    if not equals or not value or option in earlier:
        example = f"{method}:{next(iter(allowed))}=VALUE"
        raise ConfigError(
            f"Chunking '{method}' cannot be read at '{text}'. Allowed: such as {example}, each "
            "option once."
        )
    if option not in allowed:
        raise unknown_name(f"option of chunking '{method}'", option, allowed)
    return option, read_word(value)
