"""A child process that cannot outlive what it works for: its limit, its task, or this worker.

The child leads a process group of its own. At its limit, and when the caller is cancelled (however often), the whole
group gets TERM, a little time in which Helm marks its release failed, then KILL, and is reaped before the caller goes
on. When the worker dies without a word, the kernel kills the child.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

TERM_GRACE = 5.0
"""Seconds between TERM and KILL: Helm 3 needs about one request to mark what it was doing as failed."""

T = TypeVar("T")

_DIE_WITH_PARENT = (
    "import ctypes,os,sys;"
    "ctypes.CDLL(None).prctl(1,9);"  # PR_SET_PDEATHSIG, SIGKILL
    "os.execv(sys.argv[1],sys.argv[1:])"
)


class Finished(NamedTuple):
    """How a child ended."""

    code: int
    """Its exit code, or minus the signal that killed it."""
    out: str
    err: str


class LimitReached(Exception):
    """The child was still running at its limit, and was stopped."""


def bound_to_parent(command: Sequence[str], *, system: str = sys.platform, search: str | None = None) -> list[str]:
    """The command so that Linux kills it when this process dies; on another system as it is."""
    if not system.startswith("linux"):
        return list(command)
    setpriv = shutil.which("setpriv", path=search)
    if setpriv:
        return [setpriv, "--pdeathsig", "KILL", "--", *command]
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, *command]


async def run(
    command: Sequence[str], *, limit: float, stdin: bytes, env: Mapping[str, str], grace: float = TERM_GRACE
) -> Finished:
    """Run to the end, `limit` seconds at the most, counted from the child's start; `grace` is from TERM to KILL.

    Raises:
        LimitReached: it was stopped at its limit.
    """

    async def live(stop: asyncio.Event) -> Finished:
        child = await Child.start(command, env)
        out, err = await child.within(child.process.communicate(stdin), limit=limit, grace=grace, stop=stop)
        return Finished(child.process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))

    return await to_its_end(live)


async def to_its_end(live: Callable[[asyncio.Event], Coroutine[Any, Any, Finished]]) -> Finished:
    """Let something be done with a child: when the caller is cancelled, `live` is told by the event, and waited for."""
    stop = asyncio.Event()
    life = asyncio.create_task(live(stop))
    cancelled: asyncio.CancelledError | None = None
    while not life.done():
        try:
            await asyncio.shield(life)
        except asyncio.CancelledError as error:
            if life.cancelled():
                raise
            cancelled = error
            stop.set()
        except Exception:  # noqa: BLE001  # raised below, where a cancel comes first
            break
    if cancelled is not None:
        life.exception()
        raise cancelled
    return life.result()


class Child(NamedTuple):
    """The leader of a process group of its own."""

    process: asyncio.subprocess.Process
    transport: asyncio.SubprocessTransport

    @classmethod
    async def start(cls, command: Sequence[str], env: Mapping[str, str], *, longest_line: int = 2**16) -> Child:
        """As `asyncio.create_subprocess_exec` does it, which keeps the transport to itself; bound to this process."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            lambda: asyncio.subprocess.SubprocessStreamProtocol(limit=longest_line, loop=loop),
            *bound_to_parent(command),
            env=dict(env),
            start_new_session=True,
        )
        return cls(asyncio.subprocess.Process(transport, protocol, loop), transport)

    async def within(self, talking: Coroutine[Any, Any, T], *, limit: float, grace: float, stop: asyncio.Event) -> T:
        """What comes of talking to it. At its limit, and when it is told to stop, the whole group is ended.

        Raises:
            LimitReached: it was.
        """
        talk, halt = asyncio.create_task(talking), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({talk, halt}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not talk.done():
                await self.end(talk, grace)
                raise LimitReached
            return talk.result()
        finally:
            halt.cancel()
            if not talk.done():
                # This task is cancelled only where the loop itself ends.
                await self.kill()
                talk.cancel()

    async def end(self, talk: asyncio.Task[Any], grace: float) -> None:
        """TERM, then KILL for whoever is left of the group."""
        self._signal(signal.SIGTERM)
        await asyncio.wait({talk}, timeout=grace)
        await self.kill()

    async def kill(self) -> None:
        """KILL the group and reap the child."""
        # Also when the leader has gone: what it started may have stayed. The group keeps its id while anyone is in it.
        if not self.transport.is_closing():
            self._signal(signal.SIGKILL)
        # asyncio counts a child as ended only once its pipes are closed, and one who left the group may hold them.
        self.transport.close()
        await self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
