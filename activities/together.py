"""Calls of a step none of which needs another's answer, made at once: a step then takes as long as the longest."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def together(*calls: Coroutine[Any, Any, object]) -> None:
    """Make these calls at once, and wait until each has ended, also where one fails or the step is called off.

    So what was written is there when a failure is told: an undo that came earlier would not find it. Of a step that is
    called off a request that was sent may still be written later, as where it makes one call after the other.

    Raises:
        Exception: what the first of them raised that failed, in the order in which they are given.
    """
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
