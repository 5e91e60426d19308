"""The commands of a script."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
        words: Expanded; a part that only a shell could expand stays as written.
        line: Its first line, from 1.
        exported: Variables that the script exports to it.
        unset: Variables in its words that nothing in the script sets.
    """

    words: tuple[str, ...]
    line: int
    exported: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Script:
    """The commands of a script, in order, without assignments and words of control.

    Attributes:
        uncalled: Commands of functions that the script never calls.
        lost_flags: Flags at the start of a line, because the line before did not continue: a
            comment or a space after the backslash ends a command.
        comments: Comments and printed texts.
        notes: Notes for the user on how it was read.
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
        text: The script.
        environment: Variables that are set from the start.
        folder: Folder of the script; None for a command line.

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
        unknown = [name for word in words for name in unknown_variables(word)]
        if (key := (line, tuple(words))) in seen:
            return
        seen.add(key)
        command = Command(
            words=tuple(map(unmarked, words)),
            line=line,
            exported={name: unmarked(" ".join(value)) for name, value in exported.items()},
            unset=() if variables.anything_may_be_set else tuple(dict.fromkeys(unknown)),
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

    def without_set(command: Command) -> Command:
        names = (n for n in command.unset if n not in variables.assigned and not is_set_outside(n))
        return replace(command, unset=tuple(names))

    known = list(map(without_set, commands))
    return Script(
        commands=tuple(known[:called]),
        uncalled=tuple(known[called:]),
        lost_flags=tuple(lost_flags),
        comments=tuple(reader.comments),
        notes=tuple(_notes(text, reader)),
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
