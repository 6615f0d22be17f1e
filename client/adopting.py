"""Taking over what somebody else installed: the request, and the preview that a person confirms before it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import get_args

from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from ..model.errors import BadInput, Cause, Refused, Unreachable
from ..model.instance import Kind
from ..model.messages import PREVIEW_WORKFLOW, TASK_TIMEOUT, Request
from ..model.preview import Adoption
from . import connection
from .delivery import STARTS_AT_ONCE, OnConflict, Place, deliver
from .drift import DriftReader
from .handle import OperationHandle
from .rows import RowsSource

ANSWERS_WITHIN = timedelta(seconds=60)
"""How long a preview waits for a worker."""


class Adopter(DriftReader):
    """Hands in requests, and has adoptions previewed."""

    def __init__(self, rows: RowsSource, client: Client, task_queue: str) -> None:
        super().__init__(rows, client, task_queue)
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)

    async def adopt(
        self,
        name: str,
        *,
        namespace: str,
        tenant: str,
        plan: str,
        release: str | None = None,
        confirmed: str | None = None,
        request_id: str | None = None,
        asked_by: str = "",
        on_conflict: OnConflict = "reject",
    ) -> OperationHandle:
        """Take over a Helm release that somebody else installed. Nothing of it is changed and no pod restarted.

        Args:
            name: what the instance is to be called.
            namespace: where the release is; it becomes the instance's as a whole.
            tenant: who is to own the instance.
            plan: the plan that an upgrade brings it to.
            release: its name; by default the instance's.
            confirmed: the `digest` of the preview that was shown. What would do something else by now is refused
                (`NotAsConfirmed`). None: whatever it comes to.
            request_id: makes the request idempotent for ever.
            asked_by: who asks, for the record.
            on_conflict: what becomes of the request where another operation runs on the instance.

        >>> handle = await innkeeper.adopt("wayne", namespace="shop", release="web", tenant="t1", plan="starter")
        >>> (await handle.result()).kind.value
        'adopt'
        """
        request = _request(name, namespace, tenant, plan, release, request_id, asked_by, confirmed)
        return await self._hand_in(request, on_conflict)

    async def preview_adoption(
        self,
        name: str,
        *,
        namespace: str,
        tenant: str,
        plan: str,
        release: str | None = None,
        request_id: str | None = None,
    ) -> Adoption:
        """What `adopt` would do with the same arguments, object by object, as a worker sees it; nothing is touched.

        Raises:
            BadInput: the request cannot be.
            Refused: it would be refused; the cause says why.
            Unreachable: Temporal or the workers do not answer.

        >>> seen = await innkeeper.preview_adoption("wayne", namespace="shop", tenant="t1", plan="starter")
        >>> seen.namespace, seen.release
        ('shop', 'wayne')
        """
        request = _request(name, namespace, tenant, plan, release, request_id, "")
        with connection.temporal_errors(self._client):
            return await previewed(self._client, request, self._task_queue)

    async def _hand_in(self, request: Request, on_conflict: OnConflict) -> OperationHandle:
        if on_conflict not in get_args(OnConflict):
            offered = ", ".join(get_args(OnConflict))
            raise BadInput("on_conflict", on_conflict, "is no way to meet another operation", fix=f"use: {offered}")
        with connection.temporal_errors(self._client):
            place = await deliver(self._client, request, self._task_queue, on_conflict, starts=self._starts)
            return self._handle(place)

    def _handle(self, place: Place) -> OperationHandle:
        return OperationHandle(self._client, place.instance, place.run_id, turn=place.turn)


def _request(
    name: str,
    namespace: str,
    tenant: str,
    plan: str,
    release: str | None,
    request_id: str | None,
    asked_by: str,
    confirmed: str | None = None,
) -> Request:
    return Request.of(
        Kind.ADOPT,
        name,
        request_id=uuid.uuid4().hex if request_id is None else request_id,
        tenant=tenant,
        plan=plan,
        namespace=namespace,
        release=release,
        confirmed=confirmed,
        asked_by=asked_by,
    )


async def previewed(
    client: Client, request: Request, task_queue: str, *, within: timedelta = ANSWERS_WITHIN
) -> Adoption:
    """What a worker says of an adoption.

    Raises:
        Refused: it would be refused.
        Unreachable: no worker has looked `within` that time.
        temporalio.service.RPCError: Temporal did not answer.
    """
    handle = await client.start_workflow(
        PREVIEW_WORKFLOW,
        request,
        id=f"preview/{request.instance}/{uuid.uuid4().hex}",
        task_queue=task_queue,
        task_timeout=TASK_TIMEOUT,
        execution_timeout=within,
        result_type=Adoption,
        static_summary=f"preview of adopting {request.instance}",
        rpc_timeout=connection.ANSWER_WITHIN,
    )
    try:
        told: Adoption = await handle.result()
    except WorkflowFailureError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.details:
            raise Refused.of(Cause.model_validate(cause.details[0])) from error
        raise Unreachable(
            f"no worker has looked within {within.total_seconds():g} s",
            code="NoWorker",
            object=request.instance,
            fix="start one with `innkeeper worker`, then ask again",
        ) from error
    return told
