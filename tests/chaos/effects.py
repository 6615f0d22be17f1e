"""The three ports with a fault at one chosen effect: they count an operation's writes, and play what goes wrong there.

An effect is what changes the world outside: a write at the API server, an act of Helm's, a claim or an ending in the
rows. Each instance has a `Play` with its own count, so that one worker can carry many cells at once and be killed with
each of them at another effect. A worker that is dead for an instance does nothing more there, not even read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import NamedTuple

from temporalio import activity

from innkeeper.model.errors import AlreadyExists, Forbidden, InnkeeperError, Transient, Unreachable


class Fault(StrEnum):
    """What happens at an effect."""

    KILLED_BEFORE = "killed-before"
    """The worker dies; the effect has not happened."""
    KILLED_AFTER = "killed-after"
    """The worker dies; the effect has happened, and nobody heard of it."""
    KILLED_WITHIN = "killed-within"
    """The worker dies and Helm with it, in the middle of its work."""
    LOST = "answer-lost"
    """The effect has happened; the caller is told that nobody answered."""
    TRANSIENT = "unreachable"
    """Nothing has happened: nobody answered."""
    PERMANENT = "forbidden"
    """Nothing has happened: it is not allowed."""
    REFUSED_AFTER = "refused-after"
    """The effect has happened; the caller is told that it is not allowed. How operations that are undone begin."""

    @property
    def deadly(self) -> bool:
        """Whether it takes the worker with it."""
        return self in (Fault.KILLED_BEFORE, Fault.KILLED_AFTER, Fault.KILLED_WITHIN)


class Effect(NamedTuple):
    """One write, by its place in its operation."""

    number: int
    """From 1."""
    inner: int
    """Within an act of Helm's the write of its own, from 1; 0: the whole act, or what is no act of Helm's."""
    label: str
    """What it is, without the instance's name, e.g. ``cluster.patch Deployment web``."""

    @property
    def place(self) -> tuple[int, int]:
        """Where it is in its operation."""
        return self.number, self.inner

    def __str__(self) -> str:
        return f"{self.number}.{self.inner} {self.label}" if self.inner else f"{self.number} {self.label}"


class Play:
    """What one instance meets during the operation under test, and what it was seen to do."""

    def __init__(
        self,
        instance: str,
        faults: Mapping[Effect, Fault] | None = None,
        *,
        refused: str = "",
        title: str = "",
        tell: Callable[[Play, str, Effect], None] | None = None,
    ) -> None:
        self.instance = instance
        self.faults = dict(faults or {})
        """At which effects, label and all: at the same place of another run there may be another one."""
        self.refused = refused
        """The label of the effect that is refused once it has happened; empty: none is."""
        self.title = title
        """The cell that is played: chance is the same again for one of the same name."""
        self.effects: list[Effect] = []
        self.played: set[Fault] = set()
        self.dead = False
        self.held = asyncio.Event()
        """Set once the worker is dead for this instance."""
        self._tell = tell or (lambda _play, _event, _effect: None)
        self._number = 0
        self._inner = 0
        self._forever: set[asyncio.Future[None]] = set()

    @property
    def deadly(self) -> bool:
        """Whether the worker is to die at one of its effects."""
        return any(fault.deadly for fault in self.faults.values())

    async def alive(self) -> None:
        """Pass while the worker lives for this instance; else stay for ever, as a dead one's calls do."""
        if not self.dead:
            return
        forever = asyncio.get_running_loop().create_future()
        self._forever.add(forever)
        await forever

    def bury(self) -> None:
        """End the calls that stay for ever, once nobody hears from them any more."""
        self.dead = True
        for forever in self._forever:
            forever.cancel()
        self._forever.clear()

    async def die(self) -> None:
        """Be dead from now on."""
        self.dead = True
        self.held.set()
        self._tell(self, "held", self.effects[-1])
        await self.alive()

    @asynccontextmanager
    async def effect(self, label: str) -> AsyncIterator[Effect]:
        """Around one effect."""
        await self.alive()
        self._number, self._inner = self._number + 1, 0
        effect = Effect(self._number, 0, label)
        async with self._around(effect):
            yield effect

    @asynccontextmanager
    async def inner_effect(self, label: str) -> AsyncIterator[None]:
        """Around one write of an act of Helm's that is under way."""
        await self.alive()
        self._inner += 1
        async with self._around(Effect(self._number, self._inner, label)):
            yield

    @asynccontextmanager
    async def _around(self, effect: Effect) -> AsyncIterator[None]:
        self.effects.append(effect)
        self._tell(self, "effect", effect)
        fault = self.faults.get(effect)
        if fault is not None:
            self.played.add(fault)
            self._tell(self, "played", effect)
        await self._before(effect, fault)
        answer: InnkeeperError | None = None
        try:
            yield
        except InnkeeperError as error:
            answer = error
        await self.alive()
        if fault is Fault.KILLED_AFTER:
            await self.die()
        if fault is Fault.LOST:
            raise Unreachable(f"{effect.label}: the answer was lost") from None
        if fault is None and (isinstance(answer, Transient) or (isinstance(answer, AlreadyExists) and _is_retried())):
            # By itself, as a write onto what has changed since it was read, which is tried again; and what such a step
            # had made before, which is not made anew.
            self._uncount(effect)
        if answer is not None:
            raise answer
        if self.refused and self.refused == effect.label:
            self.refused = ""
            self.played.add(Fault.REFUSED_AFTER)
            raise Forbidden(f"{effect.label} is refused", fix="allow it")

    async def _before(self, effect: Effect, fault: Fault | None) -> None:
        if fault is Fault.KILLED_BEFORE:
            await self.die()
        if fault is Fault.TRANSIENT:
            raise Unreachable(f"{effect.label}: no answer")
        if fault is Fault.PERMANENT:
            raise Forbidden(f"{effect.label} is forbidden", fix="allow it")

    def _uncount(self, effect: Effect) -> None:
        self.effects.remove(effect)
        self._tell(self, "uncounted", effect)
        if effect.inner:
            self._inner -= 1
        else:
            self._number -= 1


def _is_retried() -> bool:
    return activity.in_activity() and activity.info().attempt > 1
