"""Child processes that cannot outlive their parent, and whose death is news at once.

A platform is ten processes. Left to themselves they would survive a killed parent, hold its ports and files, and
make the next start fail in ways that nobody can read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from .errors import PartDied

Answer = TypeVar("Answer")

GUARD = Path(__file__).with_name("guard.py")
TAIL_LINES = 15
TAIL_BYTES = 16_384


class Child:
    """A running program in a process group of its own, which writes to a log file and dies with this process."""

    def __init__(
        self, name: str, process: asyncio.subprocess.Process, log: Path, secrets: Sequence[str], lifeline: int | None
    ) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._secrets = secrets
        self._lifeline = lifeline
        self._stopping = False

    @classmethod
    async def start(
        cls,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        secrets: Sequence[str] = (),
        guarded: bool | None = None,
    ) -> Child:
        """Start `argv`; the former log is kept beside the new one as ``….previous``.

        Args:
            name: What messages call it.
            argv: The program and its arguments.
            log: Where its output goes, readable by this user only.
            env: Its whole environment; this process's own by default.
            cwd: Where it runs.
            secrets: Texts that are masked wherever the log is quoted.
            guarded: Whether a guard process ends it with this one; by default only where the kernel cannot.

        Raises:
            OSError: the program cannot be started.
        """
        setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
        if guarded is None:
            guarded = setpriv is None
        _put_aside(log)
        reading, writing = os.pipe() if guarded else (None, None)
        if reading is not None:
            command = [sys.executable, "-I", str(GUARD), str(reading), *argv]
        else:
            command = [str(setpriv), "--pdeathsig", "KILL", *argv]
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
                cwd=cwd,
                start_new_session=True,
                umask=0o077,
                pass_fds=() if reading is None else (reading,),
            )
        except BaseException:
            if writing is not None:
                os.close(writing)
            raise
        finally:
            os.close(output)
            if reading is not None:
                os.close(reading)
        return cls(name, process, log, secrets, writing)

    @property
    def pid(self) -> int:
        """The id of the process, and of its group."""
        return self._process.pid

    @property
    def guarded(self) -> bool:
        """Whether it is the guard of a program, and not the program itself."""
        return self._lifeline is not None

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def ended(self) -> PartDied | None:
        """Wait until it ends; returns how it died, or None if it was asked to."""
        code = await self._process.wait()
        self._close_lifeline()
        return None if self._stopping else PartDied(self.name, code, self.log, self.tail())

    async def while_alive(self, work: Awaitable[Answer]) -> Answer:
        """Await `work`, but not longer than the process lives.

        Raises:
            PartDied: it ended first; with the last lines of its log.
        """
        working = asyncio.ensure_future(work)
        ending = asyncio.ensure_future(self.ended())
        try:
            await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ending.result() or PartDied(self.name, self._process.returncode or 0, self.log, self.tail())
            return working.result()
        finally:
            for task in (working, ending):
                task.cancel()
            await asyncio.gather(working, ending, return_exceptions=True)

    async def stop(self, *, grace: float = 5.0) -> None:
        """Ask its group to end, and kill what is left after `grace` seconds. Stopping twice is harmless."""
        self._stopping = True
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), grace)
        await self.kill()

    async def kill(self) -> None:
        """End its whole group at once."""
        self._stopping = True
        self._signal(signal.SIGKILL)
        await self._process.wait()
        self._close_lifeline()

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of its log, secrets masked."""
        return tail_of(self.log, lines=lines, secrets=self._secrets)

    def _signal(self, number: signal.Signals) -> None:
        # The group outlives its leader while a member runs, so this is right after the leader's end as well.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _close_lifeline(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


def _put_aside(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        log.replace(log.with_name(log.name + ".previous"))


def tail_of(log: Path, *, lines: int = TAIL_LINES, secrets: Sequence[str] = ()) -> str:
    """The last lines of a log file, secrets masked; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    for secret in secrets:
        text = text.replace(secret, "***")
    return "\n".join(line[:400] for line in text.splitlines()[-lines:])


async def run(
    name: str,
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    secrets: Sequence[str] = (),
    timeout: float,
) -> None:
    """Run a program to its end, killing it when this is cancelled.

    Raises:
        PartDied: it failed; with the last lines of its log.
        TimeoutError: it did not end within `timeout` seconds and was killed.
    """
    child = await Child.start(name, argv, log=log, env=env, cwd=cwd, secrets=secrets)
    try:
        ending = await asyncio.wait_for(child.ended(), timeout)
    finally:
        await child.kill()
    if ending is not None and ending.exit_code != 0:
        raise ending
