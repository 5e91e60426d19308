"""Expansion of the words of a script: variables, arithmetic, braces, quotes."""

import ast
import fnmatch
import itertools
import operator
import re
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from training.audit.sources.shell.grammar import parse, text_of
from training.audit.sources.shell.variables import (
    is_known,
    join_pieces,
    mark_unknown,
    split_words,
    unmarked,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    from training.audit.sources.shell.variables import Value, Variables

_ESCAPE = re.compile(r"\\(\n?)(.?)", re.DOTALL)
_ESCAPE_IN_QUOTES = re.compile(r'\\([\n"\\$`])')
_CHOICE = re.compile(r"\{([^{}\s]*,[^{}\s]*)\}")
_RANGE = re.compile(r"\{(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?\}")
_SCRIPT_FOLDER = re.compile(
    r"[$(`\s\"]*(?:(?:cd|realpath|readlink|-\w+|--|dirname)[$(\s\"]+)*dirname[$(\s\"]+"
    r"(?:(?:realpath|readlink|-\w+|--)[$(\s\"]+)*\$?\{?(?:0|BASH_SOURCE(?:\[0\])?)\}?[)\s\"/.]*"
    r"(?:(?:&&|;)\s*pwd(?:\s+-P)?)?[)\s\"`]*"
)
"""``$(cd "$(dirname "$0")/.." && pwd)`` and its kin."""

_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: _quotient(left, right),
    ast.Mod: lambda left, right: left - right * _quotient(left, right),
}
_EXPANSIONS = frozenset(
    ("simple_expansion", "expansion", "command_substitution", "arithmetic_expansion")
)
_MOST_WORDS = 256
_LARGEST = 1 << 62
_CASE_CHANGES: dict[str, Callable[[str], str]] = {
    "^^": str.upper,
    ",,": str.lower,
    "^": lambda text: text[:1].upper() + text[1:],
    ",": lambda text: text[:1].lower() + text[1:],
}


def expand(node: "Node", variables: "Variables") -> list[str]:
    """Return the words that a word of a script expands to: none, one or several."""
    words = join_pieces(_pieces(node, variables))
    if node.type in ("word", "concatenation", "brace_expression"):
        words = [part for word in words for part in _braces(word)]
    return words[:_MOST_WORDS]


def expand_text(node: "Node", variables: "Variables") -> str:
    """Return a word of a script as one text, as on the right of an assignment."""
    return " ".join(join_pieces(_pieces(node, variables, quoted=True)))


def _pieces(node: "Node", variables: "Variables", *, quoted: bool = False) -> Iterator[list[str]]:
    """Yield the expanded pieces of a word, each of them one or several words."""
    match node.type:
        case "word" | "extglob_pattern" | "regex":
            yield [_ESCAPE.sub(r"\2", text_of(node))]
        case "raw_string":
            yield [text_of(node)[1:-1]]
        case "ansi_c_string":
            yield [_ansi(text_of(node)[2:-1])]
        case "translated_string":
            yield from _pieces(node.children[-1], variables, quoted=True)
        case "string":
            yield _string(node, variables)
        case "concatenation" | "command_name":
            for child in node.children:
                yield from _pieces(child, variables, quoted=quoted)
        case "simple_expansion" | "expansion":
            yield _parameter(node, variables, quoted=quoted)
        case "arithmetic_expansion":
            yield [calculate(node, variables)]
        case "command_substitution":
            yield [_substitution(text_of(node), variables)]
        case "process_substitution":
            yield [mark_unknown(text_of(node))]
        case _:
            text = text_of(node)
            yield [mark_unknown(text) if "$" in text or "`" in text else text]


def _string(node: "Node", variables: "Variables") -> list[str]:
    """Return a string's words: one, unless it holds an array."""
    return join_pieces([[""], *_filled(node, variables, _unescape, inside=node.children[1:-1])])


def _unescape(text: str) -> str:
    return _ESCAPE_IN_QUOTES.sub(lambda match: match[1].strip("\n"), text)


