"""Calls of a step none of which needs another's answer, made at once: a step then takes as long as the longest."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def together(*calls: Coroutine[Any, Any, object]) -> None:
    """Make these calls at once, and wait for all of them, also where one fails or the step is called off.

    What was written must be there when the step's end is told: an undo that came earlier would not find it.

    Raises:
        Exception: what the first of them raised that failed, in the order in which they are given.
    """
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
