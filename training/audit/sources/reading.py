"""What one input says, and several inputs put together."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from policies.rdt.actions.layout import Layout
from tasks.errors import ConfigError, first_mistake
from training.audit.facts import SECTIONS, Facts, Gripper

ALLOWED = (
    "a shell script, a command in quotation marks, a Python file that starts commands, a TOML file "
    "(recipe, training settings or facts), requirements in a .txt, a training run, an evaluation "
    "run, or a checkpoint"
)

_LARGEST = 1e15

Sections = dict[str, dict[str, Any]]

_GRIPPERS: Mapping[str, Gripper] = {
    "gripper_open": "opening",
    "finger": "fingers",
    "fingers": "fingers",
    "gripper_opening": "opening",
    "gripper_command": "command",
    "gripper_closing": "closing",
}


@dataclass(kw_only=True)
class Reading:
    """What one input says.

    Attributes:
        source: The input, for messages.
        said: Facts that stand in it, by section.
        implied: Facts that follow from the defaults of the code that is used.
        unread: Facts that are given and cannot be read; no default is put in their place.
        open: Whether words that cannot be read may say anything: no defaults at all.
        unknown: Flags and settings that are not known here.
        lost: Flags that belong to no command.
        notes: What the user should know of how it was read.
        checkpoint: A checkpoint that it names.
        stored_dtype: Dtype of most weights in it.
    """

    source: str
    said: Sections = field(default_factory=lambda: {name: {} for name in SECTIONS})
    implied: Sections = field(default_factory=lambda: {name: {} for name in SECTIONS})
    unread: set[str] = field(default_factory=set)
    open: bool = False
    unknown: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checkpoint: str | None = None
    stored_dtype: str | None = None

    def say(self, section: str, **facts: Any) -> None:
        """Note facts that stand in the input; None is left out."""
        self.said[section] |= {name: value for name, value in facts.items() if value is not None}

    def imply(self, section: str, **facts: Any) -> None:
        """Note facts that follow from defaults; None is left out."""
        if self.open:
            return
        self.implied[section] |= {
            name: value
            for name, value in facts.items()
            if value is not None and f"{section}.{name}" not in self.unread
        }


@dataclass(frozen=True)
class Target:
    """Where a setting goes.

    Attributes:
        fact: Section and name, such as ``training.batch``.
        convert: Makes the fact of the setting's value; raises ValueError if it cannot.
    """

    fact: str
    convert: Callable[[Any], Any] = lambda value: value

    def put(self, reading: Reading, value: Any, *, implied: bool = False) -> None:
        """Note a value."""
        section, _, name = self.fact.partition(".")
        note = reading.imply if implied else reading.say
        note(section, **{name: self.convert(value)})


def put(reading: Reading, target: Target, name: str, words: Any) -> None:
    """Note a setting; a value that cannot be read is noted as that."""
    try:
        target.put(reading, words)
    except (ValueError, TypeError, OverflowError):
        note_unread(reading, target.fact, name, words)


def note_unread(reading: Reading, fact: str, name: str, words: Any) -> None:
    """Note that a fact is given in words that cannot be read."""
    shown = " ".join(words) if isinstance(words, list) else words
    reading.unread.add(fact)
    reading.notes.append(
        f"{reading.source}: the value of {name}, '{shown}', was not read: given, not readable, so "
        "nothing is judged by it."
    )


@contextmanager
def of_the_right_kind(source: str) -> Iterator[None]:
    """Name the input whose settings have types that no setting has."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ConfigError(
            f"{source}: a setting is of the wrong kind ({error}). Fix: correct it; the command "
            "that the settings are for says which it takes."
        ) from error


