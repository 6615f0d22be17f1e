"""Requests started as the client starts them, for operations however they are asked for."""

from __future__ import annotations

import uuid

from temporalio.client import Client

from innkeeper.client import OperationHandle
from innkeeper.client.desk import TemporalDesk
from innkeeper.model.instance import Kind
from innkeeper.model.messages import TASK_QUEUE, Request


async def ask(client: Client, kind: Kind, name: str, *, plan: str | None = None) -> OperationHandle:
    """The handle of a new operation on an instance that has an owner already."""
    request = Request.of(kind, name, request_id=uuid.uuid4().hex, plan=plan)
    run_id = await TemporalDesk(client, TASK_QUEUE).deliver(request)
    return OperationHandle(client, request.instance, run_id)
