"""Helms that stay: one call after another in a process that is there already (`embedded/residenthelm`).

Most of what a call of Helm's costs is the start of its process. A resident does the same calls by the same commands,
one at a time, and each has the same bounds as a child of its own (`helm_child`): at its limit, and when the caller is
cancelled, the resident is ended as that child would be, and the next call gets another one. So none that hangs takes
anything with it. One that reported a failure is not used again either: its connection may be the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from . import helm_child
from .helm_child import Child, Finished

MARK = "resident"
"""What a Helm that can stay says of the tree that it was built from."""

ABOUT = "{{.Version}} {{.GitTreeState}}"
"""Asks `helm version` for both."""

RUNTIME = {"GOMEMLIMIT": "256MiB"}
"""What its Go runtime is told: from there on it collects memory more often."""

USES = 200
"""Calls of one; what it keeps of each never becomes much then, and its start is a half per cent of them."""

IDLE = 60.0
"""Seconds; one has 50 to 70 MiB."""

LONGEST_ANSWER = 2**27
"""Bytes: Kubernetes takes manifests of 1 MiB each, and a chart of some dozens."""


class Residents:
    """Those of one helm, started as they are needed.

    Args:
        env: the environment of each.
        grace: seconds that one which has to stop gets before it is killed.
        uses: calls that one does before another takes its place.
        idle: seconds after which one that nobody needed goes.
    """

    def __init__(self, env: Mapping[str, str], *, grace: float, uses: int = USES, idle: float = IDLE) -> None:
        self._env = {**RUNTIME, **env}
        self._grace = grace
        self._uses = uses
        self._patience = idle
        self._idle: list[_Resident] = []
        self._waits: set[asyncio.Task[None]] = set()
        self._closed = False

    async def run(self, binary: str, arguments: Sequence[str], *, limit: float, stdin: bytes) -> Finished:
        """Do a call to its end, as `helm_child.run` does.

        Raises:
            LimitReached: it was stopped at its limit.
        """
        return await helm_child.to_its_end(lambda stop: self._live(binary, arguments, limit, stdin, stop))

    async def aclose(self) -> None:
        """End those that have nothing to do; those that have go with their call."""
        self._closed = True
        idle, self._idle = self._idle, []
        for resident in idle:
            resident.waits.cancel()
            await resident.leave()
        await asyncio.gather(*self._waits, return_exceptions=True)

    async def _live(
        self, binary: str, arguments: Sequence[str], limit: float, stdin: bytes, stop: asyncio.Event
    ) -> Finished:
        wanted = _Program.at(binary)
        resident = await self._free(wanted) or await _Resident.start(wanted, self._env)
        stays = False
        try:
            ended = await resident.child.within(
                resident.asked(arguments, stdin), limit=limit, grace=self._grace, stop=stop
            )
            stays = ended.code == 0 and not resident.ended and resident.calls < self._uses and not self._closed
            return ended
        finally:
            if stays:
                self._keep(resident)
            else:
                await resident.leave()

    async def _free(self, wanted: _Program) -> _Resident | None:
        """The one that was used last, so that those which nobody needs go; none of a helm that was replaced since."""
        while self._idle:
            resident = self._idle.pop()
            resident.waits.cancel()
            if resident.of == wanted and not resident.has_died:
                return resident
            await resident.leave()
        return None

    def _keep(self, resident: _Resident) -> None:
        resident.waits = asyncio.create_task(self._wait(resident))
        self._waits.add(resident.waits)
        resident.waits.add_done_callback(self._waits.discard)
        self._idle.append(resident)

    async def _wait(self, resident: _Resident) -> None:
        await asyncio.sleep(self._patience)
        self._idle.remove(resident)
        await resident.leave()


class _Program(NamedTuple):
    path: str
    made: int
    """When, in nanoseconds."""

    @classmethod
    def at(cls, path: str) -> _Program:
        return cls(path, Path(path).stat().st_mtime_ns)


@dataclass
class _Resident:
    child: Child
    of: _Program
    writing: asyncio.StreamWriter
    reading: asyncio.StreamReader
    said: bytearray = field(default_factory=bytearray)
    """What it said of itself, and within no answer."""
    calls: int = 0
    ended: bool = False
    """It gave its last answer, or died."""
    listening: asyncio.Task[None] = field(init=False)
    waits: asyncio.Task[None] = field(init=False)
    """Until it goes, where it has nothing to do."""

    @classmethod
    async def start(cls, program: _Program, env: Mapping[str, str]) -> _Resident:
        child = await Child.start([program.path, "resident"], env, longest_line=LONGEST_ANSWER)
        process = child.process
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise TypeError("a child has pipes")
        resident = cls(child, program, process.stdin, process.stdout)
        resident.listening = asyncio.create_task(resident._listen(process.stderr))
        return resident

    @property
    def has_died(self) -> bool:
        return self.reading.at_eof() or self.child.process.returncode is not None

    async def _listen(self, errors: asyncio.StreamReader) -> None:
        while some := await errors.read(2**16):
            self.said += some

    async def asked(self, arguments: Sequence[str], stdin: bytes) -> Finished:
        """Have a call done; how it ended, or how the process did."""
        self.calls += 1
        self.said.clear()
        with contextlib.suppress(ConnectionError):
            self.writing.write(json.dumps({"args": [*arguments], "stdin": stdin.decode()}).encode() + b"\n")
            await self.writing.drain()
        line = await self.reading.readline()
        if line.endswith(b"\n"):
            answer = json.loads(line)
            self.ended = answer.get("last", False)
            return Finished(answer["code"], answer["out"], answer["err"])
        self.ended = True
        await self.listening
        # One that ends in order without an answer was told to, before the call reached it.
        code = await self.child.process.wait() or -signal.SIGTERM
        return Finished(code, "", self.said.decode(errors="replace"))

    async def leave(self) -> None:
        """End it and all that it started."""
        await self.child.kill()
        await self.listening
