"""How a request reaches its operation: one start on the instance's workflow ID, and what becomes of it where one runs.

Temporal allows one open run per ID, so the start itself is the exclusion; everything here only finds out whether
the run in the way is the caller's own, asked twice, and else whether the request may wait for its end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal, NamedTuple

from temporalio.client import Client
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from ..model.errors import BadInput, Busy
from ..model.messages import TASK_TIMEOUT, OperationResult, Request
from ..model.names import workflow_id_of
from . import runs, waiting
from .connection import ANSWER_WITHIN, is_unknown, silent
from .updates import Over
from .waiting import Turn

OnConflict = Literal["reject", "wait", "replace"]
"""What becomes of a request that meets another operation on its instance.

`reject` answers who runs; `wait` takes the one place behind it; `replace` takes that place from whoever has it, and
makes the running operation take back what it made.
"""

STARTS_AT_ONCE = 50
"""Of one client. Temporal takes a thousand one after the other however they come: each has its time to be answered from
when it is sent, and not from when it was asked for."""

SENT_WITHIN = 60.0
"""Seconds after which a request that could not be sent, since those before it are not answered, says so."""

ATTEMPTS = 6
"""Starts tried while operations end just as they are looked at: 0.6 s in all."""

LONGEST_SUMMARY = 200


class Place(NamedTuple):
    """Where a request has come to: its own run, or a turn to wait for."""

    instance: str
    run_id: str | None
    turn: Turn | None = None


async def deliver(
    client: Client,
    request: Request,
    task_queue: str,
    on_conflict: OnConflict = "reject",
    *,
    starts: asyncio.Semaphore | None = None,
    sent_within: float = SENT_WITHIN,
) -> Place:
    """Start the operation, or find where this request id has come to before, or let it wait.

    Args:
        starts: the places for starts that are under way at once; None: there is no limit.
        sent_within: seconds after which a request that has no such place yet gives up.

    Raises:
        BadInput: the request id was used with other arguments.
        Busy: another operation runs on the instance; where the request was to wait, another one waits already.
        Unreachable: the request was to wait, and no worker answered for the operation that runs; or it could not be
            sent for all those before it.
        temporalio.service.RPCError: Temporal did not answer, or refused the call itself.
    """
    for attempt in range(ATTEMPTS):
        try:
            async with _sending(client, starts, sent_within):
                return Place(request.instance, await _start(client, request, task_queue))
        except WorkflowAlreadyStartedError as met:
            place = await _meet(client, request, met.run_id or "", on_conflict)
        if place is not None:
            return place
        await asyncio.sleep(0.02 * 2**attempt)
    raise Busy(
        f"{request.instance}: other operations follow each other without a gap",
        object=request.instance,
        fix="ask again",
    )


async def find(client: Client, request_id: str, instance: str | None = None) -> Place | None:
    """Where a request has come to, None where Temporal knows of none.

    Args:
        instance: the request's; without it a request that waits behind a run is not found.

    Raises:
        temporalio.service.RPCError: Temporal did not answer.
    """
    if instance is not None:
        current = await runs.newest(client, workflow_id_of(instance))
        if current is not None and current.request_id == request_id:
            return Place(instance, current.run_id)
        if current is not None and current.running:
            known = await waiting.placed(client, instance, current.run_id, request_id)
            if known is not None:
                return Place(instance, None, Turn(client, known, current.run_id))
    turn = await waiting.handed_over(client, request_id)
    found = None if turn else await runs.named_by(client, request_id)
    if found is not None:
        return Place(found.instance, found.run_id)
    turn = turn or await waiting.handed_over(client, request_id, ended=True)
    return None if turn is None else Place(turn.request.instance, None, turn)


@contextlib.asynccontextmanager
async def _sending(client: Client, starts: asyncio.Semaphore | None, within: float) -> AsyncIterator[None]:
    if starts is None:
        yield
        return
    try:
        async with asyncio.timeout(within):
            await starts.acquire()
    except TimeoutError:
        raise silent(client, f"{STARTS_AT_ONCE} requests before this one have kept it for {within:g} s") from None
    try:
        yield
    finally:
        starts.release()


async def _start(client: Client, request: Request, task_queue: str) -> str:
    handle = await client.start_workflow(
        request.kind.workflow_type,
        request,
        id=workflow_id_of(request.instance),
        task_queue=task_queue,
        task_timeout=TASK_TIMEOUT,
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


async def _meet(client: Client, request: Request, run_id: str, on_conflict: OnConflict) -> Place | None:
    """What the run in the way means for the request; None where it has ended since."""
    try:
        met = await runs.describe(client, workflow_id_of(request.instance), run_id)
    except RPCError as error:
        if is_unknown(error):
            return None
        raise
    if met.request_id == request.request_id:
        return _own(met, request)
    if not met.running:
        return None
    earlier = await _earlier(client, request, met)
    if earlier is not None:
        return earlier
    if on_conflict == "reject":
        raise _busy(met)
    try:
        has_it = await waiting.take_place(client, request, met.run_id, replace=on_conflict == "replace")
    except Over:
        return None
    return _waits(client, has_it, request, met.run_id)


async def _earlier(client: Client, request: Request, met: runs.Run) -> Place | None:
    """Where the request has come to that was asked before, while another operation runs."""
    known = await waiting.placed(client, request.instance, met.run_id, request.request_id)
    if known is not None:
        return _waits(client, known, request, met.run_id)
    turn = await waiting.handed_over(client, request.request_id)
    if turn is not None:
        return _waits(client, turn.request, request, None)
    run = await runs.named_by(client, request.request_id)
    if run is not None and not await runs.was_refused(client, run):
        return _own(run, request)
    return None


def _own(run: runs.Run, request: Request) -> Place:
    if run.digest != request.digest:
        raise _mismatch(request, run.kind, run.instance)
    return Place(run.instance, run.run_id)


def _waits(client: Client, known: Request, request: Request, behind: str | None) -> Place:
    if known.digest != request.digest:
        raise _mismatch(request, known.kind, known.instance)
    return Place(request.instance, None, Turn(client, known, behind))


def _mismatch(request: Request, kind: str, instance: str) -> BadInput:
    return BadInput(
        "request_id",
        request.request_id,
        f"was used with other arguments ({kind} {instance})",
        fix="repeat the first request as it was, or choose a new request id",
        code="RequestMismatch",
    )


def _busy(met: runs.Run) -> Busy:
    since = f"{met.started_at:%H:%M:%S} UTC"
    return Busy(
        f"{met.instance}: {met.kind} runs since {since} (request {met.request_id or 'unknown'})",
        object=met.instance,
        fix="ask again when it has ended, let the request wait for that, or cancel what runs",
    )
