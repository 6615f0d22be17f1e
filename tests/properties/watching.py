"""When the steps of a run are over, those of one that was terminated included: they may outlive it for a while."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from in_memory import Watched
from temporalio import activity


class Watching(Watched):
    """Faults, an eye on operations that change one instance at once, and one on what still moves."""

    def __init__(self) -> None:
        super().__init__()
        self._under_way: Counter[str] = Counter()
        self._heard: dict[str, float] = {}

    @asynccontextmanager
    async def around(self, call: str) -> AsyncIterator[None]:
        """Wrap one effect."""
        run = (activity.info().workflow_run_id or "") if activity.in_activity() else ""
        self._under_way[run] += 1
        try:
            async with super().around(call):
                yield
        finally:
            self._under_way[run] -= 1
            self._heard[run] = time.monotonic()

    async def silent(self, run_id: str, *, seconds: float = 0.5, within: float = 30) -> None:
        """Wait until nothing was heard of a run's steps for some time: they are over.

        Raises:
            TimeoutError: they are not within so many seconds.
        """
        async with asyncio.timeout(within):
            while self._under_way[run_id] or time.monotonic() - self._heard.get(run_id, 0) < seconds:
                await asyncio.sleep(0.05)
