"""The process that owns a platform: in the foreground, or detached, so that a terminal may close while it runs.

``innkeeper up`` starts it, waits until it says that all parts answer, and returns. Every process of the platform is
its child and dies with it; ``innkeeper down`` ends it by the process id in the state directory's lock. When a part
dies by itself, the supervisor stops the rest and leaves word why: half a platform would fail in stranger ways later.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from ..model.errors import Cause, InnkeeperError
from . import lock
from .errors import AlreadyRuns, NotReady, PlatformError
from .files import private_directory, write_private
from .options import Addresses, Options, addresses_of
from .platform import Platform
from .processes import tail_of

FAILURE = "failure.json"
STOPS_WITHIN = 40.0
"""Seconds; 2 on an idle machine, more while a worker finishes its steps."""

Progress = Callable[[str], None]
Answer = TypeVar("Answer")


class Status(BaseModel):
    """What is known of the platform on a state directory."""

    model_config = ConfigDict(frozen=True)

    running: bool
    """Whether a process owns it now."""
    pid: int | None = None
    """That process's id."""
    addresses: Addresses | None = None
    """Where its parts are; None until all of them answer."""
    failure: Cause | None = None
    """Why the last one stopped, unless it was asked to."""
    logs: Path


def status(state_dir: Path) -> Status:
    """What runs on `state_dir`, or why it does not."""
    pid = lock.holder(state_dir)
    return Status(
        running=pid is not None,
        pid=pid,
        addresses=addresses_of(state_dir) if pid is not None else None,
        failure=_failure_of(state_dir),
        logs=state_dir.absolute() / "logs",
    )


async def up(options: Options, progress: Progress) -> Addresses:
    """Start a platform that goes on after this process; returns when all its parts answer.

    Cancelled while it waits, it stops what it started.

    Raises:
        AlreadyRuns: one runs on this state directory; names its process id.
        PlatformError: it could not start; nothing is left running.
    """
    state = private_directory(options.state_dir.absolute())
    holder = await _settled_holder(state)
    if holder is not None:
        raise AlreadyRuns(options.state_dir, holder)
    log = private_directory(state / "logs") / "supervisor.log"
    told, telling = os.pipe()
    try:
        news = await _spawn(told, log)
        pid = int(await news.readline() or 0)
        # Only now, when it can be stopped by its id: one that hears nothing ends by itself. Keys go this way, and not
        # by arguments or environment, which others can read. A pipe holds far more.
        os.write(telling, options.model_dump_json().encode())
    finally:
        os.close(telling)
    try:
        try:
            return await _hear(news, progress, log)
        except BaseException:
            await _end(pid)
            raise
    finally:
        news.close()


async def _settled_holder(state: Path) -> int | None:
    """Who holds the lock, and goes on doing so: a process that was just killed keeps it until its last thread ends."""
    holder = lock.holder(state)
    for _ in range(20):
        if holder is None:
            break
        await asyncio.sleep(0.05)
        holder = lock.holder(state)
    return holder


async def down(state_dir: Path) -> bool:
    """Stop the platform on `state_dir` and wait until it has ended; False where none ran.

    Raises:
        NotReady: it did not end in time.
    """
    pid = lock.holder(state_dir)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STOPS_WITHIN
    while lock.holder(state_dir) == pid:
        if time.monotonic() > end:
            raise NotReady(f"The platform (process {pid}) did not stop within {STOPS_WITHIN:.0f} s.", fix=f"kill {pid}")
        await asyncio.sleep(0.05)
    return True


async def serve(options: Options, progress: Progress, ready: Callable[[Addresses], None]) -> None:
    """Run a platform in this process until SIGINT or SIGTERM; `ready` is called once, when all parts answer.

    Raises:
        PlatformError: it could not start, or a part died; nothing is left running.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    platform = Platform(options, progress=progress)
    stopping = asyncio.ensure_future(asked.wait())
    try:
        if await _unless(stopping, platform.start()) is None:
            return
        (platform.state / FAILURE).unlink(missing_ok=True)
        ready(platform.addresses)
        death = await _unless(stopping, platform.died())
        if death is not None:
            raise death
    except AlreadyRuns:
        raise
    except InnkeeperError as error:
        write_private(platform.state / FAILURE, error.cause.model_dump_json())
        raise
    finally:
        stopping.cancel()
        await platform.stop()


async def _unless(stopping: asyncio.Future[Any], work: Coroutine[Any, Any, Answer]) -> Answer | None:
    """What `work` returns, or None if the stop came first; the work is then cancelled."""
    working = asyncio.ensure_future(work)
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        return working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return None


class News:
    """Lines from a process that is nobody's child any more."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.readline = reader.readline

    def close(self) -> None:
        """Listen no longer."""
        self._transport.close()


async def _spawn(told: int, log: Path) -> News:
    """Start a supervisor that belongs to no terminal and no parent; its first news is its process id.

    It reads its options from the descriptor `told`, which is closed here.
    """
    heard, hearing = os.pipe()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        launcher = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "innkeeper.embedded.supervisor",
            stdin=told,
            stdout=hearing,
            stderr=output,
            start_new_session=True,
            umask=0o077,
        )
        await launcher.wait()
    except BaseException:
        os.close(heard)
        raise
    finally:
        for descriptor in (told, hearing, output):
            os.close(descriptor)
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(heard, "rb", buffering=0)
    )
    return News(reader, transport)


async def _hear(news: News, progress: Progress, log: Path) -> Addresses:
    """Pass on the progress, and return what the supervisor says at the end of its start."""
    while line := await news.readline():
        said = json.loads(line)
        if "ready" in said:
            return Addresses.model_validate(said["ready"])
        if "failed" in said:
            raise PlatformError.of(Cause.model_validate(said["failed"]))
        progress(said["progress"])
    raise PlatformError(f"The supervisor ended without a word: {tail_of(log)}", fix=f"read {log}")


async def _end(pid: int) -> None:
    """Stop a supervisor that has not become ready, and wait until it has ended."""
    if pid <= 0:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + STOPS_WITHIN
        while time.monotonic() < end:
            os.kill(pid, 0)
            await asyncio.sleep(0.05)


def _failure_of(state_dir: Path) -> Cause | None:
    try:
        return Cause.model_validate_json((state_dir / FAILURE).read_text())
    except FileNotFoundError:
        return None


def main() -> int:
    """The detached supervisor: options as JSON on standard input, on standard output its pid, then lines of JSON."""
    child = os.fork()
    if child:
        # Whoever started it does so for a moment only; an orphan is nobody's zombie.
        os.write(sys.stdout.fileno(), f"{child}\n".encode())
        os._exit(0)
    given = sys.stdin.read()
    if not given:
        return 0
    options = Options.model_validate_json(given)

    def tell(**news: object) -> None:
        # Whoever started it listens only until all is ready; the log listens for ever.
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(json.dumps(news) + "\n")
            sys.stdout.flush()

    def progress(line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
        tell(progress=line)

    try:
        asyncio.run(serve(options, progress, lambda addresses: tell(ready=addresses.model_dump(mode="json"))))
    except InnkeeperError as error:
        sys.stderr.write(f"{error}\n")
        tell(failed=error.cause.model_dump(mode="json"))
        return 1
    finally:
        # The interpreter flushes standard output once more at exit, to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