def _filled(
    node: "Node",
    variables: "Variables",
    literal: Callable[[str], str],
    *,
    inside: "list[Node]",
) -> Iterator[list[str]]:
    """Yield a node's text with its expansions expanded and the text between them literal."""
    raw, start = node.text or b"", node.start_byte
    position = node.children[0].end_byte

    def between(first: int, end: int) -> str:
        return literal(raw[first - start : end - start].decode("utf-8", "replace"))

    for child in inside:
        if child.type in _EXPANSIONS:
            yield [between(position, child.start_byte)]
            yield from _pieces(child, variables, quoted=True)
            position = child.end_byte
    yield [between(position, node.children[-1].start_byte)]


def _ansi(text: str) -> str:
    escapes = {"n": "\n", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
    return re.sub(r"\\(.)", lambda match: escapes.get(match[1], match[0]), text)


def _parameter(node: "Node", variables: "Variables", *, quoted: bool) -> list[str]:
    value = _value(node, variables)
    if quoted:
        return list(value) if _is_whole_array(node) else [" ".join(value)]
    return [word for text in value for word in split_words(text)]


def _value(node: "Node", variables: "Variables") -> "Value":
    """Return the value of ``$NAME`` or ``${NAME…}``."""
    written = text_of(node)
    children = [child for child in node.children if child.type not in ("$", "${", "}")]
    if not children or children[0].type in ("!", "#"):
        return _length(children, variables, written)
    name, held = _parameter_value(children[0], variables)
    if held is None and name in variables.assigned and not variables.anything_may_be_set:
        held = ("",)  # set on a path that is not taken: empty, as bash has it
    if len(children) == 1:
        return (mark_unknown(written),) if held is None else held
    operation, rest = children[1].type, children[2:]
    if operation in (":-", "-", ":=", "=", ":+", "+", ":?", "?"):
        return _with_default(name, held, operation, rest, variables)
    if held is None or not all(map(is_known, held)):
        return (mark_unknown(written),)
    if operation in _CASE_CHANGES and not rest:
        return tuple(map(_CASE_CHANGES[operation], held))
    if operation in ("%", "%%", "#", "##") and len(rest) == 1:
        pattern = expand_text(rest[0], variables)
        if is_known(pattern):
            return tuple(_trimmed(text, pattern, operation) for text in held)
    return (mark_unknown(written),)


def _length(children: "list[Node]", variables: "Variables", written: str) -> "Value":
    if len(children) == 2 and children[0].type == "#":
        _, held = _parameter_value(children[1], variables)
        if held is not None and all(map(is_known, held)):
            all_of_it = text_of(children[1]).endswith(("[@]", "[*]"))
            return (str(len(held) if all_of_it else len(held[0])),)
    return (mark_unknown(written),)


def _parameter_value(node: "Node", variables: "Variables") -> "tuple[str, Value | None]":
    """Return a parameter's name and its value; None if nothing has set it."""
    name, bracket, index = text_of(node).partition("[")
    held = variables.get(name)
    if held is None:
        return name, None
    index = index.rstrip("]")
    if not bracket or not held:
        return name, held[:1] or ("",)
    if index in ("@", "*"):
        return name, held
    if index.isdigit() and all(map(is_known, held)):
        return name, held[int(index) : int(index) + 1] or ("",)
    return name, (mark_unknown(f"${{{text_of(node)}}}"),)


def _with_default(
    name: str,
    held: "Value | None",
    operation: str,
    rest: "list[Node]",
    variables: "Variables",
) -> "Value":
    """Return ``${NAME:-word}`` and its kin; ``:=`` sets the variable."""
    word = "".join(expand_text(node, variables) for node in rest)
    empty = held is None or (":" in operation and held in ((), ("",)))
    if held is None and (
        variables.anything_may_be_set or (variables.in_function and name.isdigit())
    ):
        return (mark_unknown(f"${name}"),)
    if "+" in operation:
        return ("",) if empty else (word,)
    if held is not None and not empty:
        return held
    if "?" in operation:
        return (mark_unknown(f"${name}"),)
    if "=" in operation:
        variables.set(name, (word,))
    return (word,)


def _trimmed(text: str, pattern: str, operation: str) -> str:
    """Trim the shortest (``#``, ``%``) or longest match of a pattern off a text's start or end."""
    ends = range(len(text) + 1)
    if operation[0] == "%":
        cuts = reversed(ends) if operation == "%" else iter(ends)
        return next((text[:n] for n in cuts if fnmatch.fnmatchcase(text[n:], pattern)), text)
    cuts = iter(ends) if operation == "#" else reversed(ends)
    return next((text[n:] for n in cuts if fnmatch.fnmatchcase(text[:n], pattern)), text)


def _is_whole_array(node: "Node") -> bool:
    """Return whether a quoted parameter is several words: ``${A[@]}``, ``$@``."""
    return re.fullmatch(r"\$\{?(?:@|\w+\[@\])[^}]*\}?", text_of(node)) is not None


def calculate(node: "Node", variables: "Variables") -> str:
    """Calculate ``$((…))`` of whole numbers; the result of any other is unknown."""
    written = text_of(node)
    formula = "".join(
        word
        for piece in _filled(node, variables, lambda text: text, inside=node.children[1:-1])
        for word in piece
    )

    def result(part: ast.expr) -> int:
        if isinstance(part, ast.Constant) and isinstance(part.value, int):
            return part.value
        if isinstance(part, ast.Name):
            return int((variables.get(part.id) or ("0",))[0] or 0)
        if isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub):
            return -result(part.operand)
        if isinstance(part, ast.BinOp) and type(part.op) in _OPERATORS:
            value = _OPERATORS[type(part.op)](result(part.left), result(part.right))
            if abs(value) < _LARGEST:
                return value
        raise ValueError(written)

    if "#" in formula:  # 16#ff is a number in bash, and the start of a comment in Python
        return mark_unknown(written)
    try:
        with warnings.catch_warnings(action="ignore"):  # of what is no Python
            return str(result(ast.parse(formula.strip(), mode="eval").body))
    except (SyntaxError, ValueError, IndexError, ZeroDivisionError, RecursionError, MemoryError):
        return mark_unknown(written)


