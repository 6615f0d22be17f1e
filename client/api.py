"""The asynchronous client: what a backend asks of its instances, as methods."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType
from typing import Literal

from temporalio.client import Client

from ..model import names
from ..model.errors import BadInput
from ..model.instance import Instance, Kind, Status
from ..model.messages import TASK_QUEUE, OperationRecord, Request
from ..model.ports import InstancePage, OperationPage, Page, Rows
from . import connection, runs
from .delivery import deliver
from .handle import OperationHandle
from .rows import RowsSource

OnConflict = Literal["reject", "wait", "replace"]
"""What becomes of a request that meets another operation on its instance."""

TASK_QUEUE_VARIABLE = "INNKEEPER_TASK_QUEUE"
"""The same variable names the workers' queue."""


class Innkeeper:
    """Asks for operations and reads what became of them. Holds one connection; share one per event loop.

    Each operation's method delivers the request durably and returns at once; the handle waits, follows or cancels.
    A `request_id` makes the request idempotent for ever: asked twice, it is one operation. Without one, each call is
    a request of its own.

    Raised by each of them:
        BadInput: the request cannot be, or its id was used with other arguments; nothing was touched.
        Busy: another operation runs on the instance.
        Unreachable: Temporal does not answer.

    >>> handle = await innkeeper.provision("hooli", tenant="t1", plan="starter")
    >>> result = await handle.result()
    >>> result.instance, result.outcome.value
    ('hooli', 'done')
    """

    def __init__(
        self,
        client: Client,
        rows: Rows | None = None,
        *,
        task_queue: str | None = None,
        supabase_url: str | None = None,
        supabase_key: str | None = None,
    ) -> None:
        """Use a connection that exists already, and rows from anything that has the methods of `model.ports.Rows`."""
        self._client = connection.speaking_pydantic(client)
        self._task_queue = task_queue or os.environ.get(TASK_QUEUE_VARIABLE) or TASK_QUEUE
        self._rows = RowsSource(rows, url=supabase_url, key=supabase_key)

    @classmethod
    async def connect(
        cls,
        address: str | None = None,
        *,
        namespace: str | None = None,
        config: str | Path | None = None,
        profile: str | None = None,
        task_queue: str | None = None,
        supabase_url: str | None = None,
        supabase_key: str | None = None,
    ) -> Innkeeper:
        """Connect by Temporal's standard client configuration (TEMPORAL_* and its TOML file).

        Args:
            address: Temporal's host:port; else TEMPORAL_ADDRESS, else localhost:7233.
            namespace: Temporal's namespace; else TEMPORAL_NAMESPACE, else default.
            config: Temporal's TOML file; else TEMPORAL_CONFIG_FILE or its usual place.
            profile: the profile in that file; else TEMPORAL_PROFILE or default.
            task_queue: the workers'; else INNKEEPER_TASK_QUEUE, else innkeeper.
            supabase_url: for reading rows; else INNKEEPER_SUPABASE_URL.
            supabase_key: for reading rows; else INNKEEPER_SUPABASE_KEY.

        Raises:
            BadInput: the configuration cannot be read, or the namespace does not exist.
            Forbidden: Temporal refuses this client.
            Unreachable: nothing answers at the address.

        >>> innkeeper = await Innkeeper.connect(address)
        """
        client = await connection.connect(address, namespace, config=config, profile=profile)
        return cls(client, task_queue=task_queue, supabase_url=supabase_url, supabase_key=supabase_key)

    async def close(self) -> None:
        """Close the connection to the database, where rows were read; Temporal's closes with the last reference."""
        await self._rows.close()

    async def __aenter__(self) -> Innkeeper:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def provision(
        self,
        name: str,
        *,
        tenant: str,
        plan: str,
        request_id: str | None = None,
        asked_by: str = "",
        on_conflict: OnConflict = "reject",
    ) -> OperationHandle:
        """Make an instance of a plan, or bring a failed, uninstalled or purged one back.

        >>> first = await innkeeper.provision("stark", tenant="t1", plan="starter", request_id="order-42")
        >>> again = await innkeeper.provision("stark", tenant="t1", plan="starter", request_id="order-42")
        >>> (await first.result()).request_id == (await again.result()).request_id
        True
        """
        return await self._ask(Kind.PROVISION, name, tenant, plan, request_id, asked_by, on_conflict)

    async def stop(
        self,
        name: str,
        *,
        tenant: str | None = None,
        request_id: str | None = None,
        asked_by: str = "",
        on_conflict: OnConflict = "reject",
    ) -> OperationHandle:
        """Scale an instance to nothing and keep it so; what ran is remembered.

        With `tenant`, the instance must be that tenant's, here and in every other operation.

        >>> handle = await innkeeper.stop("hooli", tenant="t1")
        >>> (await handle.result()).status.value
        'stopped'
        """
        return await self._ask(Kind.STOP, name, tenant, None, request_id, asked_by, on_conflict)

    async def start(
        self,
        name: str,
        *,
        tenant: str | None = None,
        request_id: str | None = None,
        asked_by: str = "",
        on_conflict: OnConflict = "reject",
    ) -> OperationHandle:
        """Bring back exactly what ran before the stop."""
        return await self._ask(Kind.START, name, tenant, None, request_id, asked_by, on_conflict)

    async def restart(
        self,
        name: str,
        *,
        tenant: str | None = None,
        request_id: str | None = None,
        asked_by: str = "",
        on_conflict: OnConflict = "reject",
    ) -> OperationHandle:
        """Replace the instance's pods and wait for the new ones; a stopped instance is started."""
        return await self._ask(Kind.RESTART, name, tenant, None, request_id, asked_by, on_conflict)

    async def uninstall(
        self,
        name: str,
        *,
        tenant: str | None = None,
        request_id: str | None = None,
        asked_by: str = "",
        on_conflict: OnConflict = "reject",
    ) -> OperationHandle:
        """Remove the release; volumes and generated secrets stay for a later provision."""
        return await self._ask(Kind.UNINSTALL, name, tenant, None, request_id, asked_by, on_conflict)

    async def purge(
        self,
        name: str,
        *,
        tenant: str | None = None,
        request_id: str | None = None,
        asked_by: str = "",
        on_conflict: OnConflict = "reject",
    ) -> OperationHandle:
        """Delete an uninstalled instance's data and namespace. There is no way back."""
        return await self._ask(Kind.PURGE, name, tenant, None, request_id, asked_by, on_conflict)

    async def _ask(
        self,
        kind: Kind,
        name: str,
        tenant: str | None,
        plan: str | None,
        request_id: str | None,
        asked_by: str,
        on_conflict: OnConflict,
    ) -> OperationHandle:
        if on_conflict != "reject":
            raise BadInput(
                "on_conflict",
                on_conflict,
                "is not available in this release",
                fix="use 'reject', and ask again when the running operation has ended",
            )
        request = Request.of(
            kind,
            name,
            request_id=uuid.uuid4().hex if request_id is None else request_id,
            tenant=tenant,
            plan=plan,
            asked_by=asked_by,
        )
        with connection.temporal_errors(self._client):
            run_id = await deliver(self._client, request, self._task_queue)
        return OperationHandle(self._client, request.instance, run_id)

    def handle_for(self, name: str, run_id: str) -> OperationHandle:
        """The handle of a known run again, e.g. in another process; asks nobody.

        Raises:
            BadInput: the name cannot be an instance's.

        >>> first = await innkeeper.restart("hooli")
        >>> again = innkeeper.handle_for(first.instance, first.run_id)
        >>> (await again.result()).kind.value
        'restart'
        """
        return OperationHandle(self._client, names.normalise(name), run_id)

    async def handle(self, request_id: str) -> OperationHandle:
        """The handle of the operation that a request id names; Temporal finds it a moment after its start.

        Raises:
            BadInput: Temporal knows no such request (any more).
            Unreachable: Temporal does not answer.
        """
        names.check_request_id(request_id)
        with connection.temporal_errors(self._client):
            run = await runs.named_by(self._client, request_id)
        if run is None:
            raise BadInput(
                "request_id",
                request_id,
                "names no operation that Temporal knows",
                fix="check its spelling; operations that ended long ago are in the rows: `operation(request_id)`",
                code="UnknownRequest",
            )
        return OperationHandle(self._client, run.instance, run.run_id)

    async def latest(self, name: str) -> OperationHandle | None:
        """The handle of the operation that runs on an instance, else of its last; None where Temporal knows none.

        Raises:
            BadInput: the name cannot be an instance's.
            Unreachable: Temporal does not answer.

        >>> asked = await innkeeper.restart("hooli")
        >>> latest = await innkeeper.latest("hooli")
        >>> latest.run_id == asked.run_id
        True
        """
        instance = names.normalise(name)
        with connection.temporal_errors(self._client):
            run = await runs.latest(self._client, names.workflow_id_of(instance))
        return None if run is None else OperationHandle(self._client, instance, run.run_id)

    async def get(self, name: str) -> Instance | None:
        """The instance's row, None where there is none (extra `rows`).

        Raises:
            MissingExtra: the extra `rows` is not installed.
            BadInput: the name cannot be, or it is not said where the rows are.
            Unreachable: the database does not answer.
        """
        rows = await self._rows.open()
        return await rows.instance(names.normalise(name))

    async def list(
        self,
        *,
        tenant: str | None = None,
        status: Status | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> InstancePage:
        """One page of instances by name (extra `rows`); its `next` is the `after` of the page that follows.

        Raises as `get` does.
        """
        rows = await self._rows.open()
        return await rows.instances(Page(limit=limit, after=after), tenant=tenant, status=status)

    async def list_all(
        self, *, tenant: str | None = None, status: Status | None = None
    ) -> AsyncGenerator[Instance, None]:
        """Every instance by name, read page by page (extra `rows`). Raises as `get` does."""
        after = None
        while True:
            page = await self.list(tenant=tenant, status=status, limit=200, after=after)
            for instance in page.items:
                yield instance
            if page.next is None:
                return
            after = page.next

    async def operation(self, request_id: str) -> OperationRecord | None:
        """The row of the operation that a request id names (extra `rows`). Raises as `get` does."""
        rows = await self._rows.open()
        return await rows.operation(names.check_request_id(request_id))

    async def operations(
        self,
        name: str | None = None,
        *,
        tenant: str | None = None,
        kind: Kind | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> OperationPage:
        """One page of operations, the newest first (extra `rows`). Raises as `get` does."""
        rows = await self._rows.open()
        instance = None if name is None else names.normalise(name)
        return await rows.operations(Page(limit=limit, after=after), instance=instance, tenant=tenant, kind=kind)
