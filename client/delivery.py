"""How a request reaches its operation: one start on the instance's workflow ID, and what to say where one runs.

Temporal allows one open run per ID, so the start itself is the exclusion; everything here only finds out whether
the run in the way is the caller's own, asked twice.
"""

from __future__ import annotations

import asyncio

from temporalio.client import Client
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from ..model.errors import BadInput, Busy
from ..model.messages import OperationResult, Request
from ..model.names import workflow_id_of
from . import runs
from .connection import ANSWER_WITHIN

ATTEMPTS = 6
"""Starts tried while operations end just as they are looked at: 0.6 s in all."""

LONGEST_SUMMARY = 200


async def deliver(client: Client, request: Request, task_queue: str) -> str:
    """Start the operation, or find the run that this request id has started before; the run's id.

    Raises:
        BadInput: the request id was used with other arguments.
        Busy: another operation runs on the instance.
        temporalio.service.RPCError: Temporal did not answer, or refused the call itself.
    """
    for attempt in range(ATTEMPTS):
        try:
            return await _start(client, request, task_queue)
        except WorkflowAlreadyStartedError as met:
            run_id = await _meet(client, request, met.run_id or "")
        if run_id is not None:
            return run_id
        await asyncio.sleep(0.02 * 2**attempt)
    raise Busy(
        f"{request.instance}: other operations follow each other without a gap",
        object=request.instance,
        fix="ask again",
    )


async def _start(client: Client, request: Request, task_queue: str) -> str:
    handle = await client.start_workflow(
        request.kind.workflow_type,
        request,
        id=workflow_id_of(request.instance),
        task_queue=task_queue,
        result_type=OperationResult,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        search_attributes=runs.search_attributes(request),
        memo=runs.memo(request),
        static_summary=summary(request),
        priority=Priority(fairness_key=request.tenant),
        rpc_timeout=ANSWER_WITHIN,
    )
    return str(handle.result_run_id)


def summary(request: Request) -> str:
    """One line for Temporal's UI, e.g. ``provision acme for tenant t1 on plan starter``."""
    tenant = f" for tenant {request.tenant}" if request.tenant else ""
    plan = f" on plan {request.plan}" if request.plan else ""
    return f"{request.kind.value} {request.instance}{tenant}{plan}"[:LONGEST_SUMMARY]


async def _meet(client: Client, request: Request, run_id: str) -> str | None:
    """What the run in the way means for the request: its own run's id, or None where the run has ended since."""
    try:
        met = await runs.describe(client, workflow_id_of(request.instance), run_id)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    if met.request_id == request.request_id:
        return _own(met, request)
    if not met.running:
        return None
    earlier = await runs.named_by(client, request.request_id)
    if earlier is not None and not await runs.was_refused(client, earlier):
        return _own(earlier, request)
    raise _busy(met)


def _own(run: runs.Run, request: Request) -> str:
    if run.digest != request.digest:
        raise BadInput(
            "request_id",
            request.request_id,
            f"was used with other arguments ({run.kind} {run.instance})",
            fix="repeat the first request as it was, or choose a new request id",
            code="RequestMismatch",
        )
    return run.run_id


def _busy(met: runs.Run) -> Busy:
    since = f"{met.started_at:%H:%M:%S} UTC"
    return Busy(
        f"{met.instance}: {met.kind} runs since {since} (request {met.request_id or 'unknown'})",
        object=met.instance,
        fix="ask again when it has ended, or cancel it",
    )
