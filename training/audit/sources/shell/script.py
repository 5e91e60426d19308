"""What a script runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tasks.errors import ConfigError
from training.audit.sources.shell.interpreter import Interpreter
from training.audit.sources.shell.variables import (
    Variables,
    is_set_outside,
    unknown_variables,
    unmarked,
)


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of a script.

    Attributes:
        words: Its words, variables put in; what only a shell could know stands as it is written.
        line: The line it starts on, from 1.
        exported: Variables that the script hands to it.
        unset: Variables in its words that nothing in the script sets.
    """

    words: tuple[str, ...]
    line: int
    exported: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a script runs.

    Attributes:
        commands: In order, assignments and words of control left out.
        uncalled: Commands of functions that the script never calls.
        lost_flags: Flags at the start of a line, because the line before did not continue: a
            comment or a space after the backslash ends a command.
        comments: Comments, and what the script prints.
        notes: What the user should know of how it was read.
    """

    commands: tuple[Command, ...]
    uncalled: tuple[Command, ...] = ()
    lost_flags: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_script(
    text: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Script:
    """Read a script or a command line.

    Args:
        text: What would be run.
        environment: Variables that are there from the start.
        folder: Where the script lies; None for a command line.

    Raises:
        ConfigError: It is nested too deeply.
    """
    commands: list[Command] = []
    lost_flags: list[str] = []
    seen: set[tuple[int, tuple[str, ...]]] = set()

    def take(words: list[str], line: int, variables: Variables) -> None:
        if re.match("--[A-Za-z]", words[0]):
            if reader.first_doubtful_line is None or line < reader.first_doubtful_line:
                lost_flags.extend(unmarked(word) for word in words if word.startswith("--"))
            return
        exported = {n: variables.values[n] for n in variables.exported & variables.values.keys()}
        waiting = (
            []
            if variables.anything_may_be_set
            else [n for w in words for n in unknown_variables(w)]
        )
        if (key := (line, tuple(words))) in seen:
            return
        seen.add(key)
        command = Command(
            words=tuple(map(unmarked, words)),
            line=line,
            exported={name: unmarked(" ".join(value)) for name, value in exported.items()},
            unset=tuple(dict.fromkeys(waiting)),
        )
        commands.append(command)

    reader = Interpreter(take)
    variables = Variables(environment=environment or {}, folder=folder)
    try:
        reader.read(text.replace("\r\n", "\n"), variables)
        called = len(commands)
        reader.read_uncalled_functions(variables)
    except RecursionError as error:
        raise ConfigError(
            "The script is nested too deeply to be read. Fix: give the command alone, in quotation "
            "marks."
        ) from error
    known = [_without_known(command, variables.assigned) for command in commands]
    return Script(
        commands=tuple(known[:called]),
        uncalled=tuple(known[called:]),
        lost_flags=tuple(lost_flags),
        comments=tuple(reader.comments),
        notes=tuple(_notes(text, reader)),
    )


def _without_known(command: Command, assigned: set[str]) -> Command:
    names = (n for n in command.unset if n not in assigned and not is_set_outside(n))
    return Command(
        words=command.words,
        line=command.line,
        exported=command.exported,
        unset=tuple(names),
    )


def _notes(text: str, reader: Interpreter) -> list[str]:
    notes = []
    if "\r\n" in text:
        notes.append(
            "lines end as on Windows, which bash does not understand (fix: dos2unix); they were "
            "read as if they did not"
        )
    if not reader.complete:
        notes.append("it runs so many statements that only the first were read")
    if reader.first_doubtful_line is not None:
        notes.append(
            f"line {reader.first_doubtful_line} is no valid shell (a quotation mark or an `fi` "
            "without a partner?); what could be read was read"
        )
    return notes
