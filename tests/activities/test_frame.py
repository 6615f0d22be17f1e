"""An attempt that was frozen gives itself up when it goes on: by then another one may run elsewhere."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import selectors
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from innkeeper.activities.frame import Frame
from innkeeper.activities.polling import IN_QUEUE, patience
from innkeeper.model.errors import Pending, Unreachable

HERE = str(Path(__file__).parent)
PATIENCE = 30.0
HEARTBEAT = 1.0


class Act(ActivityInboundInterceptor):
    """An activity at the end of the chain of interceptors."""

    def __init__(self, act: Callable[[], Awaitable[Any]]) -> None:
        self._act = act

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        return await self._act()


async def framed(
    act: Callable[[], Awaitable[Any]],
    heartbeat: float | None = HEARTBEAT,
    limit: float = 600,
    in_all: float | None = None,
    gone: float = 0,
    attempt: int = 1,
    queued: float | None = None,
    again: float = 0,
) -> Any:
    """How an attempt ends that is framed as a worker frames it, `gone` seconds after the first one began.

    That one was in the queue for `queued` seconds, and this one for `again` more; None: the queue's time is the step's.
    """
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info,
        attempt=attempt,
        heartbeat_timeout=timedelta(seconds=heartbeat) if heartbeat else None,
        start_to_close_timeout=timedelta(seconds=limit),
        schedule_to_close_timeout=timedelta(seconds=in_all) if in_all else None,
        started_time=environment.info.scheduled_time + timedelta(seconds=gone),
    )
    if queued is not None:
        first = environment.info.scheduled_time + timedelta(seconds=queued)
        environment.info = dataclasses.replace(
            environment.info,
            schedule_to_close_timeout=IN_QUEUE + timedelta(seconds=in_all or 0),
            started_time=first + timedelta(seconds=gone + again),
            current_attempt_scheduled_time=first + timedelta(seconds=gone),
            heartbeat_details=["", first.isoformat()] if attempt > 1 else [],
        )
    asked = ExecuteActivityInput(fn=act, args=[], executor=None, headers={})
    return await environment.run(Frame().intercept_activity(Act(act)).execute_activity, asked)


async def test_an_attempt_that_blocked_its_worker_for_longer_than_its_heartbeats_may_take_gives_itself_up() -> None:
    went_on = []

    async def act() -> None:
        await asyncio.sleep(0)
        time.sleep(HEARTBEAT * 1.5)  # noqa: ASYNC251  # this is what must not be
        await asyncio.sleep(PATIENCE)
        went_on.append(True)

    with pytest.raises(ApplicationError, match="was frozen") as given_up:
        await framed(act)
    assert (given_up.value.type, given_up.value.non_retryable) == ("Pending", False)
    assert given_up.value.details[0].code == "Frozen"
    assert went_on == []


async def test_what_an_activity_tells_temporal_in_its_own_words_is_passed_on_as_it_is() -> None:
    own = ApplicationError("told", "detail", type="Own", non_retryable=True)

    async def act() -> None:
        raise own

    with pytest.raises(ApplicationError) as told:
        await framed(act)
    assert told.value is own


async def test_a_short_pause_is_none() -> None:
    async def act() -> str:
        for _ in range(3):
            time.sleep(0.2)  # noqa: ASYNC251  # as a busy worker does
            await asyncio.sleep(0.01)
        return "done"

    assert await framed(act, heartbeat=10) == "done"


async def test_an_attempt_without_heartbeats_is_lost_to_nobody() -> None:
    async def act() -> str:
        time.sleep(0.1)  # noqa: ASYNC251  # nobody counts
        await asyncio.sleep(0)
        return "done"

    assert await framed(act, heartbeat=None) == "done"


async def test_an_attempt_that_ends_by_a_timeout_of_its_own_was_not_frozen() -> None:
    async def act() -> None:
        await asyncio.sleep(PATIENCE)

    with pytest.raises(ApplicationError, match=r"was not done within 0\.15 s") as late:
        await framed(act, heartbeat=10, limit=0.2)
    assert late.value.details[0].code == "Pending"


@pytest.mark.parametrize(("gone", "said"), [(9.8, r"was not done within 0\.15 s"), (11, "its time was over")])
async def test_a_later_attempt_ends_before_the_time_that_all_of_them_have(gone: float, said: str) -> None:
    async def act() -> None:
        await asyncio.sleep(PATIENCE)

    with pytest.raises(ApplicationError, match=said) as late:
        await framed(act, heartbeat=10, in_all=10, gone=gone)
    assert late.value.details[0].code == "Pending"


FIRST = [(1, 0, False), (1, 9, False), (1, 11, True), (1, 30, True)]
LATER = [(2, 9, False), (2, 11, True), (2, 30, True), (6, 3, False), (6, 4, True), (60, 1, True)]


@pytest.mark.parametrize(
    ("attempt", "gone", "last", "queued"),
    [
        *((*case, None) for case in (*FIRST, *LATER)),
        *((*case, queued) for case in ((1, 0, False), *LATER) for queued in (0, 86_400)),
    ],
)
async def test_a_failure_after_which_another_attempt_would_have_no_time_is_the_steps_last_word(
    attempt: int, gone: float, last: bool, queued: float | None
) -> None:
    async def act() -> None:
        raise Pending("Pod inn-acme/db-0 is still there")

    with pytest.raises(ApplicationError, match="is still there") as told:
        await framed(act, heartbeat=10, in_all=20, gone=gone, attempt=attempt, queued=queued)
    pause = told.value.next_retry_delay
    by_temporal = timedelta(seconds=20 - gone) + (IN_QUEUE if queued is not None else timedelta())
    assert (pause is not None and pause > by_temporal) is last


@pytest.mark.parametrize("queued", [None, 0])
@pytest.mark.parametrize("fails", ["late", "unforeseen"])
async def test_a_step_out_of_time_ends_also_by_what_it_was_not_done_for_or_nobody_foresaw(
    fails: str, queued: float | None
) -> None:
    async def act() -> None:
        if fails == "unforeseen":
            raise ZeroDivisionError
        await asyncio.sleep(PATIENCE)

    with pytest.raises(ApplicationError) as told:
        await framed(act, heartbeat=10, in_all=20, gone=20, attempt=2, queued=queued)
    by_temporal = IN_QUEUE if queued is not None else timedelta()
    assert told.value.next_retry_delay is not None
    assert told.value.next_retry_delay > by_temporal


async def test_a_steps_time_begins_when_a_worker_takes_it_however_long_it_was_queued() -> None:
    async def act() -> float:
        return patience()

    assert await framed(act, heartbeat=10, in_all=30, queued=86_400) == pytest.approx(20)
    assert await framed(act, heartbeat=10, in_all=30, queued=86_400, gone=15, attempt=2) == pytest.approx(7.5)
    assert await framed(act, heartbeat=10, in_all=30, queued=86_400, gone=31, attempt=2) == 0


async def test_an_attempt_that_waits_for_a_worker_again_loses_none_of_the_steps_time() -> None:
    async def act() -> float:
        return patience()

    assert await framed(act, heartbeat=10, in_all=30, queued=60, gone=5, again=3_600, attempt=2) == pytest.approx(15)


async def test_a_step_whose_attempts_were_lost_until_its_time_was_over_says_so() -> None:
    async def act() -> None:
        await asyncio.sleep(PATIENCE)

    with pytest.raises(ApplicationError, match="its time was over when a worker took it again"):
        await framed(act, heartbeat=10, in_all=20, queued=0, gone=30, attempt=2)


class Skipping(selectors.SelectSelector):
    """Waits for nothing: the time until the next timer is over at once."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.skipped += timeout or 0
        return super().select(0)


