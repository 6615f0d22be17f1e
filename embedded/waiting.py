"""Waiting for a part to answer: bounded, quick to notice, and with the last reason in hand when time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp

from .errors import NotReady

EVERY = 0.05
"""Seconds between two questions to a part on this machine."""


class NotYet(Exception):
    """The part does not answer as it should, for the reason that is the message."""


async def until(what: str, ask: Callable[[], Awaitable[None]], *, timeout: float) -> None:
    """Ask until no `NotYet`, connection error or timeout comes back.

    Raises:
        NotReady: `timeout` seconds are over; says what was last in the way.
    """
    end = time.monotonic() + timeout
    last = "it was never asked"
    while (left := end - time.monotonic()) > 0:
        try:
            return await asyncio.wait_for(ask(), left)
        except (NotYet, aiohttp.ClientError, OSError) as error:
            last = str(error) or type(error).__name__
        await asyncio.sleep(EVERY)
    raise NotReady(f"{what} was not ready within {timeout:.0f} s: {last}.", object=what)
