"""What a step waits for goes out with its heartbeats, at once and again with each, and not where nobody beats."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio.testing import ActivityEnvironment
from temporalio.worker import ExecuteActivityInput

from innkeeper.activities.frame import Frame
from innkeeper.activities.telling import LONGEST, waiting_for

from .test_frame import Act


async def beats(act: Callable[[], Awaitable[Any]], heartbeat: float | None = 6.0) -> list[tuple[Any, ...]]:
    """The details of an attempt's heartbeats."""
    told: list[tuple[Any, ...]] = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: told.append(details)
    environment.info = dataclasses.replace(
        environment.info,
        heartbeat_timeout=timedelta(seconds=heartbeat) if heartbeat else None,
        start_to_close_timeout=timedelta(seconds=600),
        schedule_to_close_timeout=None,
    )
    asked = ExecuteActivityInput(fn=act, args=[], executor=None, headers={})
    await environment.run(Frame().intercept_activity(Act(act)).execute_activity, asked)
    return told


async def test_what_is_waited_for_is_told_at_once_and_with_every_beat_until_it_changes() -> None:
    async def act() -> None:
        waiting_for("a node")
        waiting_for("a node")
        await asyncio.sleep(3)
        waiting_for("a volume")

    told = await beats(act)
    assert told[0] == ("a node",)
    assert told[-1] == ("a volume",)
    assert 2 <= told.count(("a node",)) <= 3
    assert told.count(("a volume",)) == 1


async def test_an_attempt_that_waits_for_nothing_beats_without_words() -> None:
    async def act() -> None:
        await asyncio.sleep(0.1)

    assert await beats(act) == [()]


async def test_words_are_cut_and_lost_where_nobody_beats() -> None:
    async def act() -> None:
        waiting_for("x" * (LONGEST + 1))

    assert ("x" * LONGEST,) in await beats(act)
    assert await beats(act, heartbeat=None) == []


async def test_one_attempt_says_nothing_for_another() -> None:
    async def one() -> None:
        waiting_for("one")
        await asyncio.sleep(0.5)

    async def other() -> None:
        await asyncio.sleep(0.5)

    first, second = await asyncio.gather(beats(one), beats(other))
    assert ("one",) in first
    assert set(second) == {()}
