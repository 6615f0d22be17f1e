"""What operators ask: which operations wait for a person, and how one is told what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, ValidationError
from temporalio.client import Client, WorkflowExecution, WorkflowQueryFailedError
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError

from ..model.errors import BadInput
from ..model.messages import DECIDE_UPDATE, PROGRESS_QUERY, Choice, Decided, Decision, Progress, Question, Request
from ..model.names import HANDOVER_PREFIX, workflow_id_of
from . import runs, updates

PROBLEMS = SearchAttributeKey.for_keyword_list("TemporalReportedProblems")
"""Temporal's own: set after five failures of a run's workflow task, which is about a minute, until one succeeds."""

_QUERY_WITHIN = timedelta(seconds=2)
_AT_ONCE = 10
"""Parked operations that are asked for their question side by side."""


class Parked(BaseModel):
    """A run that waits for a person."""

    model_config = ConfigDict(frozen=True)

    instance: str
    """Empty of a run that serves all of them."""
    kind: str
    """The operation's, or the workflow's type in lower case."""
    tenant: str | None
    """The instance's; where no worker answers, the one that the request named, None where it named none."""
    request_id: str
    run_id: str
    since: datetime
    """When the question was asked; when the run began, where no question is known."""
    question: Question | None
    """None where no worker answers, and of a run that asks nothing but cannot go on."""
    problem: str = ""
    """What Temporal reports of a run whose workflow code fails: a mended worker carries it on. Empty of others."""


async def attention(client: Client, task_queue: str) -> list[Parked]:
    """All parked runs, and those of this task queue that a defect holds up, the oldest first.

    Raises:
        temporalio.service.RPCError: Temporal did not answer.
    """
    stuck = f"({PROBLEMS.name} IS NOT NULL AND TaskQueue = '{task_queue}')"
    query = f"ExecutionStatus = 'Running' AND ({runs.PARKED.name} = true OR {stuck})"
    found = [each async for each in client.list_workflows(query)]
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(execution: WorkflowExecution) -> Parked | None:
        async with slots:
            return await _parked(client, execution)

    entries = await asyncio.gather(*(one(each) for each in found))
    return sorted((each for each in entries if each is not None), key=lambda each: each.since)


async def parked_runs(client: Client) -> dict[str, str]:
    """Instance → run of every operation that is parked, by one list, without their questions.

    Raises:
        temporalio.service.RPCError: Temporal did not answer.
    """
    query = f"ExecutionStatus = 'Running' AND {runs.PARKED.name} = true"
    found = [each async for each in client.list_workflows(query)]
    return {each.typed_search_attributes.get(runs.INSTANCE) or "": each.run_id for each in found}


async def _parked(client: Client, execution: WorkflowExecution) -> Parked | None:
    """The run as an operator needs it, None where it was answered since it was listed."""
    problem = _worded(execution.typed_search_attributes.get(PROBLEMS) or ())
    question, owner = None, None
    if not problem:
        try:
            handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
            told: Progress = await handle.query(PROGRESS_QUERY, result_type=Progress, rpc_timeout=_QUERY_WITHIN)
        except (RPCError, WorkflowQueryFailedError):
            pass
        else:
            question, owner = told.question, told.tenant
            if question is None:
                return None
    instance, kind, tenant, request_id = await _about(execution)
    return Parked(
        instance=instance,
        kind=kind,
        tenant=tenant or owner,
        request_id=request_id,
        run_id=execution.run_id,
        since=question.asked_at if question else execution.start_time,
        question=question,
        problem=problem,
    )


async def _about(execution: WorkflowExecution) -> tuple[str, str, str | None, str]:
    """Instance, kind, tenant and request id."""
    if execution.id.startswith(HANDOVER_PREFIX):
        request = await execution.memo_value("request", type_hint=Request)
        return request.instance, execution.workflow_type.lower(), request.tenant, request.request_id
    run = await runs.Run.of(execution)
    return execution.typed_search_attributes.get(runs.INSTANCE) or "", run.kind, run.tenant, run.request_id


def _worded(problems: Sequence[str]) -> str:
    return ", ".join(each.partition("=")[2] or each for each in problems)


async def decide(
    client: Client, instance: str, choice: Choice | str, operator: str, note: str, question: str | None
) -> Decided:
    """Send an operator's decision to the operation that runs on the instance.

    Raises:
        BadInput: it cannot be one, or answers nothing.
        Unreachable: no worker answered.
        temporalio.service.RPCError: Temporal did not answer.
    """
    decision = _decision(choice, operator, note, question)
    current = await runs.newest(client, workflow_id_of(instance))
    if current is not None and current.running:
        try:
            return await updates.ask(client, instance, current.run_id, DECIDE_UPDATE, decision, Decided)
        except updates.Over:
            pass
    raise BadInput(
        "name", instance, "has no running operation: there is nothing to decide", fix=_LOOK, code="NothingRuns"
    )


_LOOK = "see what waits for an operator: `innkeeper attention`"


def _decision(choice: Choice | str, operator: str, note: str, question: str | None) -> Decision:
    try:
        chosen = Choice(choice)
    except ValueError:
        offered = ", ".join(Choice)
        raise BadInput("choice", choice, "is no decision", fix=f"use one of: {offered}") from None
    try:
        return Decision(choice=chosen, operator=operator, note=note, question=question)
    except ValidationError as error:
        wrong = error.errors()[0]
        field = str(wrong["loc"][0])
        raise BadInput(field, wrong["input"], "is not usable", fix=wrong["msg"]) from None
