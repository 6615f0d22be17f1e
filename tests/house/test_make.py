"""Tries the Makefile as a newcomer does: what it offers, and what it says on a machine that is not ready."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

PROMISED = {"demo", "up", "down", "test", "check", "clean", "lock", "help"}


def make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
    )


@pytest.fixture
def fresh(root: Path, tmp_path: Path) -> Path:
    """A checkout without an environment: what `make` decides on, and nothing that it could install."""
    shutil.copy(root / "Makefile", tmp_path)
    (tmp_path / "requirements").mkdir()
    for name in ("pyproject.toml", "requirements/build.txt", "requirements/dev.txt"):
        (tmp_path / name).touch()
    return tmp_path


def a_python(directory: Path, script: str) -> Path:
    program = directory / "python-of-old"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_make_alone_lists_every_target(root: Path) -> None:
    shown = make(root)
    assert shown.returncode == 0
    assert set(re.findall(r"^  make ([a-z-]+) +\S", shown.stdout, re.MULTILINE)) >= PROMISED


def test_a_missing_python_is_named_with_the_way_out(fresh: Path) -> None:
    refused = make(fresh, "venv", "PYTHON=python-of-nowhere")
    assert refused.returncode != 0
    assert "there is no 'python-of-nowhere'" in refused.stderr
    assert "make PYTHON=" in refused.stderr


def test_a_python_too_old_is_named_with_its_version(fresh: Path) -> None:
    old = a_python(fresh, 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    refused = make(fresh, "venv", f"PYTHON={old}")
    assert refused.returncode != 0
    assert "is Python 3.9.2; 3.11 or newer is needed" in refused.stderr


def test_a_python_without_venv_names_the_package_to_install(fresh: Path) -> None:
    bare = a_python(fresh, 'case "$2" in *ensurepip*) exit 1;; esac')
    refused = make(fresh, "venv", f"PYTHON={bare}")
    assert refused.returncode != 0
    assert "apt-get install python3-venv" in refused.stderr
    assert not (fresh / ".venv").exists()
