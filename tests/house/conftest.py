"""The project's files as git sees them, read once for all rules."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_PRODUCT = ("tests/", "examples/", "benchmarks/", "docs/", "scripts/")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def project_files() -> list[str]:
    """Paths of all files that are or would be committed, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(path for path in set(listed.stdout.split("\0")) if (ROOT / path).is_file())


@pytest.fixture(scope="session")
def python_files(project_files: list[str]) -> dict[str, ast.Module]:
    return {path: ast.parse((ROOT / path).read_text(), path) for path in project_files if path.endswith(".py")}


@pytest.fixture(scope="session")
def product_files(python_files: dict[str, ast.Module]) -> dict[str, ast.Module]:
    return {path: tree for path, tree in python_files.items() if not path.startswith(NOT_PRODUCT)}
