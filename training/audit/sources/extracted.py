"""Facts extracted from one input, and the facts of several inputs combined."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tasks.errors import ConfigError, first_mistake
from training.audit.facts import SECTIONS, Facts
from training.audit.sources.values import Setting

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
        unknown_flags: Flags and settings that the audit does not know.
        lost_flags: Flags that belong to no command.
        notes: Remarks for the user on how it was read.
        checkpoint: A checkpoint that it names.
        stored_dtype: Dtype of most weights in it.
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
            setting: Which fact it is, and how to convert the value.
            name: The setting as the user writes it.
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
        path, why = first_mistake(error)
        where = stated.get(".".join(path.split(".")[:2]), "the input")
        raise ConfigError(f"{where}: {path}: {why}. Fix: correct it, or leave it out.") from error
