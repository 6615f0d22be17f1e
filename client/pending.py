"""What a running operation waits for just now: Temporal itself tells it of each activity under way, without a worker.

An activity that waits says for what with its heartbeats (`activities.telling`); one that failed and is to be
tried again has its last failure; one that nobody has taken yet waits for a worker.
"""

from __future__ import annotations

from typing import Any

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from .connection import ANSWER_WITHIN


async def waiting_for(client: Client, workflow: WorkflowHandle[Any, Any]) -> str:
    """In words for people; empty where nothing is said, or Temporal does not answer."""
    try:
        described = await workflow.describe(rpc_timeout=ANSWER_WITHIN)
    except RPCError:
        return ""
    told = [await _of(client, each) for each in described.raw_description.pending_activities]
    return "; ".join(filter(None, told))


async def _of(client: Client, pending: PendingActivityInfo) -> str:
    converter = client.data_converter
    is_taken = pending.state != PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    if is_taken and pending.heartbeat_details.payloads:
        (told,) = await converter.decode(pending.heartbeat_details.payloads[:1], [str])
        if told:
            return str(told)
    if pending.HasField("last_failure"):
        failure = await converter.decode_failure(pending.last_failure)
        # An application's failure puts its type before what it says.
        return f"another attempt, after {pending.attempt}: {getattr(failure, 'message', failure)}"
    return "" if is_taken else f"a worker that has room for step {pending.activity_type.name}"
