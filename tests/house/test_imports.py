"""Holds that imports point one way and that each caller loads only what it needs."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGES = ("activities", "cli", "client", "embedded", "gateways", "model", "workflows")
HEAVY = {
    "aiohttp",
    "cryptography",
    "kubernetes",
    "postgrest",
    "pydantic_settings",
    "rich",
    "supabase",
    "typer",
    "yaml",
}
"""What a worker, the command line or the embedded platform may cost, and nobody else."""


def loaded_by(module: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after importing `module`."""
    code = f"import {module}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_imports_point_one_way(root: Path) -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_packages_are_loaded_by_their_full_names_only() -> None:
    for package in PACKAGES:
        importlib.import_module(f"innkeeper.{package}")
    assert "workflows" not in sys.modules
    assert sys.modules.keys() & set(PACKAGES) == set()


def test_every_package_is_installed(root: Path) -> None:
    config = tomllib.loads((root / "pyproject.toml").read_text())
    listed = set(config["tool"]["setuptools"]["packages"])
    found = {f"innkeeper.{path.parent.name}" for path in root.glob("[a-z]*/__init__.py")}
    nested = {
        "innkeeper." + ".".join(path.parent.relative_to(root).parts)
        for package in found
        for path in (root / package.partition(".")[2]).rglob("__init__.py")
    }
    assert listed == {"innkeeper"} | nested


def test_a_backend_loads_temporalio_and_pydantic_and_nothing_heavier() -> None:
    assert loaded_by("innkeeper.client") & HEAVY == set()


@pytest.mark.parametrize("module", ["innkeeper.workflows.registry", "innkeeper.activities.releases"])
def test_workflows_and_their_replay_load_no_client_of_a_third_party(module: str) -> None:
    # Manifests are YAML, and reading them is pure.
    assert loaded_by(module) & (HEAVY - {"yaml"}) == set()
