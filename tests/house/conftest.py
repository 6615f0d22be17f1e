"""The project's modules, parsed once for all rules."""

import ast

import pytest
from wheel import ROOT

NOT_PRODUCT = ("tests/", "examples/", "benchmarks/", "docs/", "scripts/")


@pytest.fixture(scope="session")
def python_files(project_files: list[str]) -> dict[str, ast.Module]:
    return {path: ast.parse((ROOT / path).read_text(), path) for path in project_files if path.endswith(".py")}


@pytest.fixture(scope="session")
def product_files(python_files: dict[str, ast.Module]) -> dict[str, ast.Module]:
    return {path: tree for path, tree in python_files.items() if not path.startswith(NOT_PRODUCT)}
