"""Statements and commands that the shell itself runs.

Assignments, conditions, and commands that run another script (``eval``, ``source``, ``bash -c``).
"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from training.audit.sources.shell.expansion import expand, expand_text
from training.audit.sources.shell.grammar import text_of
from training.audit.sources.shell.variables import (
    is_known,
    is_set_outside,
    unknown_variables,
    unmarked,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    from training.audit.sources.shell.variables import Value, Variables


_SETTERS = {"read": "", "mapfile": "", "readarray": "", "getopts": "", "printf": "-v"}
"""Commands that set the variables they are given; of printf, those after ``-v``."""

_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": int.__eq__,
    "-ne": int.__ne__,
    "-lt": int.__lt__,
    "-le": int.__le__,
    "-gt": int.__gt__,
    "-ge": int.__ge__,
}

_SHELLS = frozenset(("bash", "sh", "zsh", "dash", "ksh"))
_RUNNERS = _SHELLS | {"sbatch", "ssh", "qsub", "bsub", "srun"}
_LINE_RUNNERS = frozenset(("tmux", "screen", "su", "watch", "script", "xterm"))
"""Commands that take a command line as one word."""

_KNOWN_SOURCES = ("bashrc", "profile", "conda.sh", "activate", "zshrc", "modules.sh", "init.sh")
_LARGEST = 1 << 20
_SSH_VALUES = ("-p", "-i", "-o", "-l", "-F", "-J", "-L", "-R", "-D")


def assign(node: "Node", variables: "Variables") -> None:
    """Set a variable as ``NAME=value`` or ``NAME+=value`` says."""
    left, right = node.children[0], node.children[-1]
    if left.type == "subscript":
        variables.lose(text_of(left.children[0]))
        return
    name, value = text_of(left), assigned_value(right, variables)
    if node.children[1].type == "+=":
        held = variables.get(name) or ()
        is_array = right.type == "array" or not held
        value = held + value if is_array else (held[0] + value[0], *held[1:])
    variables.set(name, value)


def assigned_value(node: "Node", variables: "Variables") -> "Value":
    """Return the value on the right of an assignment."""
    if node.type == "array":
        items = [c for c in node.children if c.is_named and c.type != "comment"]
        return tuple(word for item in items for word in expand(item, variables))
    return ("" if node.type in ("=", "+=") else expand_text(node, variables),)


def declare(node: "Node", variables: "Variables") -> None:
    """Read ``export``, ``declare``, ``local`` and ``readonly``."""
    exports = text_of(node.children[0]) == "export" or "-x" in map(text_of, node.children)
    for child in node.children[1:]:
        if child.type not in ("variable_assignment", "variable_name"):
            continue
        if child.type == "variable_assignment":
            assign(child, variables)
        if exports:
            variables.exported.add(text_of(child).partition("=")[0].rstrip("+"))


def unset(node: "Node", variables: "Variables") -> None:
    """Read ``unset``."""
    for name in map(text_of, node.children[1:]):
        variables.values.pop(name, None)
        variables.exported.discard(name)


def variables_set_by(words: list[str]) -> list[str]:
    """Return the names of the variables that a command such as ``read`` sets."""
    if not words or words[0] not in _SETTERS:
        return []
    marker = _SETTERS[words[0]]
    if marker:
        return words[words.index(marker) + 1 :][:1] if marker in words else []
    return [word for word in words[1:] if word.isidentifier()]


def assigned_in(body: "Node") -> set[str]:
    """Return the names of the variables that are set somewhere in a part of a script."""
    names, pending = set(), [body]
    while pending:
        node = pending.pop()
        if node.type == "variable_assignment":
            names.add(text_of(node.children[0]).partition("[")[0])
        elif node.type == "for_statement":
            names |= {text_of(child) for child in node.children if child.type == "variable_name"}
        elif node.type == "expansion" and any(c.type in (":=", "=") for c in node.children):
            names.add(text_of(node.children[1]))
        elif node.type == "command":
            names |= set(variables_set_by([text_of(child) for child in node.children]))
        pending += node.children
    return names


def evaluate_condition(node: "Node", variables: "Variables") -> bool | None:
    """Return whether a condition holds; None if that depends on something unknown."""
    match node.type:
        case "test_command" | "parenthesized_expression":
            inner = [child for child in node.children if child.is_named]
            return evaluate_condition(inner[0], variables) if len(inner) == 1 else None
        case "negated_command":
            return _not(evaluate_condition(node.children[-1], variables))
        case "unary_expression":
            return _unary(node, variables)
        case "binary_expression" if len(node.children) == 3:
            return _binary(node, variables)
        case "command":
            return {"true": True, "false": False, ":": True}.get(text_of(node))
    return None


def _unary(node: "Node", variables: "Variables") -> bool | None:
    operator, operand = text_of(node.children[0]), node.children[-1]
    if operator == "!":
        return _not(evaluate_condition(operand, variables))
    if operator not in ("-z", "-n"):
        return None
    text = _known(operand, variables)
    return None if text is None else (text == "") == (operator == "-z")


def _binary(node: "Node", variables: "Variables") -> bool | None:
    left, operator, right = node.children
    sign = text_of(operator)
    if sign in ("&&", "||", "-a", "-o"):
        return _both(
            evaluate_condition(left, variables),
            evaluate_condition(right, variables),
            sign in ("&&", "-a"),
        )
    first, second = _known(left, variables), _known(right, variables)
    if first is None or second is None:
        return None
    if sign in ("=", "==", "!="):
        same = fnmatchcase(first, second) if right.type == "extglob_pattern" else first == second
        return same == (sign != "!=")
    if sign in _NUMBERS:
        try:
            return _NUMBERS[sign](int(first), int(second))
        except ValueError:
            return None
    return None


def _known(node: "Node", variables: "Variables") -> str | None:
    """Return an operand; a variable that nothing sets is empty, one set elsewhere not known."""
    text = expand_text(node, variables)
    if is_known(text):
        return text
    names = unknown_variables(text)
    bare = text_of(node).strip('"') in {form for n in names for form in (f"${n}", f"${{{n}}}")}
    if not bare or len(names) != 1 or variables.anything_may_be_set or is_set_outside(names[0]):
        return None
    return None if variables.get(names[0]) else ""


def _both(first: bool | None, second: bool | None, conjunction: bool) -> bool | None:
    if first is (not conjunction) or second is (not conjunction):
        return not conjunction
    return None if None in (first, second) else conjunction


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def runs_its_input(words: list[str]) -> bool:
    """Return whether a command runs its input, a here-document or the output of a pipe."""
    names = [PurePosixPath(word).name for word in words if not word.startswith("-")]
    return any(name in _RUNNERS for name in names[:2])


def inline_script(words: list[str]) -> str | None:
    """Return the script in ``bash -c SCRIPT``, ``eval WORDS`` and the like; None without one."""
    if words[0] == "eval":
        return unmarked(" ".join(words[1:]))
    if words[0] == "ssh":
        return _remote(words[1:])
    for index, word in enumerate(words):
        if word.startswith("--wrap"):  # of sbatch
            return unmarked(word.partition("=")[2] or " ".join(words[index + 1 : index + 2]))
    if PurePosixPath(words[0]).name in _LINE_RUNNERS and " " in (line := max(words, key=len)):
        return unmarked(line)
    for index, word in enumerate(words[:-2]):
        option = words[index + 1]
        if PurePosixPath(word).name in _SHELLS and option.startswith("-") and "c" in option[1:]:
            return unmarked(words[index + 2])
    return None


def _remote(words: list[str]) -> str | None:
    rest = list(words)
    while rest and rest[0].startswith("-"):
        del rest[: 2 if rest[0] in _SSH_VALUES else 1]
    return unmarked(" ".join(rest[1:])) or None


def called_script(words: list[str], variables: "Variables") -> str | None:
    """Return the text of a script file that a command runs, where it is known or can be read."""
    name = PurePosixPath(words[0]).name
    rest = [word for word in words[1:] if not word.startswith("-")]
    if name in (".", "source") or name in _SHELLS or name == "sbatch":
        script = rest[0] if rest else ""
    elif name.endswith((".sh", ".bash")):
        script = words[0]
    else:
        return None
    if not script or not is_known(script):
        return None
    if (written := variables.files.get(PurePosixPath(script).name)) is not None:
        return written
    return None if variables.folder is None else _text(variables.folder / script)


def may_set_variables(words: list[str]) -> bool:
    """Return whether ``source FILE``, whose file could not be read, may set variables."""
    return words[0] in (".", "source") and not any(
        unmarked(word).endswith(_KNOWN_SOURCES) for word in words[1:2]
    )


def _text(path: Path) -> str | None:
    try:
        if path.is_file() and path.stat().st_size <= _LARGEST:
            return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return None
