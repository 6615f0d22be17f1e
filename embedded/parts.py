"""What the platform is made of: parts that are started, answer, and are stopped, each on its own."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from .errors import PartDied
from .processes import Child


class Part(ABC):
    """One part: its processes and its place in the state directory. Can be started again after it was stopped."""

    name: ClassVar[str]

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []
        self._watchers: list[asyncio.Task[None]] = []
        self._deaths: asyncio.Queue[PartDied] = asyncio.Queue()

    @abstractmethod
    async def _start(self) -> None:
        """Start the processes and wait until the part truly answers."""

    async def start(self) -> None:
        """Start, and wait until it answers; nothing of it is left running if that fails.

        Raises:
            PartDied: one of its processes ended instead.
            NotReady: it did not answer in time.
        """
        try:
            await self._start()
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> None:
        """End its processes in good order, those that others need last; its data stays."""
        children, self._children = self._children, []
        for child in reversed(children):
            await child.stop()
        await self._forget()

    async def kill(self) -> None:
        """End its processes at once, as a crash would."""
        children, self._children = self._children, []
        await asyncio.gather(*(child.kill() for child in children))
        await self._forget()

    async def died(self) -> PartDied:
        """Wait until one of its processes ends by itself, and say how."""
        return await self._deaths.get()

    @property
    def pids(self) -> dict[str, int]:
        """Its processes' ids, by name."""
        return {child.name: child.pid for child in self._children if child.running}

    def log(self, name: str) -> Path:
        """Where one of its processes writes."""
        return self._logs / f"{name}.log"

    def _own(self, child: Child) -> Child:
        self._children.append(child)
        self._watchers.append(asyncio.create_task(self._watch(child)))
        return child

    async def _watch(self, child: Child) -> None:
        death = await child.ended()
        if death is not None:
            self._deaths.put_nowait(death)

    async def _forget(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
        self._deaths = asyncio.Queue()
