"""Reading shell scripts as far as an audit needs it: which commands run, with which words.

Nothing is executed. Variables that the script assigns are put in, both branches of an ``if`` are
read, loops over words are gone through, and what only a shell could know (``$(…)``, variables that
are not assigned) stays as written.
"""

import ast
import itertools
import operator
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tasks.errors import ConfigError

_ASSIGNMENT = re.compile(r"(?:export\s+|declare\s+(?:-\w+\s+)*|local\s+|readonly\s+)?(\w+)=")
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_VARIABLE = re.compile(
    r"\\.|'[^']*'|\$\(\((?P<sum>[^()]*(?:\([^()]*\)[^()]*)*)\)\)"
    r"|\$\{(?P<braced>\w+)(?::?[-=](?P<default>[^}]*))?\}|\$(?P<plain>[A-Za-z_]\w*)"
)
_LOOP = re.compile(r"\s*for\s+(?P<name>\w+)\s+in\s+(?P<values>[^;]*)")
_KEYWORDS = frozenset(("then", "do", "else", "elif", "if", "while", "until", "{", "(", "!", "time"))
_MOST_TURNS = 64
_SUMS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
}


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of a script.

    Attributes:
        words: Its words, variables put in.
        line: The line it starts on, from 1.
    """

    words: tuple[str, ...]
    line: int


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a script runs.

    Attributes:
        commands: In order, assignments and words of control left out.
        lost: Flags that start a line of their own, because the line before did not continue: a
            comment or a space after the backslash ends a command.
    """

    commands: tuple[Command, ...]
    lost: tuple[str, ...]


def read_script(text: str, environment: Mapping[str, str] | None = None) -> Script:
    """Read a script or a command line.

    Args:
        text: What would be run.
        environment: Variables that are there from the start.

    Raises:
        ConfigError: A quotation mark has no partner.
    """
    variables = dict(environment or {})
    loops: dict[str, list[str]] = {}
    commands: list[Command] = []
    lost: list[str] = []
    for number, line in _logical_lines(text):
        for segment in _segments(line):
            header = _LOOP.match(segment)
            if header:
                loops[header["name"]] = _expand(header["values"], variables).split()
                continue
            for expanded in _turns(segment, variables, loops):
                rest = _assign(_words(expanded, number), variables)
                if rest == ["done"] and loops:
                    loops.popitem()
                elif rest and rest[0].startswith("--"):
                    lost += [word for word in rest if word.startswith("--")]
                elif rest:
                    commands.append(Command(words=tuple(rest), line=number))
    return Script(commands=tuple(commands), lost=tuple(lost))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give lines with their continuations, without comments and here-documents."""
    gathered, start, ends_at = "", 0, None
    for number, physical in enumerate(text.splitlines(), 1):
        if ends_at is not None:
            ends_at = None if physical.strip() == ends_at else ends_at
            continue
        line = _without_comment(gathered + physical)
        commented = len(line) < len(gathered + physical)
        start = start or number
        if line.endswith("\\") and not line.endswith("\\\\") and not commented:
            gathered = line[:-1]
            continue
        if not commented and _open_quote(line):
            gathered = line + "\n"
            continue
        if document := _HEREDOC.search(line):
            ends_at = document[2]
        yield start, line
        gathered, start = "", 0
    if gathered.strip():
        yield start, gathered


def _without_comment(line: str) -> str:
    quote = ""
    for index, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote and line[index - 1] != "\\" else quote
        elif letter in "'\"" and (index == 0 or line[index - 1] != "\\"):
            quote = letter
        elif letter == "#" and (index == 0 or line[index - 1] in " \t\n;"):
            return line[:index]
    return line


def _open_quote(line: str) -> bool:
    quote = ""
    for index, letter in enumerate(line):
        if letter in "'\"" and (index == 0 or line[index - 1] != "\\"):
            quote = "" if quote == letter else quote or letter
    return bool(quote)


def _expand(line: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match["sum"] is not None:
            return _calculate(_expand(match["sum"], variables), variables, match[0])
        name = match["braced"] or match["plain"]
        if name is None:
            return match[0]
        if name in variables:
            return variables[name]
        return match[0] if match["default"] is None else _expand(match["default"], variables)

    return _VARIABLE.sub(value, line)


def _turns(
    line: str, variables: Mapping[str, str], loops: Mapping[str, list[str]]
) -> Iterator[str]:
    """Give a line with its variables put in, once for each value of the loops it depends on."""
    named = {match["braced"] or match["plain"] for match in _VARIABLE.finditer(line)}
    used = [name for name in loops if name in named]
    for values in itertools.islice(itertools.product(*(loops[n] for n in used)), _MOST_TURNS):
        yield _expand(line, {**variables, **dict(zip(used, values, strict=True))})


def _calculate(formula: str, variables: Mapping[str, str], written: str) -> str:
    """Work out ``$((…))`` of whole numbers; what is more than that stays as written."""

    def result(node: ast.expr) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.Name):
            return int(variables[node.id])
        if isinstance(node, ast.BinOp) and type(node.op) in _SUMS:
            return _SUMS[type(node.op)](result(node.left), result(node.right))
        raise ValueError(written)

    try:
        return str(result(ast.parse(formula.strip(), mode="eval").body))
    except (SyntaxError, ValueError, KeyError, ZeroDivisionError, RecursionError, MemoryError):
        return written


def _segments(line: str) -> Iterator[str]:
    """Split a line at ``;``, ``&``, ``|`` and their doubles, outside quotes and parentheses."""
    quote, depth, start = "", 0, 0
    for index, letter in enumerate(line):
        before, after = line[index - 1 : index], line[index + 1 : index + 2]
        if before == "\\":
            continue
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter in ";&|\n" and depth <= 0 and ">" not in (before, after):
            yield line[start:index]
            start = index + 1
    yield line[start:]


def _words(segment: str, number: int) -> list[str]:
    """Split a simple command into words, without words of control and redirections."""
    reader = shlex.shlex(segment, posix=True, punctuation_chars="<>&")
    reader.whitespace_split, reader.commenters = True, ""
    try:
        found = list(reader)
    except ValueError as error:
        raise ConfigError(
            f"Line {number} of the script cannot be read: a quotation mark has no partner. "
            "Fix: close it."
        ) from error
    words: list[str] = []
    skip = False
    for word in found:
        if skip:
            skip = False
        elif word and set(word) <= set("<>&"):
            skip = True
            if words and words[-1].isdigit():  # the 2 of 2>&1
                del words[-1]
        else:
            words.append(word)
    while words and words[0] in _KEYWORDS:
        del words[0]
    return words


def _assign(words: list[str], variables: dict[str, str]) -> list[str]:
    """Note assignments; return the words of the command after them, if any."""
    if not words:
        return []
    rest = words
    before: dict[str, str] = {}
    if rest[0] in ("export", "declare", "local", "readonly"):
        rest = [word for word in rest[1:] if not word.startswith("-")]
        before = {name: value for name, _, value in (w.partition("=") for w in rest) if value}
        rest = []
    while rest and _ASSIGNMENT.match(rest[0]) and not rest[0].startswith("-"):
        name, _, value = rest[0].partition("=")
        before[name] = value
        rest = rest[1:]
    if not rest:  # before a command they are that command's alone
        variables |= before
    return rest
