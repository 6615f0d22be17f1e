"""What a failed workflow tells, wherever Temporal keeps it."""

from __future__ import annotations


def all_causes(failed: BaseException) -> str:
    """The words of the failure and of all that it came from.

    Where there was no time for another attempt, Temporal says that first and keeps the last failure as its cause.
    """
    words: list[str] = []
    cause: BaseException | None = failed
    while cause is not None:
        words.append(str(cause))
        cause = cause.__cause__
    return "; ".join(words)
