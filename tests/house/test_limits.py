"""Holds the sizes and habits of CONTRIBUTING, so that no review has to."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

LONGEST_MODULE = 400
LONGEST_FUNCTION = 50

ONE_HOME = {
    "kubernetes": "gateways/kubernetes",
    "supabase": "gateways/database",
    "postgrest": "gateways/database",
}
"""A third party's client → the start of the paths of the only modules that may import it."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def length(function: Function) -> int:
    """Lines from `def` to the last statement; the docstring is free."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None and first.end_lineno is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def test_modules_have_at_most_400_lines(python_files: dict[str, ast.Module], root: Path) -> None:
    lines = {path: len((root / path).read_text().splitlines()) for path in python_files}
    assert {path: n for path, n in lines.items() if n > LONGEST_MODULE} == {}


def test_functions_have_at_most_50_lines(python_files: dict[str, ast.Module]) -> None:
    long = {
        f"{path}:{node.lineno} {node.name}": length(node)
        for path, tree in python_files.items()
        for node in ast.walk(tree)
        if isinstance(node, Function) and length(node) > LONGEST_FUNCTION
    }
    assert long == {}


def test_every_module_says_why_it_exists(python_files: dict[str, ast.Module]) -> None:
    assert [path for path, tree in python_files.items() if not ast.get_docstring(tree)] == []


@pytest.mark.parametrize(("client", "home"), ONE_HOME.items())
def test_a_third_partys_client_has_one_home(client: str, home: str, product_files: dict[str, ast.Module]) -> None:
    strangers = [
        path
        for path, tree in product_files.items()
        if not path.startswith(home) and any(name.split(".")[0] == client for name in imported(tree))
    ]
    assert strangers == []


def test_nothing_is_mocked(python_files: dict[str, ast.Module]) -> None:
    mocking = [
        path
        for path, tree in python_files.items()
        if any(name.startswith(("unittest.mock", "mock", "pytest_mock")) for name in imported(tree))
    ]
    assert mocking == []


def test_no_test_is_skipped(python_files: dict[str, ast.Module]) -> None:
    skipping = [
        f"{path}:{node.lineno}"
        for path, tree in python_files.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"skip", "skipif", "xfail", "importorskip"}
        and ast.unparse(node.value) in {"pytest", "pytest.mark"}
    ]
    assert skipping == []
