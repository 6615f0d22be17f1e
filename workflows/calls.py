"""How workflows call activities: for how long, how often, and which of them as fast local ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Concatenate, TypeVar

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from ..activities import heavy_steps
    from ..activities.polling import FIRST_PAUSE, IN_QUEUE, LONGEST_PAUSE
    from ..model.errors import LATER
    from ..model.messages import Work

from . import causes
from .shield import unless_done

T = TypeVar("T")
Activity = Callable[Concatenate[Any, Work, ...], Awaitable[T]]

QUICK = timedelta(seconds=10)

QUICK_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    maximum_interval=timedelta(seconds=2),
    maximum_attempts=5,
    non_retryable_error_types=["Pending", LATER],
)
"""Some five seconds of attempts as a local activity, before the call becomes one that the UI shows and can pause.

They are counted, since the SDK retries local activities beyond their schedule_to_close timeout; an attempt that was
too slow (`Pending`), or was told to come back later, is not repeated.
"""

GRACE = timedelta(seconds=10)
"""Temporal's timeouts come this much after the step's own: it must have the time to say what it still waited for."""

HEARTBEAT = timedelta(seconds=5)
"""Without a sign of life for so long a step counts as lost with its worker, and is given to another one."""

RETRY = RetryPolicy(initial_interval=FIRST_PAUSE, maximum_interval=LONGEST_PAUSE)

UNDO_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30), maximum_attempts=30
)
"""Pauses of about a quarter of an hour in all, and what the attempts take, before an operator is asked.

Attempts are counted and not time: an undo that waits for a worker has not failed.
"""


async def attempt(
    name: str, act: Activity[T], work: Work, *, within: float, lasts: int = 1, goes_on: bool = False
) -> T:
    """One step: `within` seconds an attempt, `lasts` such spans in all, from when a worker has first taken it.

    Args:
        goes_on: the operation has had a heavy step: another one goes ahead of those that have not. No other step does:
            what waits for readiness would keep its place from all that has just been asked for.
    """
    span = timedelta(seconds=within)
    running = workflow.start_activity_method(
        act,
        work,
        task_queue=_queue_of(act),
        start_to_close_timeout=span + GRACE,
        schedule_to_close_timeout=IN_QUEUE + span * lasts + GRACE * 2,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=RETRY,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=f"{name} {work.instance}",
        priority=_turn_of(act, work, goes_on=goes_on),
    )
    return await unless_done(running)


async def undo(name: str, act: Activity[T], work: Work, *, within: float) -> T:
    """One undo: attempts of `within` seconds, until `UNDO_RETRY` is used up."""
    return await workflow.execute_activity_method(
        act,
        work,
        task_queue=_queue_of(act),
        start_to_close_timeout=timedelta(seconds=within) + GRACE,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=UNDO_RETRY,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=f"undo {name} of {work.instance}",
        priority=_turn_of(act, work, goes_on=True),
    )


def _queue_of(act: Callable[..., Any]) -> str | None:
    """Where a step waits for a worker; None: where its workflow does."""
    return heavy_steps.queue_of(workflow.info().task_queue) if heavy_steps.is_heavy(act) else None


def _turn_of(act: Callable[..., Any], work: Work, *, goes_on: bool) -> Priority:
    """The row's tenant: what asks for a stop need not name it, so Temporal does not know it from the request."""
    ahead = goes_on and heavy_steps.is_heavy(act)
    return Priority(priority_key=heavy_steps.AHEAD if ahead else None, fairness_key=work.tenant)


async def quick(
    name: str,
    act: Callable[[Any, Any], Awaitable[T]],
    argument: Any,
    *,
    instance: str,
    tenant: str | None = None,
    at_most: timedelta | None = None,
) -> T:
    """One fast call as a local activity; after some seconds of failure as a normal one, tried until it is done.

    Args:
        tenant: whose turn the normal one is; None: whose the request says.
        at_most: how long the normal one is tried; None: for ever.
    """
    try:
        return await workflow.execute_local_activity_method(
            act,
            argument,
            # No start_to_close_timeout: its timer outlives the activity, and panics in the SDK when a worker stops.
            schedule_to_close_timeout=QUICK,
            retry_policy=QUICK_RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
    except FailureError as error:
        # What a local activity raised comes without the wrapping that a normal one's has.
        found = causes.application_error(error)
        if causes.is_cancelled(error) or (found is not None and found.non_retryable):
            raise
        wish = found.next_retry_delay if found is not None else None
    if wish:
        await workflow.sleep(wish)
    return await workflow.execute_activity_method(
        act,
        argument,
        start_to_close_timeout=timedelta(seconds=60),
        schedule_to_close_timeout=at_most,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=RETRY,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=f"{name} {instance}",
        priority=Priority(fairness_key=tenant),
    )
