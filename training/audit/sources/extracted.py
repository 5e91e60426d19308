"""Facts extracted from the values of one input, and the facts of several inputs combined."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from tasks.errors import ConfigError, first_mistake
from training.audit.facts import Facts
from training.audit.sections import SECTIONS

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
    """Return a flag's only value; ValueError if it has none, or only a shell knows it."""
    if not words or is_unreadable(words[0]):
        raise ValueError("no value that can be read")
    return words[0]


def is_unreadable(word: str) -> bool:
    """Return whether a word has a value that only a shell knows."""
    return "$" in word or "`" in word


def whole(words: list[str]) -> int:
    """Return a flag's value as a whole number, such as 1e5; ValueError if it is none."""
    value = number(words)
    if value != int(value):
        raise ValueError(f"{value} is not a whole number")
    return int(value)


def count(words: list[str]) -> int:
    """Return a flag's value as a whole number of 1 or more; ValueError if it is none."""
    if (value := whole(words)) < 1:
        raise ValueError(f"{value} is less than 1")
    return value


def counts(words: list[str]) -> tuple[int, ...]:
    """Return a flag's values, separated by spaces or commas, each as ``count`` does."""
    values = tuple(count([word]) for word in items(words))
    if not values:
        raise ValueError("no value")
    return values


def number(words: list[str]) -> float:
    """Return a flag's value as a number; ValueError if it is none."""
    value = float(one(words))
    if not abs(value) < _LARGEST:
        raise ValueError(f"{value} is no number of anything")
    return value


def switch(words: list[str]) -> bool:
    """Return whether a flag is set: bare, or with a word for yes; ValueError for others."""
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


def camera_name(camera: str) -> str:
    """Return this project's name of a camera; an unknown one stays as it is."""
    short = camera.strip().lower()
    for ending in _ENDINGS:
        short = short.removesuffix(ending)
    for name, others in _CAMERAS.items():
        if short in others or camera.lower() in others:
            return name
    return camera


def camera_names(words: list[str]) -> tuple[str, ...]:
    """Return this project's names of cameras, separated by spaces or commas."""
    return tuple(camera_name(name) for name in items(words))


ALLOWED = (
    "a shell script, a command in quotation marks, a Python file that starts commands, a TOML file "
    "(recipe, training settings or facts), requirements in a .txt, a training run, an evaluation "
    "run, or a checkpoint"
)

Sections = dict[str, dict[str, Any]]


def _sections() -> Sections:
    return {name: {} for name in SECTIONS}


@dataclass(kw_only=True)
class ExtractedFacts:
    """Facts that one input states or implies.

    Attributes:
        source: The input, for messages.
        stated: Facts that stand in it, by section.
        defaults: Facts that follow from the defaults of the code that is used, by section.
        unreadable: Facts whose value cannot be read; no default takes their place.
        open: Whether unreadable words may state anything, so that no default is certain.
        notes: Notes for the user on how it was read.
        checkpoint: A checkpoint that it names.
    """

    source: str
    stated: Sections = field(default_factory=_sections)
    defaults: Sections = field(default_factory=_sections)
    unreadable: set[str] = field(default_factory=set)
    open: bool = False
    unknown_flags: list[str] = field(default_factory=list)
    lost_flags: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checkpoint: str | None = None
    stored_dtype: str | None = None

    def set(self, section: str, **facts: Any) -> None:
        """Set facts that stand in the input; None is left out."""
        self.stated[section] |= {name: value for name, value in facts.items() if value is not None}

    def default(self, section: str, **facts: Any) -> None:
        """Set facts that follow from defaults; None is left out."""
        if self.open:
            return
        self.defaults[section] |= {
            name: value
            for name, value in facts.items()
            if value is not None and f"{section}.{name}" not in self.unreadable
        }

    def set_from(self, setting: Setting, name: str, value: Any) -> None:
        """Set the fact of a setting, or note that its value cannot be read.

        Args:
            setting: The setting.
            name: Its name as the user writes it.
            value: Its value in the input.
        """
        try:
            self.set(setting.section, **{setting.entry: setting.convert(value)})
        except (ValueError, TypeError, OverflowError):
            self.note_unreadable(setting.fact, name, value)

    def default_from(self, setting: Setting, value: Any) -> None:
        """Set the fact that follows from the default of a setting."""
        self.default(setting.section, **{setting.entry: setting.convert(value)})

    def note_unreadable(self, fact: str, name: str, value: Any) -> None:
        """Note that a fact is stated with a value that cannot be read."""
        written = " ".join(value) if isinstance(value, list) else value
        self.unreadable.add(fact)
        self.notes.append(
            f"{self.source}: the value of {name}, '{written}', was not read: given, not readable, "
            "so nothing is judged by it."
        )


@contextmanager
def naming_source(source: str) -> Iterator[None]:
    """Name the input in the error about a value of the wrong type."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ConfigError(
            f"{source}: a setting is of the wrong kind ({error}). Fix: correct it; the command "
            "that the settings are for says which it takes."
        ) from error


def combine(extractions: Iterable[ExtractedFacts]) -> tuple[Facts, list[str]]:
    """Combine inputs: the last one wins, and stated facts win over defaults.

    Returns:
        The facts, and notes on contradictions.

    Raises:
        ConfigError: A fact has an impossible value.
    """
    merged = _sections()
    stated: dict[str, str] = {}
    notes: list[str] = []
    extractions = list(extractions)
    for extracted in extractions:
        for section, facts in extracted.defaults.items():
            merged[section] |= facts
    for extracted in extractions:
        notes += extracted.notes
        for section, facts in extracted.stated.items():
            for name, value in facts.items():
                fact = f"{section}.{name}"
                before = merged[section].get(name)
                if fact in stated and before != value:
                    notes.append(
                        f"{stated[fact]} says {name} {before}, {extracted.source} says {value}; "
                        "the latter is judged."
                    )
                merged[section][name] = value
                stated[fact] = extracted.source
    dtypes = [e.stored_dtype for e in extractions if e.stored_dtype]
    plain = {
        **merged,
        "stated": frozenset(stated),
        "unreadable": frozenset(u for e in extractions for u in e.unreadable) - stated.keys(),
        "unknown_flags": tuple(dict.fromkeys(n for e in extractions for n in e.unknown_flags)),
        "lost_flags": tuple(name for e in extractions for name in e.lost_flags),
        "stored_dtype": dtypes[-1] if dtypes else None,
    }
    try:
        return TypeAdapter(Facts).validate_python(plain), list(dict.fromkeys(notes))
    except ValidationError as error:
        path, reason = first_mistake(error)
        source = stated.get(".".join(path.split(".")[:2]), "the input")
        raise ConfigError(
            f"{source}: {path}: {reason}. Fix: correct it, or leave it out."
        ) from error
