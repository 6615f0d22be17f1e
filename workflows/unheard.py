"""A claim that a history does not hold: made by a task that was lost with its worker, or that Temporal refused."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from ..activities.records import Records
    from ..model.messages import Request

from . import calls, causes

REFUSALS_LOOK = "refusals-look-for-a-claim"

PATIENCE = timedelta(seconds=30)
"""How long the rows are asked before a refusal is told. A cancellation is owed the answer, however late."""


async def is_claimed(request: Request, error: BaseException) -> bool:
    """Whether the rows hold a claim of a request that comes to a bad end without one.

    Args:
        request: the operation's.
        error: how it ends. A refusal of the claim itself is the claim's answer; so is one of a check that the rows
            cannot be asked after.
    """
    if causes.is_cancelled(error):
        return await calls.quick("claimed", Records.claimed, request, instance=request.instance)
    answered = not isinstance(error, FailureError) or causes.error_type(error) == "Refused"
    if answered or not workflow.patched(REFUSALS_LOOK):
        return False
    try:
        return await calls.quick("claimed", Records.claimed, request, instance=request.instance, at_most=PATIENCE)
    except FailureError:
        return False
