"""Asking again where a part does not answer: of many cells at once, some find it busy, and that is no finding."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from innkeeper.model.errors import Transient

T = TypeVar("T")

PAUSES = (1.0, 3.0, 10.0, 10.0)
"""Seconds before each time that something is tried again."""


async def insist(act: Callable[[], Awaitable[T]]) -> T:
    """Do what may be done any number of times, until it is done.

    Raises:
        Transient: the last try failed, too.
    """
    for pause in PAUSES:
        try:
            return await act()
        except Transient:
            await asyncio.sleep(pause)
    return await act()
