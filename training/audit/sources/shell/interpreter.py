"""Walking the statements of a script, without executing anything.

Where a condition cannot be decided, both branches are read and their variables joined: a value that
is the same in both is known afterwards, any other is not.
"""

from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from training.audit.sources.shell.builtins import (
    assign,
    assigned_in,
    assigned_value,
    called_script,
    declare,
    evaluate_condition,
    inline_script,
    may_set_variables,
    runs_its_input,
    unset,
    variables_set_by,
)
from training.audit.sources.shell.expansion import expand, expand_text
from training.audit.sources.shell.grammar import parse, text_of
from training.audit.sources.shell.variables import Value, Variables, is_known

if TYPE_CHECKING:
    from tree_sitter import Node

OnCommand = Callable[[list[str], int, Variables], None]
"""Receives a command: its words, its line, and the values of variables there."""

_MOST_STATEMENTS, _MOST_DEPTH = 50_000, 12
_PRINTS = frozenset(("echo", "printf"))
_TESTS = frozenset(("test_command", "negated_command"))
_GROUPS = frozenset(
    (
        *("ERROR", "compound_statement", "do_group", "pipeline", "negated_command"),
        "variable_assignments",
    )
)
_NO_WORDS = frozenset(("variable_assignment", "comment", "herestring_redirect", "file_redirect"))
_CLAUSES = frozenset(("elif_clause", "else_clause"))


