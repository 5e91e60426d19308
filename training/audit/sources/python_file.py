"""Commands in Python files: lists of arguments, and strings that a shell is given."""

import ast
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

from tasks.errors import ConfigError
from training.audit.sources.shell.script import Command, Script, read_script

_SHELL_CALLS = frozenset(
    (
        *("system", "popen", "run", "call", "check_call", "check_output", "Popen", "getoutput"),
        "create_subprocess_shell",
    )
)
_GROWS = frozenset(("append", "extend"))
_LEAST_WORDS = 2


def read_python(
    text: str, source: str, environment: Mapping[str, str] | None, folder: Path | None
) -> Script:
    """Read the commands that a Python file starts; nothing is executed.

    Args:
        text: The file.
        source: Its name, for messages.
        environment: Variables that strings for a shell may use.
        folder: Where it lies.

    Raises:
        ConfigError: It is not valid Python.
    """
    reader = _Reader(environment, folder)
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes in its strings
            tree = ast.parse(text)
        reader.visit(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f"'{source}' is not valid Python ({error}). Fix: give the command that it starts, in "
            "quotation marks."
        ) from error
    return Script(commands=tuple(reader.commands()))


class _Reader(ast.NodeVisitor):
    """Walks a file in order, and keeps the values of simple variables and lists."""

    def __init__(self, environment: Mapping[str, str] | None, folder: Path | None) -> None:
        self._environment = environment
        self._folder = folder
        self._texts: dict[str, str] = {}
        self._lists: dict[str, list[str]] = {}
        self._argument_lists: list[tuple[int, list[str]]] = []
        self._scripts: list[Command] = []

    def commands(self) -> list[Command]:
        """Return the commands in the order of lines."""
        unique = {
            (line, tuple(w)): None for line, w in self._argument_lists if len(w) >= _LEAST_WORDS
        }
        lists = [Command(words=words, line=line) for line, words in unique]
        return sorted([*lists, *self._scripts], key=lambda command: command.line)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._set(target.id, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        if isinstance(node.target, ast.Name) and node.value is not None:
            self._set(node.target.id, node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name) and node.target.id in self._lists:
            self._lists[node.target.id] += self._words(node.value)
            return
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        for name in ast.walk(node.target):
            if isinstance(name, ast.Name):
                self._texts.pop(name.id, None)
        self.generic_visit(node)

    def visit_List(self, node: ast.List) -> None:
        self._argument_lists.append((node.lineno, self._words(node)))

    def visit_Tuple(self, node: ast.Tuple) -> None:
        self._argument_lists.append((node.lineno, self._words(node)))

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Add) and not self._is_text(node):
            self._argument_lists.append((node.lineno, self._words(node)))

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if called in _GROWS and isinstance(owner, ast.Name) and owner.id in self._lists:
            for argument in node.args:
                words = self._words(argument) if called == "extend" else [self._text(argument)]
                self._lists[owner.id] += words
            return
        text = self._line(node.args[0]) if called in _SHELL_CALLS and node.args else None
        if text is not None:
            script = read_script(text, self._environment, self._folder)
            self._scripts += [
                Command(words=c.words, line=node.lineno, exported=c.exported)
                for c in script.commands
            ]
        self.generic_visit(node)

    def _line(self, node: ast.expr) -> str | None:
        """Return a command line that is given as one text: ``LINE``, ``shlex.split(LINE)``."""
        match node:
            case ast.Call(func=ast.Attribute(attr="split", value=value), args=[]):
                return self._line(value)
            case ast.Call(func=ast.Attribute(attr="split"), args=[value, *_]):
                return self._line(value)
        return self._text(node) if self._is_text(node) else None

    def _set(self, name: str, value: ast.expr) -> None:
        if isinstance(value, ast.List | ast.Tuple | ast.BinOp) and not self._is_text(value):
            # The same list object is an argument list, too: it may still grow.
            self._lists[name] = words = self._words(value)
            self._argument_lists = [
                entry for entry in self._argument_lists if entry[0] != value.lineno
            ]
            self._argument_lists.append((value.lineno, words))
        elif isinstance(value, ast.Constant | ast.JoinedStr) or self._is_text(value):
            known = name not in self._texts
            self._texts[name] = self._text(value) if known else f"${name}"

    def _is_text(self, node: ast.expr) -> bool:
        if isinstance(node, ast.BinOp):
            return self._is_text(node.left) or self._is_text(node.right)
        if isinstance(node, ast.Name):
            return node.id in self._texts
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return node.func.attr == "format" and self._is_text(node.func.value)
        return isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str)
        )

    def _words(self, node: ast.expr) -> list[str]:
        """Return a list's items as words; what cannot be read stands as a shell's variable."""
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [word for item in items for word in self._item(item)]
            case ast.Name(id=name) if name in self._lists:
                return list(self._lists[name])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return [*self._words(left), *self._words(right)]
            case ast.Call() if (line := self._line(node)) is not None:
                return line.split()
        return [f"${{{_name(node)}[@]}}"]

    def _item(self, node: ast.expr) -> list[str]:
        return self._words(node.value) if isinstance(node, ast.Starred) else [self._text(node)]

    def _text(self, node: ast.expr) -> str:
        match node:
            case ast.Constant(value=value):
                return str(value)
            case ast.JoinedStr(values=parts):
                return "".join(self._text(part) for part in parts)
            case ast.FormattedValue(value=value, format_spec=None):
                return self._text(value)
            case ast.Name(id=name) if name in self._texts:
                return self._texts[name]
            case ast.Attribute(attr="executable"):
                return "python"
            case ast.Call(func=ast.Name(id="str"), args=[value]):
                return self._text(value)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._text(left) + self._text(right)
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                return re.sub(r"%[-\d.]*[a-z]", f"${_name(right)}", self._text(left))
            case ast.Call(func=ast.Attribute(attr="format", value=value), args=given):
                names = "_".join(map(_name, given)) or "value"
                return re.sub(r"\{[^{}]*\}", f"${names}", self._text(value))
        return f"${_name(node)}"


def _name(node: ast.expr) -> str:
    """Return a shell's variable name for an expression that cannot be read."""
    return re.sub(r"\W+", "_", f"_{ast.unparse(node)}").strip("_") or "value"
