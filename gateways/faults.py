"""Faults that the in-memory gateways play on demand, so that a test can fail any effect before or after it happened.

Each in-memory gateway wraps each of its effects::

    async with self.faults.around("db.claim"):
        ...  # the effect

and a test programs what shall go wrong::

    faults.fail("db.finish", Unreachable("gone"), times=3)  # refused: nothing was done
    faults.fail("db.finish", Unreachable("gone"), when="after")  # done, and the answer was lost
    hang = faults.hang("helm.upgrade")  # in flight until hang.release()

A call is named by its full name (``db.finish``), by its last part (``finish``) or by a pattern (``cluster.*``). Where
who calls is known, a pattern with a space in it is held against both: ``acme scale-down cluster.patch``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

When = Literal["before", "after"]


class Hang:
    """A call that stays in flight until it is released (or its task is cancelled)."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        """Set once a call hangs here."""
        self._released = asyncio.Event()

    async def wait(self) -> None:
        """Hang until released; returns at once afterwards."""
        self.reached.set()
        await self._released.wait()

    def release(self) -> None:
        """Let the hanging calls go on."""
        self._released.set()


@dataclass
class _Fault:
    call: str
    act: BaseException | Hang
    when: When
    times: int | None
    skip: int
    fired: int = field(default=0)

    def takes(self, call: str, caller: str, when: When) -> bool:
        """Whether this fault plays now; counts the calls it lets pass."""
        known_as = f"{caller} {call}" if " " in self.call else call
        if when != self.when or self.times == 0 or not _matches(self.call, known_as):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        self.fired += 1
        return True


def _matches(pattern: str, call: str) -> bool:
    return fnmatchcase(call, pattern) or fnmatchcase(call.rpartition(".")[2], pattern)


class Faults:
    """The programme of faults of one test, shared by its in-memory gateways.

    Args:
        caller: who makes the call that is being made, in one word or more.
    """

    def __init__(self, caller: Callable[[], str] = str) -> None:
        self.caller = caller
        self.calls: list[str] = []
        """Every call that began, in order, refused ones included."""
        self._faults: list[_Fault] = []

    def fail(
        self,
        call: str,
        error: BaseException,
        *,
        times: int | None = 1,
        when: When = "before",
        skip: int = 0,
    ) -> None:
        """Raise `error` at the next `times` calls (None: at all of them), after letting `skip` pass."""
        self._faults.append(_Fault(call, error, when, times, skip))

    def hang(self, call: str, *, times: int | None = 1, when: When = "before", skip: int = 0) -> Hang:
        """Keep the next `times` calls in flight until the returned hang is released."""
        hang = Hang()
        self._faults.append(_Fault(call, hang, when, times, skip))
        return hang

    def clear(self) -> None:
        """Forget what was programmed: from now on everything works. Calls that hang go on."""
        for fault in self._faults:
            if isinstance(fault.act, Hang):
                fault.act.release()
        self._faults.clear()

    @property
    def unplayed(self) -> list[str]:
        """The calls of faults that never played: a test that expects a fault asserts that this is empty."""
        return [fault.call for fault in self._faults if not fault.fired]

    def count(self, call: str) -> int:
        """How many calls of this name (or pattern) began."""
        return sum(_matches(call, each) for each in self.calls)

    async def before(self, call: str) -> None:
        """Play what is programmed before the effect."""
        self.calls.append(call)
        await self._play(call, "before")

    async def after(self, call: str) -> None:
        """Play what is programmed after the effect."""
        await self._play(call, "after")

    @asynccontextmanager
    async def around(self, call: str) -> AsyncIterator[None]:
        """Wrap one effect. An effect that fails by itself has no `after`."""
        await self.before(call)
        yield
        await self.after(call)

    async def _play(self, call: str, when: When) -> None:
        caller = self.caller()
        for fault in list(self._faults):
            if not fault.takes(call, caller, when):
                continue
            if isinstance(fault.act, Hang):
                await fault.act.wait()
            else:
                raise fault.act.with_traceback(None)