class Interpreter:
    """Walks the statements of a script and reports its commands.

    Attributes:
        comments: Comments, and the texts that the script prints.
        complete: Whether all statements were read; False where there are too many.
        first_doubtful_line: Line from which the parse is in doubt; None where it is sound.
    """

    def __init__(self, on_command: OnCommand) -> None:
        """Report each command to ``on_command``."""
        self._on_command = on_command
        self._statements = 0
        self._depth = 0
        self._texts = 0
        self._line = 0
        self._called: set[str] = set()
        self.comments: list[str] = []
        self.complete = True
        self.first_doubtful_line: int | None = None

    def read(self, text: str, variables: Variables) -> None:
        """Read a script, or the script that a command of it runs."""
        if self._depth >= _MOST_DEPTH:
            return
        root, wrong = parse(text)
        if self._texts == 0:
            self.first_doubtful_line = wrong
        variables.assigned |= assigned_in(root)
        self._texts += 1
        self._nested(lambda: self.all(root.children, variables))
        self._texts -= 1

    def read_uncalled_functions(self, variables: Variables) -> None:
        """Read the functions that the script defines and never calls."""
        self._texts = 1
        variables.ended = False
        for name, body in list(variables.functions.items()):
            if name not in self._called:
                self._call(name, body, variables)

    def all(self, nodes: Iterable["Node"], variables: Variables) -> None:
        """Read statements in order, up to one that ends the script."""
        for node in nodes:
            if variables.ended or not self.complete:
                return
            self._statements += 1
            self.complete = self._statements < _MOST_STATEMENTS
            self.one(node, variables)

    def one(self, node: "Node", variables: Variables) -> None:
        """Read one statement."""
        match node.type:
            case "command":
                self._command(node, variables)
            case "variable_assignment":
                self._assignment(node, variables)
            case "declaration_command":
                declare(node, variables)
            case "unset_command":
                unset(node, variables)
            case "redirected_statement":
                self._redirected(node, variables)
            case "comment":
                self.comments.append(text_of(node))
            case "subshell":
                self.all(node.children, variables.copy())
            case "list":
                self._list(node, variables)
            case "if_statement":
                self._if(node, variables)
            case "case_statement":
                self._case(node, variables)
            case "for_statement":
                self._for(node, variables)
            case "while_statement" | "c_style_for_statement":
                self._repeated(node, variables)
            case "function_definition":
                self._define(node, variables)
            case kind if kind in _GROUPS:
                self.all(node.children, variables)

    def _nested(self, step: Callable[[], None]) -> None:
        self._depth += 1
        step()
        self._depth -= 1

    def _list(self, node: "Node", variables: Variables) -> bool | None:
        """Read ``a && b`` or ``a || b``; return its success, None if that is not known."""
        left, right = node.children[0], node.children[-1]
        conjunction = any(child.type == "&&" for child in node.children)
        met = self._part(left, variables)
        if met is None and conjunction and left.type not in (*_TESTS, "list"):
            met = True  # a command is taken to succeed
        if met is None:
            path = variables.copy()
            self._part(right, path)
            variables.become(variables.joined([path]))
            return None
        return self._part(right, variables) if met == conjunction else met

    def _part(self, node: "Node", variables: Variables) -> bool | None:
        if node.type == "list":
            return self._list(node, variables)
        met = True if node.type == "variable_assignment" else evaluate_condition(node, variables)
        self.one(node, variables)
        return met

    def _if(self, node: "Node", variables: Variables) -> None:
        paths: list[Variables] = []
        for branch in (node, *(c for c in node.children if c.type in _CLAUSES)):
            met: bool | None = True
            begin = branch.children[0]
            if branch.type != "else_clause" and len(branch.children) > 1:
                begin = branch.children[1]
                met = self._part(begin, variables)
            if met is False:
                continue
            path = variables.copy()
            inside = [c for c in branch.children if c.start_byte > begin.start_byte]
            self.all((c for c in inside if c.type not in _CLAUSES), path)
            paths.append(path)
            if met:
                break
        else:
            paths.append(variables.copy())
        variables.become(paths[0].joined(paths[1:]))

    def _case(self, node: "Node", variables: Variables) -> None:
        paths = [variables.copy()]
        for item in (child for child in node.children if child.type == "case_item"):
            end = next((c.end_byte for c in item.children if c.type == ")"), item.start_byte)
            path = variables.copy()
            self.all((c for c in item.children if c.start_byte >= end), path)
            paths.append(path)
            if any(text_of(child) == "*" for child in item.children):
                del paths[0]  # one of the items is taken
                break
        variables.become(paths[0].joined(paths[1:]))

    def _for(self, node: "Node", variables: Variables) -> None:
        """Read a loop's body once for each word, or once if the words are not known."""
        parts = [child for child in node.children if child.is_named and child.type != "comment"]
        if len(parts) < 2:
            return
        name, body = text_of(parts[0]), parts[-1]
        words = [word for part in parts[1:-1] for word in expand(part, variables)]
        if not words or not all(is_known(word) and not set("*?[") & set(word) for word in words):
            self._repeated(body, variables, name)
            return
        for word in words:
            variables.values[name] = (word,)
            self.all(body.children, variables)

    def _repeated(self, node: "Node", variables: Variables, *names: str) -> None:
        """Read a loop once; variables that it changes are unknown in it and after it."""
        changed = {*names, *assigned_in(node)}
        for name in changed:
            variables.lose(name)
        path = variables.copy()
        self.all(node.children, path)
        path.ended = False
        variables.become(variables.joined([path]))

    def _define(self, node: "Node", variables: Variables) -> None:
        name = next((c for c in node.children if c.type == "word"), None)
        if name is not None:
            variables.functions[text_of(name)] = node.children[-1]

    def _call(self, name: str, body: "Node", variables: Variables) -> None:
        """Read a function's body; its arguments are unknown."""
        self._called.add(name)
        if self._depth >= _MOST_DEPTH:
            return
        inside = variables.copy()
        inside.in_function = True
        self._nested(lambda: self.one(body, inside))
        inside.in_function, inside.ended = variables.in_function, False
        variables.become(inside)

    def _assignment(self, node: "Node", variables: Variables) -> None:
        if text_of(node).startswith("-"):  # --flag=value on a line of its own
            self._dispatch([text_of(node)], node, variables)
            return
        assign(node, variables)

    def _command(self, node: "Node", variables: Variables) -> None:
        assigned = {
            text_of(child.children[0]): assigned_value(child.children[-1], variables)
            for child in node.children
            if child.type == "variable_assignment"
        }
        lost = [name + "=" + " ".join(value) for name, value in assigned.items() if name[:1] == "-"]
        parts = [c for c in node.children if c.is_named and c.type not in _NO_WORDS]
        words = lost + [word for part in parts for word in expand(part, variables)]
        if not words:
            return
        if words[0] in ("exit", "return"):
            variables.ended = True
        elif words[0] in _PRINTS:
            self.comments.append(" ".join(words[1:]))
        elif body := variables.functions.get(words[0]):
            variables.values |= assigned
            self._call(words[0], body, variables)
        else:
            for name in variables_set_by(words):
                variables.lose(name)
            self._dispatch(words, node, variables, assigned)

    def _dispatch(
        self,
        words: list[str],
        node: "Node",
        variables: Variables,
        assigned: dict[str, Value] | None = None,
    ) -> None:
        """Read the script that a command runs, or report the command.

        ``assigned`` are variables that are set for this command alone.
        """
        if self._texts == 1:
            self._line = node.start_point[0] + 1
        same_shell = words[0] in ("eval", ".", "source")
        script = inline_script(words)
        if script is None:
            script = called_script(words, variables)
        if script is not None:
            self.read(script, variables if same_shell else variables.copy())
            return
        if may_set_variables(words):
            variables.anything_may_be_set = True
        if assigned:
            variables = variables.copy()
            variables.values |= assigned
            variables.exported |= assigned.keys()
        self._on_command(words, self._line, variables)

    def _redirected(self, node: "Node", variables: Variables) -> None:
        body = node.children[0]
        self.one(body, variables)
        for part in node.children[1:]:
            if part.type == "heredoc_redirect":
                self._document(part, body, variables)

    def _document(self, node: "Node", body: "Node", variables: Variables) -> None:
        """Read a here-document that a shell runs; keep one that is written to a file."""
        content = next((c for c in node.children if c.type == "heredoc_body"), None)
        text = "" if content is None else text_of(content)
        pipes = [c for pipe in node.children if pipe.type == "pipeline" for c in pipe.children]
        self.all(pipes, variables)
        commands = [c for c in (body, *pipes) if c.type == "command"]
        if any(runs_its_input([text_of(c) for c in command.children]) for command in commands):
            self._nested(lambda: self.read(text, variables.copy()))
        outer = node.parent.children if node.parent else []
        redirects = [c for c in (*node.children, *outer) if c.type == "file_redirect"]
        targets = [expand_text(target.children[-1], variables) for target in redirects]
        for command in commands:
            words = [text_of(part) for part in command.children]
            targets += words[1:] if words[:1] == ["tee"] else []
        for target in targets:
            variables.files[PurePosixPath(target).name] = text
