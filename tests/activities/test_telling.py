"""What a step waits for goes out with its heartbeats, and not where nobody beats."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ExecuteActivityInput

from innkeeper.activities.frame import Frame
from innkeeper.activities.polling import IN_QUEUE
from innkeeper.activities.telling import LONGEST, waiting_for
from innkeeper.model.errors import Pending, Permanent

from .test_frame import Act


async def beats(
    act: Callable[[], Awaitable[Any]],
    heartbeat: float | None = 6.0,
    begun: datetime | None = None,
    first: datetime | None = None,
    attempt: int = 1,
    told_before: bool = True,
    fails: bool = False,
) -> list[tuple[Any, ...]]:
    """The details of an attempt's heartbeats.

    Args:
        begun: when Temporal handed it out; just now if nothing is said.
        first: when it handed out the first one, of a step whose time begins with that.
        told_before: later ones know of that.
        fails: the attempt does, and has to.
    """
    told: list[tuple[Any, ...]] = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: told.append(details)
    environment.info = dataclasses.replace(
        environment.info,
        started_time=begun or datetime.now(UTC),
        current_attempt_scheduled_time=begun or datetime.now(UTC),
        heartbeat_timeout=timedelta(seconds=heartbeat) if heartbeat else None,
        start_to_close_timeout=timedelta(seconds=600),
        schedule_to_close_timeout=IN_QUEUE + timedelta(seconds=600) if first else None,
        attempt=attempt,
        heartbeat_details=["", first.isoformat()] if first and attempt > 1 and told_before else [],
    )
    asked = ExecuteActivityInput(fn=act, args=[], executor=None, headers={})
    with pytest.raises(ApplicationError) if fails else contextlib.nullcontext():
        await environment.run(Frame().intercept_activity(Act(act)).execute_activity, asked)
    return told


async def saying() -> None:
    """Wait for three things, a second each."""
    for what in ("a node", "a volume", "a pod"):
        waiting_for(what)
        await asyncio.sleep(1)


async def test_what_is_waited_for_now_is_told_with_the_next_beat() -> None:
    told = await beats(saying, heartbeat=1.5)
    assert told[-1] == ("a pod",)


async def test_no_beat_is_sent_for_new_words() -> None:
    assert await beats(saying, heartbeat=60) == []


async def test_an_attempt_that_waits_for_nothing_beats_without_words() -> None:
    async def act() -> None:
        await asyncio.sleep(1)

    assert set(await beats(act, heartbeat=0.9)) == {()}


async def test_an_attempt_that_is_over_soon_says_nothing_at_all() -> None:
    async def act() -> None:
        waiting_for("a node")

    assert await beats(act) == []


async def test_an_attempt_that_was_taken_up_late_beats_at_once_to_hear_whether_it_was_given_to_another() -> None:
    async def act() -> None:
        await asyncio.sleep(0.1)

    assert await beats(act, begun=datetime.now(UTC) - timedelta(seconds=6)) == [()]


async def test_words_are_cut_and_lost_where_nobody_beats() -> None:
    async def act() -> None:
        waiting_for("x" * (LONGEST + 1))
        await asyncio.sleep(0.5)

    assert ("x" * LONGEST,) in await beats(act, heartbeat=0.9)
    assert await beats(act, heartbeat=None) == []


async def test_one_attempt_says_nothing_for_another() -> None:
    async def one() -> None:
        waiting_for("one")
        await asyncio.sleep(1)

    async def other() -> None:
        await asyncio.sleep(1)

    first, second = await asyncio.gather(beats(one, heartbeat=0.9), beats(other, heartbeat=0.9))
    assert ("one",) in first
    assert set(second) == {()}


@pytest.mark.parametrize("attempt", [1, 2])
async def test_an_attempt_that_is_to_be_tried_again_tells_the_next_one_since_when_the_steps_time_runs(
    attempt: int,
) -> None:
    async def act() -> None:
        waiting_for("a pod")
        raise Pending("not yet")

    now = datetime.now(UTC)
    first = now if attempt == 1 else now - timedelta(seconds=30)
    assert await beats(act, begun=now, first=first, attempt=attempt, fails=True) == [("a pod", first.isoformat())]


async def test_no_next_attempt_is_told_of_a_step_that_has_failed_for_good() -> None:
    async def act() -> None:
        raise Permanent("never")

    now = datetime.now(UTC)
    assert await beats(act, begun=now, first=now, fails=True) == []


async def test_the_time_of_a_step_whose_first_attempt_was_lost_without_a_word_is_counted_from_the_second() -> None:
    async def act() -> None:
        await asyncio.sleep(0.1)

    now = datetime.now(UTC)
    assert await beats(act, begun=now, first=now, attempt=2, told_before=False) == [("", now.isoformat())]