class TimersOnly(asyncio.SelectorEventLoop):
    """A loop on which time passes from timer to timer, so that no two are late together on a busy machine."""

    def __init__(self) -> None:
        self._skipping = Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.skipped


@pytest.mark.parametrize("limit", [0.1, 0.4, 2.0])
def test_an_attempt_says_what_it_waits_for_before_it_is_out_of_time_however_little_it_has(limit: float) -> None:
    async def act() -> None:
        try:
            async with asyncio.timeout(patience()):
                await asyncio.sleep(PATIENCE)
        except TimeoutError:
            raise Pending("Pod inn-acme/db-0 is still there") from None

    with asyncio.Runner(loop_factory=TimersOnly) as runner, pytest.raises(ApplicationError, match="is still there"):
        runner.run(framed(act, heartbeat=10, in_all=limit))


CHILD = """
import asyncio, os, sys
from temporalio.exceptions import ApplicationError
sys.path.insert(0, {folder!r})
from test_frame import framed

async def act():
    print("works", flush=True)
    await asyncio.sleep(600)

try:
    asyncio.run(framed(act))
except ApplicationError as error:
    print(error.details[0].code, flush=True)
"""


async def test_a_worker_that_is_stopped_and_goes_on_gives_its_attempts_up() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD.format(folder=HERE), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        assert await asyncio.wait_for(child.stdout.readline(), PATIENCE) == b"works\n"
        os.kill(child.pid, signal.SIGSTOP)
        await asyncio.sleep(HEARTBEAT * 1.5)
        os.kill(child.pid, signal.SIGCONT)
        assert await asyncio.wait_for(child.stdout.readline(), PATIENCE) == b"Frozen\n"
    finally:
        child.kill()
        await child.wait()


@pytest.mark.parametrize(("wish", "kept"), [(7.0, 7), (86_400.0, 60), (0.0, None), (None, None)])
async def test_a_parts_wish_to_be_left_alone_is_kept_for_a_minute_at_the_most(
    wish: float | None, kept: int | None
) -> None:
    async def act() -> None:
        raise Unreachable("too many requests", retry_after=wish)

    with pytest.raises(ApplicationError) as told:
        await framed(act)
    assert told.value.next_retry_delay == (timedelta(seconds=kept) if kept else None)
    assert (told.value.type, told.value.non_retryable) == ("Unreachable", False)
