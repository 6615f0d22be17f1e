"""Awaiting what a cancellation must not stop, or comes too late for: undos, and the writes that end an operation."""

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


async def unless_done(doing: asyncio.Future[T]) -> T:
    """Await, and cancel it with the operation, but not where it has ended by then: what is done is done.

    Both come together where Temporal refused the workflow's last task since somebody had just cancelled it: what that
    task did is done and written, and all of it is decided anew.
    """
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        if not doing.done():
            doing.cancel()
        return await doing
