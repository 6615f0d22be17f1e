"""The command line as its users start it: in a pipe, and on a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pexpect

PROGRAM = str(Path(sys.executable).parent / "innkeeper")
PATIENCE = 120
"""Seconds that a command is given on a machine that does other things."""


class Ran(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def run(*words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, input: str = "") -> Ran:
    """Run to the end with pipes for everything."""
    done = subprocess.run(
        [PROGRAM, *words],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        input=input,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def started(*words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Run beside the test, with pipes."""
    return subprocess.Popen(
        [PROGRAM, *words],
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def on_terminal(*words: str, env: Mapping[str, str] | None = None) -> pexpect.spawn[str]:
    """Run on a pseudo-terminal of 120 columns."""
    told = {**os.environ, **(env or {}), "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    return pexpect.spawn(PROGRAM, list(words), env=told, encoding="utf-8", timeout=PATIENCE, dimensions=(40, 120))


def ended(terminal: pexpect.spawn[str]) -> int:
    """Wait for the end; the exit code."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus is not None, f"killed by signal {terminal.signalstatus}"
    return terminal.exitstatus
