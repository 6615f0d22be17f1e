"""What can go wrong while the platform on this machine is set up, started and stopped.

InnkeeperError
└── PlatformError         a part of the platform is not as it must be
    ├── ToolMissing       a program is neither installed nor to be had
    ├── BuildFailed       a part could not be built or installed into the cache
    ├── PartDied          a part's process ended by itself
    ├── NotReady          a part runs and does not answer
    └── AlreadyRuns       another process holds the state directory
"""

from __future__ import annotations

from pathlib import Path

from ..model.errors import InnkeeperError


class PlatformError(InnkeeperError):
    """A part of the platform on this machine is not as it must be; the message says which and how to mend it."""


class ToolMissing(PlatformError):
    """A program is neither installed nor to be had."""


class BuildFailed(PlatformError):
    """A part could not be built or installed into the cache; nothing of it counts as built."""


class PartDied(PlatformError):
    """A part's process ended by itself."""

    def __init__(self, name: str, code: int, log: Path, tail: str) -> None:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        last = f" Its last lines:\n{tail}" if tail else " It wrote nothing."
        super().__init__(f"{name} {how}; log: {log}.{last}", object=name, fix=f"read {log}")
        self.log = log
        self.exit_code = code


class NotReady(PlatformError):
    """A part runs and does not answer as it should within its time."""


class AlreadyRuns(PlatformError):
    """Another process holds the state directory; `pid` is its process id."""

    def __init__(self, state: Path, pid: int) -> None:
        super().__init__(
            f"A platform runs already on {state} (process {pid}).",
            object=str(state),
            fix="stop it with `innkeeper down`, or name another directory with --state-dir",
        )
        self.pid = pid
