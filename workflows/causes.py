"""From what Temporal raises in a workflow to the cause a person reads: the only reader of exception chains."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError
from temporalio.exceptions import TimeoutError as TemporalTimeout

with workflow.unsafe.imports_passed_through():
    from ..model.errors import Cause
    from ..model.messages import OperationResult


def application_error(error: BaseException) -> ApplicationError | None:
    """The error that our own code raised, somewhere in the chain."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, ApplicationError):
        link = link.__cause__
    return link


def error_type(error: BaseException) -> str:
    """The name of our error's class; empty where the error is not ours."""
    found = application_error(error)
    return (found.type or "") if found else ""


def is_cancelled(error: BaseException) -> bool:
    """Whether the error says that the operation was cancelled, not that a step failed."""
    link: BaseException | None = error
    while isinstance(link, ActivityError):
        link = link.__cause__
    return isinstance(link, asyncio.CancelledError | CancelledError)


def cause_of(error: BaseException, step: str) -> Cause:
    """Why a step failed, for a person."""
    if is_cancelled(error):
        return Cause(code="Cancelled", message=f"cancelled during {step}" if step else "cancelled")
    found = application_error(error)
    if found is not None and found.details:
        return Cause.model_validate(found.details[0])
    late = isinstance(error, TemporalTimeout) or isinstance(error.__cause__, TemporalTimeout)
    return Cause(
        code="Timeout" if late else "Failed",
        message=f"{step}: not done in time" if late else f"{step}: {found.message if found else error}",
        fix="look at the workers: is one running, and does it reach every part?" if late else "",
    )


def failure_of(result: OperationResult) -> ApplicationError:
    """What an operation raises whose end is not a good one."""
    message = result.cause.message if result.cause else f"{result.kind} ended {result.outcome}"
    return ApplicationError(message, result, type="OperationFailed", non_retryable=True)
