"""What the command's exit code says, so that scripts need not read its words."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model.errors import InnkeeperError


class Exit(IntEnum):
    """The exit codes; docs/cli.md lists them for users."""

    DONE = 0
    FAILED = 1
    """The operation failed, or ended otherwise than asked."""
    BAD_INPUT = 2
    """What was asked cannot be; nothing was touched."""
    BUSY = 3
    """Another operation runs on the instance, or another platform on the state directory."""
    UNREACHABLE = 4
    """A part does not answer, refuses this client, or is missing."""
    DEFECT = 70
    """An error that nobody foresaw."""
    INTERRUPTED = 130


_WITHOUT_A_PART = frozenset(
    {"BuildFailed", "Forbidden", "MissingExtra", "NotReady", "PartDied", "PlatformError", "ToolMissing", "Unreachable"}
)
_NOT_THE_ASKERS = frozenset(
    {"Cancelled", "Conflict", "Displaced", "Failed", "HandoverLost", "Pending", "Superseded", "Timeout"}
)
"""Codes of a refusal that say nothing about what was asked."""


def exit_code_of(error: InnkeeperError) -> Exit:
    """By what the error is; by its cause's code where it came from another process and its class did not."""
    from ..model.errors import BadInput, Busy, Forbidden, MissingExtra, OperationFailed, Refused, Unreachable

    code = error.cause.code
    if isinstance(error, OperationFailed):
        return Exit.FAILED
    if isinstance(error, Busy) or code == "AlreadyRuns":
        return Exit.BUSY
    if isinstance(error, BadInput) or code == "BadInput":
        return Exit.BAD_INPUT
    if isinstance(error, Unreachable | Forbidden | MissingExtra) or code in _WITHOUT_A_PART:
        return Exit.UNREACHABLE
    if isinstance(error, Refused):
        return Exit.FAILED if code in _NOT_THE_ASKERS else Exit.BAD_INPUT
    return Exit.FAILED
