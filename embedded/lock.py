"""One platform a state directory: a lock that names its holder and cannot outlive it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from .errors import AlreadyRuns

LOCK = "lock"


class StateLock:
    """Held from `take` to `release`, or to the end of the process, however it ends."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Take the lock and write this process's id into it.

        Raises:
            AlreadyRuns: another process holds it; names its id.
        """
        file = (self._state / LOCK).open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise AlreadyRuns(self._state, holder(self._state) or 0) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let others have it."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None


def holder(state: Path) -> int | None:
    """The id of the process that holds the lock of a state directory, or None."""
    try:
        with (state / LOCK).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                return int(text) if text.isdigit() else None
    except FileNotFoundError:
        pass
    return None
