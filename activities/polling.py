"""Waiting for what cannot be watched cheaply, within the activity's own patience."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from temporalio import activity

INTERVAL = 0.1
"""Seconds between two looks."""

RESERVE = timedelta(seconds=10)
"""Kept of an activity's time to say what is still missing once its patience is over."""

IN_QUEUE = timedelta(days=7)
"""What Temporal gives a step beyond its own time, which begins when a worker has first taken it: a thousand requests,
or an hour without workers, shall make none fail that was never begun. More than twice the longest deadline of a plan,
so that a step that was given no such time is known by that."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=200), timedelta(seconds=10)
"""Between two attempts of a step: each pause is twice the one before it, up to the longest."""


def next_pause(attempt: int) -> timedelta:
    """How long Temporal waits after this attempt, counted from 1, before it begins the next."""
    return min(FIRST_PAUSE * (1 << min(attempt - 1, 16)), LONGEST_PAUSE)


def time_left() -> timedelta | None:
    """How long Temporal gives this attempt: its own limit, or what earlier attempts have left of the step's."""
    info = activity.info()
    limits = [info.start_to_close_timeout] if info.start_to_close_timeout else []
    of_all = _left_at_start(info)
    if of_all is not None:
        limits.append(max(of_all, timedelta()))
    return min(limits, default=None)


def step_left(since: float) -> timedelta | None:
    """How much of all the step's attempts' time is left, for an attempt that began at `since` (`time.monotonic`)."""
    info = activity.info()
    left = None if info.is_local else _left_at_start(info)
    return None if left is None else left - timedelta(seconds=time.monotonic() - since)


def counts_since() -> datetime | None:
    """Since when this step's time counts, by Temporal's clock; None where that is when it was asked for.

    That is when a worker first took it, and so much later as attempts after that waited for one. Attempts tell it to
    those after them (`telling`). Of one that was lost before it could, nothing is counted.
    """
    info = activity.info()
    if info.is_local or not info.schedule_to_close_timeout or info.schedule_to_close_timeout <= IN_QUEUE:
        return None
    told = info.heartbeat_details[1:2]
    if not told:
        return info.started_time
    queued = info.started_time - info.current_attempt_scheduled_time
    return datetime.fromisoformat(told[0]) + max(queued, timedelta())


def _left_at_start(info: activity.Info) -> timedelta | None:
    """How much of all the step's attempts' time was left when this one began; None where it has no end."""
    if not info.schedule_to_close_timeout:
        return None
    # All stamps are the server's.
    since = counts_since()
    if since is None:
        return info.schedule_to_close_timeout - (info.started_time - info.scheduled_time)
    return info.schedule_to_close_timeout - IN_QUEUE - (info.started_time - since)


def patience() -> float:
    """Seconds an activity may wait before it must say what it waits for."""
    limit = time_left()
    limit = timedelta(minutes=1) if limit is None else limit
    return max(limit - RESERVE, limit / 2).total_seconds()


async def until(
    condition: Callable[[], Awaitable[bool]], *, at_most: float, every: float = INTERVAL, first: float = 0.0
) -> bool:
    """Look until the condition holds; False where it did not within `at_most` seconds.

    Args:
        condition: what is looked at.
        at_most: seconds.
        every: seconds between two looks.
        first: seconds before the first look; each pause after it is twice the one before, up to `every`.
    """
    pause = first
    try:
        async with asyncio.timeout(at_most):
            await asyncio.sleep(pause)
            while not await condition():
                pause = min(2 * pause, every) or every
                await asyncio.sleep(pause)
    except TimeoutError:
        return False
    return True
