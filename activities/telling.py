"""What a step waits for just now, told with its heartbeats: `client.pending` shows it to whoever looks on.

Without it an operation says nothing between a step's start and its deadline. Heartbeats are no part of a history, so
that nothing here changes how operations are replayed. None is sent for new words: each is a write of Temporal's, and
the next one comes soon. What is told may quote the cluster's own words, never a value.
"""

from __future__ import annotations

from contextvars import ContextVar
from datetime import datetime

LONGEST = 1_000
"""Characters that are told."""


class Telling:
    """What one attempt says of itself."""

    def __init__(self, since: datetime | None) -> None:
        self.words = ""
        self._since = since

    @property
    def counts(self) -> bool:
        """Whether later attempts have to be told since when."""
        return self._since is not None

    @property
    def details(self) -> tuple[str, ...]:
        """What goes out with the next heartbeat: the words, and since when the step's time runs, if it counts."""
        if self._since is not None:
            return self.words, self._since.isoformat()
        return (self.words,) if self.words else ()


_CURRENT: ContextVar[Telling | None] = ContextVar("telling", default=None)


def begin(since: datetime | None) -> Telling:
    """Let the attempt that runs here say what it waits for, and since when its step's time runs."""
    telling = Telling(since)
    _CURRENT.set(telling)
    return telling


def waiting_for(what: str) -> None:
    """Say what the attempt waits for, in words for people, until it says something else; nothing where it cannot."""
    telling = _CURRENT.get()
    if telling is not None:
        telling.words = what[:LONGEST]
