"""What Temporal remembers about an operation's run beside its history, and how a request id finds it again.

The memo carries what a second request must be compared with; the search attributes what people and sweeps look for.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError

from ..model.errors import Refused
from ..model.messages import Request
from ..model.names import WORKFLOW_PREFIX
from .connection import ANSWER_WITHIN, is_unknown
from .endings import ending_of

INSTANCE = SearchAttributeKey.for_keyword("InnkeeperInstance")
TENANT = SearchAttributeKey.for_keyword("InnkeeperTenant")
KIND = SearchAttributeKey.for_keyword("InnkeeperKind")
REQUEST = SearchAttributeKey.for_keyword("InnkeeperRequest")
PARKED = SearchAttributeKey.for_bool("InnkeeperParked")


def search_attributes(request: Request) -> TypedSearchAttributes:
    """What the run can be found by from its first moment on."""
    pairs = [
        SearchAttributePair(INSTANCE, request.instance),
        SearchAttributePair(KIND, request.kind.value),
        SearchAttributePair(REQUEST, request.request_id),
    ]
    if request.tenant is not None:
        pairs.append(SearchAttributePair(TENANT, request.tenant))
    return TypedSearchAttributes(pairs)


def memo(request: Request) -> dict[str, str]:
    """What a later request is compared with."""
    return {
        "request_id": request.request_id,
        "digest": request.digest,
        "kind": request.kind.value,
        "asked_by": request.asked_by,
    }


class Run(NamedTuple):
    """One run of an operation's workflow as Temporal lists it."""

    instance: str
    run_id: str
    request_id: str
    digest: str
    kind: str
    """The operation's kind, or the workflow's type in lower case where somebody else started it."""
    asked_by: str
    tenant: str | None
    parked: bool
    status: WorkflowExecutionStatus
    started_at: datetime
    ended_at: datetime | None

    @property
    def running(self) -> bool:
        """It had not ended when Temporal was asked."""
        return self.status is WorkflowExecutionStatus.RUNNING

    @classmethod
    async def of(cls, execution: WorkflowExecution) -> Run:
        """Read a run's memo and times."""
        told = await execution.memo()
        return cls(
            instance=execution.id.removeprefix(WORKFLOW_PREFIX),
            run_id=execution.run_id,
            request_id=told.get("request_id", ""),
            digest=told.get("digest", ""),
            kind=told.get("kind", execution.workflow_type.lower()),
            asked_by=told.get("asked_by", ""),
            tenant=execution.typed_search_attributes.get(TENANT),
            parked=bool(execution.typed_search_attributes.get(PARKED)),
            status=execution.status or WorkflowExecutionStatus.RUNNING,
            started_at=execution.start_time,
            ended_at=execution.close_time,
        )


async def describe(client: Client, workflow_id: str, run_id: str) -> Run:
    """One run by its id."""
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    return await Run.of(await handle.describe())


async def newest(client: Client, workflow_id: str) -> Run | None:
    """The run that goes on under an id, else its last, None where Temporal knows none: its own view, never late."""
    handle = client.get_workflow_handle(workflow_id)
    try:
        return await Run.of(await handle.describe(rpc_timeout=ANSWER_WITHIN))
    except RPCError as error:
        if is_unknown(error):
            return None
        raise


async def latest(client: Client, workflow_id: str) -> Run | None:
    """The run that goes on under an id, else its last; None where Temporal knows none.

    A refused run touched nothing, so the one before it counts: a typo must not hide the failure one wants to read.
    """
    last = await newest(client, workflow_id)
    if last is None or last.running or not await was_refused(client, last):
        return last
    async for each in client.list_workflows(f"WorkflowId = '{workflow_id}'"):
        run = await Run.of(each)
        if not await was_refused(client, run):
            return run
    return last


async def named_by(client: Client, request_id: str) -> Run | None:
    """The run that a request id stands for, None where Temporal knows none.

    Usually there is one. A request asked again after its end starts another, which repeats the stored outcome or
    is refused; so a running one comes first, then one that ended well, then one that failed, then a refused one.
    A checked request id holds no quotes, so it stands in the query as it is.
    """
    found = [await Run.of(each) async for each in client.list_workflows(f"{REQUEST.name} = '{request_id}'")]
    found.sort(key=lambda run: run.started_at, reverse=True)
    for status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED):
        for run in found:
            if run.status is status:
                return run
    for run in reversed(found):
        if len(found) == 1 or not await was_refused(client, run):
            return run
    return found[0] if found else None


async def was_refused(client: Client, run: Run) -> bool:
    """The run ended before it touched anything, so that its request id names no operation yet."""
    if run.status is not WorkflowExecutionStatus.FAILED:
        return False
    return isinstance(await ending_of(client, run.instance, run.run_id), Refused)
