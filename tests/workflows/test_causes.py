"""What a step's failure says where no error of ours is behind it."""

from __future__ import annotations

import asyncio

from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutType
from temporalio.exceptions import TimeoutError as TemporalTimeout

from innkeeper.model.errors import Cause
from innkeeper.workflows.causes import cause_of, error_type, is_cancelled


def of_activity(behind: BaseException) -> ActivityError:
    """What Temporal raises in a workflow where an activity ended by this."""
    error = ActivityError(
        "Activity task failed",
        scheduled_event_id=5,
        started_event_id=6,
        identity="worker",
        activity_type="ready",
        activity_id="1",
        retry_state=RetryState.TIMEOUT,
    )
    error.__cause__ = behind
    return error


def test_a_step_that_no_worker_ended_in_time_sends_to_the_workers() -> None:
    late = TemporalTimeout("late", type=TimeoutType.SCHEDULE_TO_CLOSE, last_heartbeat_details=[])
    for error in (late, of_activity(late)):
        assert cause_of(error, "ready") == Cause(
            code="Timeout",
            message="ready: not done in time",
            fix="look at the workers: is one running, and does it reach every part?",
        )
        assert error_type(error) == ""


def test_a_failure_that_says_no_more_than_its_words_keeps_them() -> None:
    told = of_activity(ApplicationError("no such activity", type="NotFoundError"))
    assert cause_of(told, "ready") == Cause(code="Failed", message="ready: no such activity")
    assert cause_of(ValueError("odd"), "ready") == Cause(code="Failed", message="ready: odd")


def test_a_cancellation_is_no_failure_of_the_step() -> None:
    gone = of_activity(asyncio.CancelledError())
    assert is_cancelled(gone)
    assert cause_of(gone, "ready") == Cause(code="Cancelled", message="cancelled during ready")
    assert cause_of(gone, "") == Cause(code="Cancelled", message="cancelled")
