"""All tests, in two processes side by side: most of them wait for retries, deadlines and pods, and not for a processor.

Each says what it says, line by line, with its name before it. Coverage is of both together.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPERATIONS = ("activities", "client", "embedded", "failures", "model", "properties", "workflows")
"""Folders of the tests that take about as long as all others: most of them play operations in memory."""

TEARDOWN = 60
"""Seconds that a process may take to stop what its tests had started."""


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


def started(group: str, paths: list[str]) -> subprocess.Popen[str]:
    """The process of one group, in a session of its own: a Ctrl-C reaches it through this one only, and once."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "--cov", "--cov-report=", "-o", f"cache_dir=.pytest_cache/{group}", *paths],
        cwd=ROOT,
        env={**os.environ, "COVERAGE_FILE": str(ROOT / f".coverage.{group}"), "PYTHONUNBUFFERED": "1"},
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def ending(lines: list[str]) -> list[str]:
    """What is told once more when both have ended, after the thousand lines of the other: what failed, and how many."""
    return [line for line in lines[:-1] if line.startswith(("FAILED ", "ERROR "))] + (lines[-1:] or ["said nothing\n"])


def end(process: subprocess.Popen[str]) -> None:
    """Let a process end its tests as Ctrl-C does, with the time to stop what they had started."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(TEARDOWN)
    except subprocess.TimeoutExpired:
        process.kill()


def run() -> int:
    """Run all; the exit code is 0 where all passed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running = {group: started(group, paths) for group, paths in groups().items()}
    said: dict[str, list[str]] = {group: [] for group in running}
    listeners = [threading.Thread(target=tell, args=(group, said[group], running[group])) for group in running]
    for listener in listeners:
        listener.start()
    try:
        codes = [process.wait() for process in running.values()]
    finally:
        for process in running.values():
            if process.poll() is None:
                end(process)
        for listener in listeners:
            listener.join()
    for group, lines in said.items():
        print("".join(f"{group:>10} | {line}" for line in ending(lines)), end="", flush=True)
    return max(codes, key=abs)


if __name__ == "__main__":
    try:
        sys.exit(run())
    except KeyboardInterrupt:
        sys.exit(130)
