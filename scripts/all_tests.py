"""All tests, in two processes side by side: most of them wait for retries, deadlines and pods, and not for a processor.

Each says what it says, line by line, with its name before it. Coverage is of both together.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPERATIONS = ("activities", "client", "embedded", "failures", "model", "properties", "workflows")
"""Folders of the tests that take about as long as all others: most of them play operations in memory."""


def groups() -> dict[str, list[str]]:
    """What each process tests; a new folder is among the others."""
    tests = ROOT / "tests"
    folders = sorted({path.relative_to(tests).parts[0] for path in tests.rglob("test_*.py")})
    named = {"operations": OPERATIONS, "platform": [name for name in folders if name not in OPERATIONS]}
    return {group: [f"tests/{name}" for name in names] for group, names in named.items()}


def tell(group: str, said: list[str], process: subprocess.Popen[str]) -> None:
    """Pass on what a process says."""
    for line in process.stdout or ():
        print(f"{group:>10} | {line}", end="", flush=True)
        said.append(line)


def run() -> int:
    """Run all; the exit code is 0 where all passed."""
    running: dict[str, subprocess.Popen[str]] = {}
    said: dict[str, list[str]] = {}
    try:
        listeners = []
        for group, paths in groups().items():
            command = [sys.executable, "-m", "pytest", "--cov", "--cov-report=", *paths]
            environment = {**os.environ, "COVERAGE_FILE": str(ROOT / f".coverage.{group}"), "PYTHONUNBUFFERED": "1"}
            running[group] = subprocess.Popen(
                command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            said[group] = []
            listener = threading.Thread(target=tell, args=(group, said[group], running[group]), daemon=True)
            listener.start()
            listeners.append(listener)
        codes = {group: process.wait() for group, process in running.items()}
        for listener in listeners:
            listener.join()
    finally:
        for process in running.values():
            if process.poll() is None:
                process.terminate()
                process.wait()
    for group, lines in said.items():
        print(f"{group:>10} | {lines[-1] if lines else 'said nothing'}", end="", flush=True)
    return max(codes.values(), key=abs)


if __name__ == "__main__":
    sys.exit(run())
