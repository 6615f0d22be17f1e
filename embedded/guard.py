"""Runs one program and kills it when the process that started this guard is gone.

For systems without Linux's parent-death signal. It knows of its parent's end by a pipe whose other end only the
parent holds: the kernel closes that end however the parent dies. Run by path, with the standard library only:
``python -I guard.py FD PROGRAM ARG…``, as the leader of a process group of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main(argv: list[str]) -> int:
    """Run ``argv[1:]`` until it ends or the pipe ``argv[0]`` closes; returns its exit code, shell style."""
    pipe = int(argv[0])
    # A stop goes to the whole group; the guard stays, to pass on how the program took it.
    signal.signal(signal.SIGTERM, lambda *_: None)
    program = subprocess.Popen(argv[1:], close_fds=True)
    threading.Thread(target=_kill_group_at_end_of, args=(pipe,), daemon=True).start()
    code = program.wait()
    return code if code >= 0 else 128 - code


def _kill_group_at_end_of(pipe: int) -> None:
    os.read(pipe, 1)
    os.killpg(0, signal.SIGKILL)  # pragma: no cover  # it kills whoever could report that it ran, too


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
