"""Awaiting to the end what a cancellation must not stop: compensations, and the writes that end an operation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TypeVar

from temporalio.exceptions import FailureError

T = TypeVar("T")


async def uninterrupted(doing: Awaitable[T]) -> T:
    """Await to the end although the operation is cancelled meanwhile: one shield stops at the first cancellation."""
    task = asyncio.ensure_future(doing)
    while not task.done():
        # How it ended is told once it has: until then a cancellation is the operation's.
        with contextlib.suppress(asyncio.CancelledError, FailureError):
            await asyncio.shield(task)
    return task.result()