def combine(readings: Iterable[Reading]) -> tuple[Facts, list[str]]:
    """Put readings together; what is said last wins, and what is said wins over defaults.

    Returns:
        The facts, and notes on what contradicted what.

    Raises:
        ConfigError: A fact has a value that cannot be.
    """
    merged: Sections = {name: {} for name in SECTIONS}
    said: dict[str, str] = {}
    notes: list[str] = []
    readings = list(readings)
    for reading in readings:
        for section, facts in reading.implied.items():
            merged[section] |= facts
    for reading in readings:
        notes += reading.notes
        for section, facts in reading.said.items():
            for name, value in facts.items():
                fact = f"{section}.{name}"
                before = merged[section].get(name)
                if fact in said and before != value:
                    notes.append(
                        f"{said[fact]} says {name} {before}, {reading.source} says {value}; "
                        "the latter is judged."
                    )
                merged[section][name] = value
                said[fact] = reading.source
    dtypes = [reading.stored_dtype for reading in readings if reading.stored_dtype]
    plain = {
        **merged,
        "said": frozenset(said),
        "unread": frozenset(u for r in readings for u in r.unread) - said.keys(),
        "unknown": tuple(dict.fromkeys(name for r in readings for name in r.unknown)),
        "lost": tuple(name for reading in readings for name in reading.lost),
        "stored_dtype": dtypes[-1] if dtypes else None,
    }
    try:
        return TypeAdapter(Facts).validate_python(plain), list(dict.fromkeys(notes))
    except ValidationError as error:
        place, why = first_mistake(error)
        where = said.get(place.partition(".")[0] + "." + place.split(".")[1], "the input")
        raise ConfigError(f"{where}: {place}: {why}. Fix: correct it, or leave it out.") from error


def describe_layout(layout: Layout, *, training: bool) -> dict[str, Any]:
    """Give the facts of a mapping to the unified vector, for ``Conditions``."""
    sources = {channel.source: channel for channel in layout.action}
    deltas = [slot for c in layout.action if c.source.startswith("delta_") for slot in c.slots]
    grip = next(channel for channel in layout.action if channel.source in _GRIPPERS)
    fingers = [channel for channel in layout.state if channel.source in _GRIPPERS]
    rotation = "joints" if "future_joint_pos" in sources else "pose"
    return {
        "state_slots": layout.state_slots,
        "action_slots": layout.action_slots,
        "delta_slots": tuple(deltas),
        "goals": layout.holds_goals,
        "rotation": "delta-axis-angle" if "delta_rot" in sources else rotation,
        "mask": layout.masks.training if training else layout.masks.evaluation,
        "gripper": _GRIPPERS[grip.source],
        "gripper_slot": grip.slots[0],
        "gripper_state": _GRIPPERS[fingers[0].source] if fingers else None,
        "gripper_state_slot": fingers[0].slots[0] if fingers else None,
    }


def one(words: list[str]) -> str:
    """Return a flag's only value.

    Raises:
        ValueError: It has none, or only a shell knows it.
    """
    if not words or is_unread(words[0]):
        raise ValueError("no value that can be read")
    return words[0]


def is_unread(word: str) -> bool:
    """Return whether only a shell knows a word."""
    return "$" in word or "`" in word


def whole(words: list[str]) -> int:
    """Return a flag's value as a whole number; 1e5 counts as one.

    Raises:
        ValueError: It is not one.
    """
    found = number(words)
    if found != int(found):
        raise ValueError(f"{found} is not a whole number")
    return int(found)


def count(words: list[str]) -> int:
    """Return a flag's value as a number of things, 1 or more.

    Raises:
        ValueError: It is not one.
    """
    if (found := whole(words)) < 1:
        raise ValueError(f"{found} is less than 1")
    return found


def counts(words: list[str]) -> tuple[int, ...]:
    """Return a flag's values as numbers of things, separated by spaces or commas.

    Raises:
        ValueError: One is none, or there is none.
    """
    found = tuple(count([word]) for word in items(words))
    if not found:
        raise ValueError("no value")
    return found


def number(words: list[str]) -> float:
    """Return a flag's value as a number.

    Raises:
        ValueError: It is not one.
    """
    found = float(one(words))
    if not abs(found) < _LARGEST:
        raise ValueError(f"{found} is no number of anything")
    return found


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
