"""Who does a phase's work to many instances at once: Innkeeper, or bare Helm with the API calls that go with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..client import Innkeeper, OperationHandle
from .bare import Bare

PHASES = ("provision", "upgrade", "stop", "start", "restart", "uninstall")


@dataclass
class Done:
    """One instance's part of a phase."""

    name: str
    seconds: float
    """From when all were asked for until this one had ended."""
    handle: OperationHandle | None = None
    """Its operation, where it is one."""


class Arm(Protocol):
    """Who does the work."""

    async def phase(self, phase: str, names: Sequence[str]) -> list[Done]:
        """Do one thing to all instances at once, to its end."""
        ...


class Ours:
    """By Innkeeper, as a backend asks for it."""

    def __init__(self, innkeeper: Innkeeper) -> None:
        self._innkeeper = innkeeper

    async def phase(self, phase: str, names: Sequence[str]) -> list[Done]:
        """Ask for all at once, and wait for each."""
        more: dict[str, Any] = {}
        if phase in ("provision", "upgrade"):
            more["plan"] = "bench" if phase == "provision" else "bench-more"
        if phase == "provision":
            more["tenant"] = "bench"
        ask, begun = getattr(self._innkeeper, phase), time.perf_counter()

        async def one(name: str) -> Done:
            handle: OperationHandle = await ask(name, **more)
            await handle.result()
            return Done(name, time.perf_counter() - begun, handle)

        return list(await asyncio.gather(*(one(name) for name in names)))


class ByHand:
    """By bare Helm and API calls."""

    def __init__(self, bare: Bare) -> None:
        self._bare = bare

    async def phase(self, phase: str, names: Sequence[str]) -> list[Done]:
        """As many at once as there are; Helm's own number is limited."""
        act, begun = getattr(self._bare, phase), time.perf_counter()

        async def one(name: str) -> Done:
            await act(name)
            return Done(name, time.perf_counter() - begun)

        return list(await asyncio.gather(*(one(name) for name in names)))