def _quotient(left: int, right: int) -> int:
    """Divide as C does, towards zero."""
    share = abs(left) // abs(right)
    return share if (left < 0) == (right < 0) else -share


def _substitution(written: str, variables: "Variables") -> str:
    """Return the output of ``$(…)`` if it is the script's own folder; any other is unknown."""
    if written.startswith("$(("):  # inside ${…:-…} the grammar takes sums for commands
        word = parse(f": {written}")[0].children[0].children[-1]
        is_sum = word.type == "arithmetic_expansion"
        return calculate(word, variables) if is_sum else mark_unknown(written)
    if variables.folder is None or _SCRIPT_FOLDER.fullmatch(written) is None:
        return mark_unknown(written)
    folder = variables.folder
    for _ in range(written.count("dirname") - 1 + written.count("..")):
        folder = folder.parent
    return str(folder)


def _braces(word: str) -> list[str]:
    """Return the words of ``{a,b}`` and ``{1..3}``."""
    if match := _RANGE.search(word):
        first, last = int(match[1]), int(match[2])
        step = max(abs(int(match[3] or 1)), 1) * (1 if last >= first else -1)
        numbers = range(first, last + (1 if step > 0 else -1), step)
        parts = [str(number) for number in itertools.islice(numbers, _MOST_WORDS)]
    elif match := _CHOICE.search(word):
        parts = match[1].split(",")
    else:
        return [word]
    if not is_known(match[0]) or match[0] in unmarked(word).replace(match[0], "", 1):
        return [word]
    before, after = word[: match.start()], word[match.end() :]
    return [before + part + rest for part in parts for rest in _braces(after)]
