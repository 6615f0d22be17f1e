"""What comes after an operation: the one request that may wait for its end, and who loses that place to another."""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from ..model.errors import BadInput, Busy, Cause
    from ..model.messages import HANDOVER_WORKFLOW, TASK_TIMEOUT, HandOver, NextRequest, Request
    from ..model.names import handover_id_of

INSTANCE = SearchAttributeKey.for_keyword("InnkeeperInstance")

ENDED = "Ended"
"""Type of the error that says: too late to wait for this operation, ask anew."""


class Succession:
    """The place behind one operation."""

    def __init__(self, own: Request) -> None:
        self.waiting: Request | None = None
        self._own = own
        self._closed = False

    def refuse(self, wanted: NextRequest, because: Cause | None = None) -> None:
        """Pass only a request that can have the place, and which nothing else speaks against.

        Args:
            wanted: the request.
            because: why it could not begin afterwards.

        Raises:
            ApplicationError: of the type `Ended`, `Busy` (somebody waits already) or `BadInput`.
        """
        request = wanted.request
        if self._closed:
            raise ApplicationError("the operation has ended", type=ENDED, non_retryable=True)
        if request.instance != self._own.instance:
            raise _as(BadInput("name", request.instance, "is another instance", fix="ask that one"))
        if because is not None:
            raise ApplicationError(because.message, because, type="BadInput", non_retryable=True)
        known = self.waiting
        if known is None:
            return
        if known.request_id == request.request_id:
            if known.digest != request.digest:
                raise _as(
                    BadInput(
                        "request_id",
                        request.request_id,
                        f"was used with other arguments ({known.kind} {known.instance})",
                        fix="repeat the first request as it was, or choose a new request id",
                        code="RequestMismatch",
                    )
                )
        elif not wanted.replace:
            raise _as(
                Busy(
                    f"{known.instance}: {known.kind} waits already (request {known.request_id})",
                    object=known.instance,
                    fix="ask again when it has ended, or replace it",
                )
            )

    async def take(self, wanted: NextRequest) -> Request:
        """Give the place to a request that `refuse` let pass; who had it before is told that it lost it."""
        displaced, self.waiting = self.waiting, wanted.request
        if displaced is not None and displaced.request_id != wanted.request.request_id:
            by = wanted.request
            told = Cause(
                code="Displaced",
                message=f"{displaced.kind} {displaced.instance} lost its place to {by.kind} (request {by.request_id})",
                object=displaced.instance,
                fix="ask again with a new request id if it is still wanted",
            )
            await _start(HandOver(request=displaced, displaced=told))
        return wanted.request

    async def hand_over(self) -> None:
        """As an operation's last act: start the delivery of whoever waits, and let nobody wait any more."""
        await workflow.wait_condition(workflow.all_handlers_finished)
        while self.waiting is not None:
            request, self.waiting = self.waiting, None
            await _start(HandOver(request=request))
            # While that started, others may have come, and displaced each other.
            await workflow.wait_condition(workflow.all_handlers_finished)
        self._closed = True


async def _start(wanted: HandOver) -> None:
    request = wanted.request
    try:
        await workflow.start_child_workflow(
            HANDOVER_WORKFLOW,
            wanted,
            id=handover_id_of(request.request_id),
            task_timeout=TASK_TIMEOUT,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"hand over to {request.kind} {request.instance}",
            memo={"request": request},
            search_attributes=TypedSearchAttributes([SearchAttributePair(INSTANCE, request.instance)]),
        )
    except WorkflowAlreadyStartedError:
        # This very request is being delivered already: the same id is the same request.
        return


def _as(error: BadInput | Busy) -> ApplicationError:
    return ApplicationError(error.cause.message, error.cause, type=type(error).__name__, non_retryable=True)
