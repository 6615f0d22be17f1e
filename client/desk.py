"""The client as workers use it: the port by which a request that waited, or a repair, is handed in like any other."""

from __future__ import annotations

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from ..model.errors import Busy, Pending
from ..model.messages import Request
from ..model.names import workflow_id_of
from . import connection
from .delivery import deliver


class TemporalDesk:
    """`model.ports.Desk` over a connection to Temporal."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def deliver(self, request: Request) -> str:
        """Start the operation, or find the run that this request id has started before; the run's id.

        Raises:
            Pending: another operation runs on the instance.
            BadInput: the request id was used with other arguments.
            Unreachable: Temporal does not answer.
        """
        with connection.temporal_errors(self._client):
            try:
                place = await deliver(self._client, request, self._task_queue)
            except Busy as busy:
                told = busy.cause
                raise Pending(told.message, code=told.code, object=told.object, fix=told.fix) from None
        if place.run_id is None:
            raise Pending(f"{request.instance}: the request waits until another operation has ended", code="Busy")
        return place.run_id

    async def is_running(self, instance: str) -> bool:
        """Whether an operation runs on the instance.

        Raises:
            Unreachable: Temporal does not answer.
        """
        handle = self._client.get_workflow_handle(workflow_id_of(instance))
        with connection.temporal_errors(self._client):
            try:
                found = await handle.describe(rpc_timeout=connection.ANSWER_WITHIN)
            except RPCError as error:
                if connection.is_unknown(error):
                    return False
                raise
        return found.status is WorkflowExecutionStatus.RUNNING
