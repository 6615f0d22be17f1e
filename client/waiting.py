"""Requests that wait for their turn: behind a run, then in a hand-over, and at last in a run of their own.

The place behind a run is an update of it, whose id is the request's; a hand-over is a workflow, named by the request.
Temporal itself answers for both, without a worker.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.update.v1 import UpdateRef
from temporalio.api.workflowservice.v1 import PollWorkflowExecutionUpdateRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from ..model.errors import Cause, Refused
from ..model.messages import NEXT_UPDATE, Delivered, NextRequest, Request
from ..model.names import handover_id_of, workflow_id_of
from . import runs, updates
from .connection import ANSWER_WITHIN, is_unknown

_QUICKEST, _SLOWEST = 0.1, 2.0
"""Seconds between two looks whether a waiting request has lost its place."""


class _HandOver(NamedTuple):
    """A hand-over as Temporal describes it."""

    request: Request
    run_id: str
    after: str | None
    """The run that started it."""
    running: bool


async def placed(client: Client, instance: str, run_id: str, request_id: str) -> Request | None:
    """The request that was given the place behind this run under this id, None where none was.

    Raises:
        temporalio.service.RPCError: Temporal did not answer.
    """
    workflow_id = workflow_id_of(instance)
    execution = WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
    reference = UpdateRef(workflow_execution=execution, update_id=request_id)
    # Asked for without a stage to wait for: it answers with what is known now.
    asked = PollWorkflowExecutionUpdateRequest(namespace=client.namespace, update_ref=reference)
    try:
        known = await client.workflow_service.poll_workflow_execution_update(asked, timeout=ANSWER_WITHIN)
    except RPCError as error:
        if is_unknown(error):
            return None
        raise
    if not known.outcome.HasField("success"):
        return None
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    told: Request = await handle.get_update_handle(request_id, workflow_run_id=run_id, result_type=Request).result()
    return told


async def take_place(client: Client, request: Request, run_id: str, *, replace: bool) -> Request:
    """Ask the run for the place behind it; the request that has it under this id, which may be an earlier one.

    Raises:
        Busy: another request waits there.
        Unreachable: no worker answered.
        updates.Over: the run has ended.
        temporalio.service.RPCError: Temporal did not answer.
    """
    wanted = NextRequest(request=request, replace=replace)
    return await updates.ask(
        client, request.instance, run_id, NEXT_UPDATE, wanted, Request, update_id=request.request_id
    )


async def handed_over(client: Client, request_id: str, *, ended: bool = False) -> Turn | None:
    """The turn of a request whose hand-over is under way, with `ended` of one whose hand-over is over, too.

    Raises:
        temporalio.service.RPCError: Temporal did not answer.
    """
    found = await _hand_over(client, request_id)
    return Turn(client, found.request) if found is not None and (found.running or ended) else None


class Turn:
    """What a waiting request's handle holds on to until there is a run."""

    def __init__(self, client: Client, request: Request, behind: str | None = None) -> None:
        self.request = request
        self._client = client
        self._behind = behind
        """The run whose end is waited for; None where it is known that its end has come."""

    async def come(self) -> str:
        """Wait for the turn; the id of the request's own run.

        Raises:
            Refused: the request lost its place, or its hand-over was lost.
            temporalio.service.RPCError: Temporal did not answer.
        """
        ended = asyncio.create_task(self._until_ended())
        interval, over = _QUICKEST, False
        try:
            while True:
                found = await self._own_hand_over()
                if found is not None:
                    return await self._delivered(found)
                if over:
                    raise self._lost()
                over = bool((await asyncio.wait({ended}, timeout=interval))[0])
                if over:
                    await ended
                interval = min(_SLOWEST, interval * 1.5)
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    async def look(self) -> str | None:
        """The id of the request's own run, None while it waits. Raises as `come` does."""
        over = await self._before() is None
        found = await self._own_hand_over()
        if found is None and over:
            raise self._lost()
        return None if found is None or found.running else await self._delivered(found)

    async def waits_for(self) -> str:
        """What has to happen first, for people. Raises RPCError as `come` does."""
        before = await self._before()
        if before is None:
            return "its turn"
        parked = ", which is parked," if before.parked else ""
        return f"{before.kind} {before.instance} (request {before.request_id}){parked} to end"

    async def _before(self) -> runs.Run | None:
        """The run that is waited for, None where it has ended."""
        if self._behind is None:
            return None
        try:
            run = await runs.describe(self._client, workflow_id_of(self.request.instance), self._behind)
        except RPCError as error:
            if is_unknown(error):
                return None
            raise
        return run if run.running else None

    async def _until_ended(self) -> None:
        if self._behind is None:
            return
        handle = self._client.get_workflow_handle(workflow_id_of(self.request.instance), run_id=self._behind)
        try:
            await handle.result(follow_runs=False)
        except WorkflowFailureError:
            return
        except RPCError as error:
            if not is_unknown(error):
                raise

    async def _own_hand_over(self) -> _HandOver | None:
        """The hand-over that is this turn's: an earlier turn of the same request may have left one, too."""
        found = await _hand_over(self._client, self.request.request_id)
        return found if found and (found.running or self._behind in (None, found.after)) else None

    async def _delivered(self, found: _HandOver) -> str:
        handle = self._client.get_workflow_handle(
            handover_id_of(self.request.request_id), run_id=found.run_id, result_type=Delivered
        )
        try:
            told: Delivered = await handle.result(follow_runs=False)
        except WorkflowFailureError as error:
            cause = error.cause
            if isinstance(cause, ApplicationError) and cause.type == Refused.__name__ and cause.details:
                raise Refused.of(Cause.model_validate(cause.details[0])) from error
            raise self._lost() from error
        return told.run_id

    def _lost(self) -> Refused:
        request = self.request
        return Refused(
            f"{request.kind} {request.instance} was not handed over: what it waited for was ended by force",
            code="HandoverLost",
            object=request.instance,
            fix=f"ask again with the same request id ({request.request_id})",
        )


async def _hand_over(client: Client, request_id: str) -> _HandOver | None:
    handle = client.get_workflow_handle(handover_id_of(request_id))
    try:
        found = await handle.describe(rpc_timeout=ANSWER_WITHIN)
    except RPCError as error:
        if is_unknown(error):
            return None
        raise
    return _HandOver(
        request=await found.memo_value("request", type_hint=Request),
        run_id=found.run_id,
        after=found.parent_run_id,
        running=found.status is WorkflowExecutionStatus.RUNNING,
    )
