"""What a step waits for just now, told with its heartbeats: `client.pending` shows it to whoever looks on.

Without it an operation says nothing between a step's start and its deadline. Heartbeats are no part of a history, so
that nothing here changes how operations are replayed. What is told may quote the cluster's own words, never a value.
"""

from __future__ import annotations

import time
from contextvars import ContextVar

from temporalio import activity

LONGEST = 1_000
"""Characters that are told."""

AT_FIRST = 1.0
"""Seconds of an attempt whose words go out with its next heartbeat only: most attempts are over before that, and what
they waited for need be told to nobody."""


class Telling:
    """What one attempt says of itself."""

    def __init__(self) -> None:
        self.details: tuple[str, ...] = ()
        self._begun = time.monotonic()

    def say(self, what: str) -> None:
        """Say it with every heartbeat from now on, and at once where it is new and the attempt is not (`AT_FIRST`)."""
        if self.details != (what,):
            self.details = (what,)
            if time.monotonic() - self._begun >= AT_FIRST:
                activity.heartbeat(what)


_CURRENT: ContextVar[Telling | None] = ContextVar("telling", default=None)


def begin() -> Telling:
    """Let the attempt that runs here say what it waits for."""
    telling = Telling()
    _CURRENT.set(telling)
    return telling


def waiting_for(what: str) -> None:
    """Say what the attempt waits for, in words for people, until it says something else; nothing where it cannot."""
    telling = _CURRENT.get()
    if telling is not None:
        telling.say(what[:LONGEST])
