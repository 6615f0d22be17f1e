"""Hand-over: the durable delivery of a request that waited, when the operation before it has ended.

It is detached from that operation, so that each keeps a run, a result and a history of its own, and whoever asked
may be gone by then.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from ..activities.requests import Requests
    from ..model.messages import HANDOVER_WORKFLOW, Delivered, HandOver

from . import calls, causes


@workflow.defn(name=HANDOVER_WORKFLOW)
class HandingOver:
    """Starts the operation of a request that waited, or tells it that it lost its place."""

    @workflow.run
    async def run(self, wanted: HandOver) -> Delivered:
        """Deliver, for as long as it takes."""
        if wanted.displaced is not None:
            raise ApplicationError(wanted.displaced.message, wanted.displaced, type="Refused", non_retryable=True)
        request = wanted.request
        try:
            return await calls.quick("deliver", Requests.deliver, request, instance=request.instance)
        except FailureError as error:
            cause = causes.cause_of(error, "deliver")
            raise ApplicationError(cause.message, cause, type="Refused", non_retryable=True) from None
