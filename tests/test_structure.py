"""How the packages hang together: arrows, circles, sizes, and imports that wait."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "tasks": {"tasks"},
    "results": {"tasks", "results"},
    "policies": {"tasks", "results", "policies"},
    "training": {"tasks", "results", "policies", "training"},
    "harness": {"tasks", "results", "policies", "training", "harness"},
}
"""For each package the packages it may import."""

RESULTS_MAY_IMPORT = {"tasks.errors", "tasks.files"}
"""What ``results`` may import of ``tasks``."""

IMPORTS_IN_FUNCTIONS = 228
"""Imports of the project's own modules inside functions, at most: lower it as they become fewer."""

MODULE_LINES = 400
FUNCTION_LINES = 60

MODULES_IN_CIRCLES = 2
"""Modules that import one another in a circle, at most: lower it as circles are opened."""


def _sources() -> dict[str, Path]:
    paths = [path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(paths)
    }


SOURCES = _sources()


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(SOURCES[module].read_text(encoding="utf-8"))


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _imports(node: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield the project's modules that are imported at run time, and whether in a function."""
    for child in ast.iter_child_nodes(node):
        if _is_type_checking(child):
            continue
        names: list[str] = []
        if isinstance(child, ast.ImportFrom) and child.module and not child.level:
            full = [f"{child.module}.{alias.name}" for alias in child.names]
            names = [name if name in SOURCES else child.module for name in full]
        elif isinstance(child, ast.Import):
            names = [alias.name for alias in child.names]
        for name in dict.fromkeys(names):
            if name.split(".")[0] in MAY_IMPORT:
                yield name, inside
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from _imports(child, inside or function)


@cache
def _imports_of(module: str) -> tuple[tuple[str, bool], ...]:
    return tuple(_imports(_tree(module)))


def _circles(arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    components = networkx.strongly_connected_components(networkx.DiGraph(arrows))
    return [sorted(component) for component in components if len(component) > 1]


def test_relative_imports_are_not_used() -> None:
    relative = [
        module
        for module in SOURCES
        for node in ast.walk(_tree(module))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_arrows_between_packages_point_one_way(package: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module in SOURCES
        if module.split(".")[0] == package
        for name, _ in _imports_of(module)
        if name.split(".")[0] not in MAY_IMPORT[package]
        or (package == "results" and name.startswith("tasks") and name not in RESULTS_MAY_IMPORT)
    ]
    assert wrong == []


def test_modules_do_not_import_one_another_in_circles() -> None:
    """Imports inside functions count as well: they hide a circle, they do not open it."""
    circles = _circles((module, name) for module in SOURCES for name, _ in _imports_of(module))
    assert sum(map(len, circles)) <= MODULES_IN_CIRCLES, circles


def test_few_own_modules_are_imported_inside_functions() -> None:
    inside = [
        f"{module} imports {name}"
        for module in SOURCES
        for name, in_function in _imports_of(module)
        if in_function
    ]
    assert len(inside) <= IMPORTS_IN_FUNCTIONS, "\n".join(inside)


def test_modules_and_functions_fit_on_a_few_screens() -> None:
    long_modules = {
        module: lines
        for module, path in SOURCES.items()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MODULE_LINES
    }
    long_functions = {
        f"{module}.{node.name}": _code_lines(node)
        for module in SOURCES
        for node in ast.walk(_tree(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and _code_lines(node) > FUNCTION_LINES
    }
    assert long_modules == {}
    assert long_functions == {}


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    assert function.end_lineno is not None
    return function.end_lineno - body[0].lineno + 1 if body else 0
