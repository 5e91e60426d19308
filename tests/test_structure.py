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

IMPORTS_IN_FUNCTIONS = 43
"""Imports of the project's own modules inside functions, at most."""

MODULE_LINES = 400
FUNCTION_LINES = 60

MODULES_IN_CIRCLES = 0
"""Modules that import one another in a circle, at most."""


def _sources() -> dict[str, Path]:
    paths = [path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(paths)
    }


SOURCES = _sources()


def _statements(node: ast.AST, inside: bool = False) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield all statements that run, at any depth, and whether they are in a function."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    inside |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, block, ()):
            if isinstance(child, ast.stmt):
                yield child, inside
            yield from _statements(child, inside)


@cache
def _statements_of(module: str) -> list[tuple[ast.stmt, bool]]:
    return list(_statements(ast.parse(SOURCES[module].read_text(encoding="utf-8"))))


@cache
def _imports_of(module: str) -> list[tuple[str, bool]]:
    """Return the project's modules that a module imports, and whether inside a function."""
    imports: list[tuple[str, bool]] = []
    for statement, inside in _statements_of(module):
        names: list[str] = []
        if isinstance(statement, ast.ImportFrom) and statement.module:
            full = [f"{statement.module}.{alias.name}" for alias in statement.names]
            names = [name if name in SOURCES else statement.module for name in full]
        elif isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        imports += [(name, inside) for name in dict.fromkeys(names)]
    return [(name, inside) for name, inside in imports if name.split(".")[0] in MAY_IMPORT]


def _circles(arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    components = networkx.strongly_connected_components(networkx.DiGraph(arrows))
    return [sorted(component) for component in components if len(component) > 1]


def test_relative_imports_are_not_used() -> None:
    relative = [
        module
        for module in SOURCES
        for statement, _ in _statements_of(module)
        if isinstance(statement, ast.ImportFrom) and statement.level
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


def test_folders_do_not_import_one_another_in_circles() -> None:
    """A folder of a package counts as one, a module beside the folders as itself."""
    circles = _circles(
        (_folder_or_module(module), _folder_or_module(name))
        for module in SOURCES
        for name, _ in _imports_of(module)
    )
    assert circles == []


def _folder_or_module(module: str) -> str:
    folders = SOURCES[module].relative_to(ROOT).parent.parts
    return module if len(folders) == 1 else "/".join(folders[:2])


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
        for node, _ in _statements_of(module)
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
