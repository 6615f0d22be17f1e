"""Programs that the tests put on PATH, as a machine may have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

PutProgram = Callable[[str, str], Path]


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PutProgram:
    """A machine with an empty cache and, on PATH, a shell's tools and the scripts that are put there, and no more."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in ("sh", "sleep", "cat", "cp", "chmod", "mkdir", "echo", "setpriv"):
        for place in ("/bin", "/usr/bin"):
            if (Path(place) / tool).exists():
                (programs / tool).symlink_to(Path(place) / tool)
                break
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)

    def put(name: str, script: str) -> Path:
        program = programs / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return program

    return put
