"""Places that are few, given in turns: whoever wants many of them does not keep out whoever wants one.

The places of a semaphore go to whoever asked first: behind nine hundred requests of one tenant another's three would
wait for all of them. Here each tenant that waits gets one place in turn (round robin), as Temporal's fairness keys have
it for tasks that no worker has taken yet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Turns:
    """So many places at once.

    Args:
        places: how many.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """Who waits, and with how many; whose turn is next comes first."""

    @contextlib.asynccontextmanager
    async def of(self, whose: str) -> AsyncIterator[None]:
        """Hold a place, which counts as that one's turn."""
        await self._enter(whose)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, whose: str) -> None:
        if self._free:
            self._free -= 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(whose, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            # It may have been given in the very moment in which nobody wanted it any more.
            if not place.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        """Give the place to whose turn it is."""
        while self._waiting:
            whose = next(iter(self._waiting))
            queue = self._waiting.pop(whose)
            # Who gave up has had no turn.
            while queue and queue[0].done():
                queue.popleft()
            if not queue:
                continue
            queue.popleft().set_result(None)
            if queue:
                self._waiting[whose] = queue
            return
        self._free += 1
