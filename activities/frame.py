"""What every activity gets around it: heartbeats, a deadline of its own, and errors that Temporal understands.

An attempt that was frozen (stopped, swapped out, its machine paused) gives itself up as soon as it goes on: Temporal
has heard nothing of it for so long that another attempt may run by now.

Here, and only here, the error tree is mapped to Temporal's retry behaviour: `Permanent` is not retried, `Transient`
is (after the answering part's own wish, if it has one), and so is everything unforeseen, whose text is withheld
since it may quote a secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from ..model.errors import LATER, BadInput, Cause, InnkeeperError, Pending, Permanent, Transient
from .polling import RESERVE, counts_since, next_pause, step_left, time_left
from .telling import begin

GRACE = timedelta(seconds=5)
"""How long before Temporal's timeout an activity's own deadline fires: Temporal's does not stop an activity."""

LOCAL_LIMIT = timedelta(seconds=5)
"""How long one attempt of a local activity may take: its worker holds the workflow's task all that time."""

FROZEN_AFTER = 0.8
"""The part of the heartbeat timeout without a beat after which an attempt gives up: beats are sent a little late."""

TAKEN_UP_WITHIN = timedelta(seconds=1)
"""From Temporal's handing out an attempt to its beginning here, unless this process was frozen or is out of breath."""

# Where the system has it, a clock that goes on while the machine sleeps.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

LONGEST_WISH = timedelta(minutes=1)
"""How much of a part's wish to be left alone is honoured: a wrong one must not put an operation to sleep for a day."""

SOON = timedelta(seconds=2)
"""What a fast call may wait for within the workflow's task. Who is to come later leaves it (`errors.LATER`)."""

_log = logging.getLogger(__name__)


class Frame(Interceptor):
    """Puts the frame around every activity of a worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Temporal's hook."""
        return _Framed(next)


class _Framed(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        limit = LOCAL_LIMIT + GRACE if info.is_local else time_left()
        # After the activity's own patience however short the time is: only the activity knows what is missing.
        own = None if limit is None else max(limit - GRACE, limit * 0.75).total_seconds()
        begun = time.monotonic()
        try:
            async with _heartbeats(info.heartbeat_timeout), asyncio.timeout(own):
                return await self.next.execute_activity(input)
        except TimeoutError:
            late = Pending(_late(info.activity_type, own or 0), fix="look at what it waits for, then ask again")
            raise to_temporal(late, local=info.is_local, left=step_left(begun)) from None
        except InnkeeperError as error:
            _log.warning("%s of %s: %s: %s", info.activity_type, info.workflow_id, error.cause.code, error)
            raise to_temporal(error, local=info.is_local, left=step_left(begun)) from None
        except ApplicationError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, its text must not reach a history
            raise _unforeseen(error, step_left(begun)) from None


def _late(step: str, own: float) -> str:
    if own <= 0:
        return f"{step}: its time was over when a worker took it again, since the attempt before this one was lost"
    return f"{step} was not done within {own:g} s"


def to_temporal(error: InnkeeperError, *, local: bool = False, left: timedelta | None = None) -> ApplicationError:
    """The error as Temporal carries it: its class's name as the type, its cause as the only detail.

    Where less will be `left` of the step than another attempt needs to say what it waited for, this is the step's last
    word: that one would only know that it had no time.
    """
    wish = timedelta(seconds=(error.retry_after or 0) if isinstance(error, Transient) else 0)
    pause = _pause(min(wish, LONGEST_WISH), left)
    kind = "BadInput" if isinstance(error, BadInput) else type(error).__name__
    return ApplicationError(
        error.cause.message,
        error.cause,
        type=LATER if local and wish > SOON else kind,
        non_retryable=isinstance(error, Permanent),
        # What was asked wrongly is no fault of the worker's: it shall not show in its logs and metrics as one.
        category=ApplicationErrorCategory.BENIGN
        if isinstance(error, BadInput)
        else ApplicationErrorCategory.UNSPECIFIED,
        next_retry_delay=pause,
    )


def _pause(wish: timedelta, left: timedelta | None) -> timedelta | None:
    """How long until the next attempt, None where that is for Temporal to say."""
    info = activity.info()
    if left is not None and left - (wish or next_pause(info.attempt)) < RESERVE:
        # Temporal ends a step by its last failure where the next attempt would begin after all that it gives the step.
        return (info.schedule_to_close_timeout or timedelta()) + LONGEST_WISH
    return wish or None


def _unforeseen(error: Exception, left: timedelta | None) -> ApplicationError:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno} in {frame.name}"
    _log.error("unforeseen %s at %s", type(error).__name__, where)
    cause = Cause(
        code="Unforeseen",
        message=f"{type(error).__name__} at {where}",
        fix="this is a defect of Innkeeper or of a library: report it with this line",
    )
    return ApplicationError(cause.message, cause, type="Unforeseen", next_retry_delay=_pause(timedelta(), left))


@contextlib.asynccontextmanager
async def _heartbeats(timeout: timedelta | None) -> AsyncIterator[None]:
    """Beat while the activity runs.

    Raises:
        Pending: this process was frozen for so long that the attempt counts as lost.
    """
    if not timeout:
        yield
        return
    limit = timeout.total_seconds()
    telling = begin(counts_since())
    life = asyncio.timeout(None)
    begun = time.clock_gettime(_CLOCK)

    async def beat(last: float) -> None:
        # The start of the attempt was its first sign of life, and most end before they have to give another. One that
        # was taken up late may have been given to another worker by now, and is told so. Where one before it was lost
        # without a word, the step's time is counted from this one at the latest, should it be lost as soon.
        info = activity.info()
        unheard = telling.counts and info.attempt > 1 and not info.heartbeat_details
        if datetime.now(UTC) - info.started_time < TAKEN_UP_WITHIN and not unheard:
            await asyncio.sleep(limit / 3)
        while time.clock_gettime(_CLOCK) - last < limit * FROZEN_AFTER:
            activity.heartbeat(*telling.details)
            last = time.clock_gettime(_CLOCK)
            await asyncio.sleep(limit / 3)
        life.reschedule(asyncio.get_running_loop().time())

    try:
        async with life:
            beating = asyncio.create_task(beat(begun))
            try:
                yield
            except Exception as error:
                if telling.counts and not isinstance(error, Permanent):
                    activity.heartbeat(*telling.details)  # What the next attempt has to know.
                raise
            finally:
                beating.cancel()
    except TimeoutError:
        if not life.expired():
            raise
        raise Pending(
            f"the attempt was frozen for longer than {limit * FROZEN_AFTER:g} s, so another one may run by now",
            code="Frozen",
            fix="it is tried again; look at the load of the worker's machine, and whether it was paused",
        ) from None
