"""The asynchronous client: what a backend asks of its instances, as methods."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from types import TracebackType

from temporalio.client import Client

from ..model import names
from ..model.errors import BadInput
from ..model.finding_ports import FindingRows
from ..model.freezes import FreezeRows
from ..model.instance import Kind
from ..model.messages import TASK_QUEUE, Choice, Decided, Request
from ..model.ports import Rows
from ..model.usage_ports import UsageRows
from . import connection, operators, runs
from .adopting import Adopter
from .delivery import OnConflict, find
from .freezing import Freezing
from .handle import OperationHandle
from .operators import Parked
from .rows import RowsSource
from .usage import UsageClient

TASK_QUEUE_VARIABLE = "INNKEEPER_TASK_QUEUE"
"""The same variable names the workers' queue."""


class Innkeeper(Adopter, UsageClient, Freezing):
    """Asks for operations and reads what became of them. Holds one connection; share one per event loop.

    Each operation's method delivers the request durably and returns at once; the handle waits, follows or cancels.
    A `request_id` makes the request idempotent for ever: asked twice, it is one operation. Without one, each call is
    a request of its own.

    Where another operation runs on the instance, `on_conflict` decides: `reject` raises `Busy`; `wait` takes the one
    place behind it; `replace` takes that place from whoever has it, and makes the running operation take back what it
    made. The handle of a request that waits has no `run_id` yet; it waits for its turn, too. A running operation of the
    same kind is never replaced, it is waited for.

    Raised by each of them:
        BadInput: the request cannot be, or its id was used with other arguments; nothing was touched.
        Busy: another operation runs on the instance; with `wait`, another request waits for its end already.
        Unreachable: Temporal does not answer; to wait or to replace, a worker has to answer, too.

    >>> handle = await innkeeper.provision("hooli", tenant="t1", plan="starter")
    >>> result = await handle.result()
    >>> result.instance, result.outcome.value
    ('hooli', 'done')
    """

    def __init__(
        self,
        client: Client,
        rows: Rows | None = None,
        usage: UsageRows | None = None,
        findings: FindingRows | None = None,
        freezes: FreezeRows | None = None,
        *,
        task_queue: str | None = None,
        supabase_url: str | None = None,
        supabase_key: str | None = None,
    ) -> None:
        """Use a connection that exists already, and rows from anything that has the methods of `model.ports.Rows`.

        Where rows are given, usage, findings and freezes have to be as well (`model.usage_ports.UsageRows`,
        `model.finding_ports.FindingRows`, `model.freezes.FreezeRows`), or there are none.
        """
        super().__init__(
            RowsSource(rows, usage, findings, freezes, url=supabase_url, key=supabase_key),
            connection.speaking_pydantic(client),
            task_queue or os.environ.get(TASK_QUEUE_VARIABLE) or TASK_QUEUE,
        )

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

    async def upgrade(
        self,
        name: str,
        *,
        plan: str | None = None,
        tenant: str | None = None,
        request_id: str | None = None,
        asked_by: str = "",
        on_conflict: OnConflict = "reject",
    ) -> OperationHandle:
        """Bring an instance to what the catalog says now of `plan`, by default of its own.

        One that fails goes back to the revision that ran, or asks an operator first, as the plan says. Of a stopped
        instance the wish is stored, and start applies it.

        >>> running = await innkeeper.restart("hooli")
        >>> handle = await innkeeper.upgrade("hooli", plan="team", on_conflict="wait")
        >>> (await handle.result()).kind.value, (await running.result()).outcome.value
        ('upgrade', 'done')
        """
        return await self._ask(Kind.UPGRADE, name, tenant, plan, request_id, asked_by, on_conflict)

    async def repair(
        self,
        name: str,
        *,
        tenant: str | None = None,
        request_id: str | None = None,
        asked_by: str = "",
        on_conflict: OnConflict = "reject",
    ) -> OperationHandle:
        """Finish what a lost operation began; where none was lost, bring the cluster back to what the row says."""
        return await self._ask(Kind.REPAIR, name, tenant, None, request_id, asked_by, on_conflict)

    async def uninstall(
        self,
        name: str,
        *,
        tenant: str | None = None,
        request_id: str | None = None,
        asked_by: str = "",
        on_conflict: OnConflict = "replace",
    ) -> OperationHandle:
        """Remove the release; volumes and generated secrets stay for a later provision.

        What runs on the instance is replaced, unless `on_conflict` says otherwise.
        """
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
        request = Request.of(
            kind,
            name,
            request_id=uuid.uuid4().hex if request_id is None else request_id,
            tenant=tenant,
            plan=plan,
            asked_by=asked_by,
        )
        return await self._hand_in(request, on_conflict)

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

    async def handle(self, request_id: str, *, name: str | None = None) -> OperationHandle:
        """The handle of the operation that a request id names; Temporal finds it a moment after its start.

        With the instance's `name` it is found at once, and one that waits behind a running operation is found, too.

        Raises:
            BadInput: Temporal knows no such request (any more), or the name cannot be an instance's.
            Unreachable: Temporal does not answer.

        >>> asked = await innkeeper.restart("soylent", request_id="click-7")
        >>> found = await innkeeper.handle("click-7", name="soylent")
        >>> found.run_id == asked.run_id
        True
        """
        names.check_request_id(request_id)
        instance = None if name is None else names.normalise(name)
        with connection.temporal_errors(self._client):
            place = await find(self._client, request_id, instance)
        if place is None or (instance is not None and place.instance != instance):
            waits = "" if instance else "; one that still waits for its turn is found with the instance's name"
            raise BadInput(
                "request_id",
                request_id,
                f"names no operation {f'of {instance} ' if instance else ''}that Temporal knows",
                fix=f"check its spelling{waits}; operations that ended long ago are in the rows: "
                "`operation(request_id)`",
                code="UnknownRequest",
            )
        return self._handle(place)

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

    async def decide(
        self,
        name: str,
        choice: Choice | str,
        *,
        operator: str,
        note: str = "",
        question: str | None = None,
    ) -> Decided:
        """Answer what the parked operation on an instance asks.

        Args:
            name: the instance's.
            choice: one of the question's: `retry`, `skip` or `abort`.
            operator: who decides, for the record; at most 200 characters.
            note: why, for the record; at most 1000 characters.
            question: the question's id, to answer that one or none; None: whatever is asked now.

        Raises:
            BadInput: no operation runs, it is not parked, or it does not offer this choice; nothing was decided.
            Unreachable: Temporal or the workers do not answer.

        >>> parked = await innkeeper.upgrade("umbrella", asked_by="parked")
        >>> while not (question := (await parked.describe()).question):
        ...     await asyncio.sleep(0.1)
        >>> decided = await innkeeper.decide("umbrella", "retry", operator="ann", question=question.id)
        >>> decided.choice.value, (await parked.result()).outcome.value
        ('retry', 'done')
        """
        with connection.temporal_errors(self._client):
            return await operators.decide(self._client, names.normalise(name), choice, operator, note, question)

    async def attention(self) -> list[Parked]:
        """Everything that waits for an operator, over all instances, the longest first.

        Raises:
            Unreachable: Temporal does not answer.
        """
        with connection.temporal_errors(self._client):
            return await operators.attention(self._client, self._task_queue)

    async def parked_runs(self) -> dict[str, str]:
        """Instance → run of every operation that is parked: one question to Temporal, however many there are.

        Raises:
            Unreachable: Temporal does not answer.
        """
        with connection.temporal_errors(self._client):
            return await operators.parked_runs(self._client)
