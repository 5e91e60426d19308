"""Parsing a shell script with tree-sitter's grammar of bash."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_MOST_REPAIRS = 8


def parse(text: str) -> tuple["Node", int | None]:
    """Parse a script; a quotation mark without a partner is removed, to read the lines after it.

    Returns:
        The root, and the line, from 1, from which the parse is in doubt; None if it is sound.
    """
    code = text.encode("utf-8", "replace")
    root = _parser().parse(code).root_node
    if not root.has_error:
        return root, None
    mistake = next(_nodes(root, lambda node: node.is_error or node.is_missing), root)
    last = max(code.rstrip().count(b"\n") + 1, 1)
    best, line, fewest = root, min(mistake.start_point[0] + 1, last), len(code)
    for offset in _doubtful_quotes(code):
        other = _parser().parse(code[:offset] + b" " + code[offset + 1 :]).root_node
        if not other.has_error and (lines := _lines_in_strings(other)) <= fewest:
            best, line, fewest = other, code.count(b"\n", 0, offset) + 1, lines
    return best, line


def _doubtful_quotes(code: bytes) -> list[int]:
    """Return offsets of the last quotation marks of lines that have an odd number of them."""
    offsets, start = [], 0
    for line in code.splitlines(keepends=True):
        for quote in (b'"', b"'") if not line.lstrip().startswith(b"#") else ():
            marks = [match.start() for match in re.finditer(rb"(?<!\\)" + quote, line)]
            if len(marks) % 2:
                offsets.append(start + marks[-1])
        start += len(line)
    return offsets[:_MOST_REPAIRS]


def _lines_in_strings(root: "Node") -> int:
    """Count the line breaks in strings: few, if each quotation mark has its partner."""
    strings = _nodes(root, lambda node: node.type in ("string", "raw_string"))
    return sum(node.end_point[0] - node.start_point[0] for node in strings)


@cache
def _parser() -> "Parser":
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def _nodes(root: "Node", wanted: "Callable[[Node], bool]") -> Iterator["Node"]:
    """Yield the wanted nodes of a tree, in order, without those inside a wanted one."""
    pending = [root]
    while pending:
        node = pending.pop()
        if wanted(node):
            yield node
        else:
            pending += reversed(node.children)


def text_of(node: "Node") -> str:
    """Return a node's text."""
    return (node.text or b"").decode("utf-8", "replace")
