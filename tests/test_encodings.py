"""Text files are UTF-8 whatever the locale says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("harness", "policies", "results", "tasks", "training")
TEXT = {"read_text": 0, "write_text": 1}
"""Methods that read or write text, and how many arguments come before the encoding."""


def calls_without_encoding(tree: ast.AST) -> Iterator[int]:
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        given = {keyword.arg for keyword in call.keywords}
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if name in TEXT and len(call.args) <= TEXT[name] and "encoding" not in given:
            yield call.lineno
        if "text" in given and "encoding" not in given and name in ("run", "Popen"):
            yield call.lineno
        modes = [a.value for a in call.args if isinstance(a, ast.Constant)]
        textual = modes and modes[-1] in ("r", "w", "a", "x", "r+", "w+", "a+")
        if name == "open" and textual and "encoding" not in given:
            yield call.lineno


@pytest.mark.parametrize("package", PACKAGES)
def test_every_text_file_has_its_encoding(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line in calls_without_encoding(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found
