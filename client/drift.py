"""The part of the client that asks about drift: findings, a look just now, and one instance explained."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy

from ..model import explaining, names
from ..model.errors import BadInput, Cause, InnkeeperError, Unreachable
from ..model.explaining import Explanation
from ..model.findings import RECONCILE_WORKFLOW, FindingPage, Looking, Reconciled, Seen
from ..model.freezes import on
from ..model.instance import Instance
from ..model.names import workflow_id_of
from ..model.ports import Page
from . import connection, runs
from .descriptions import OperationDescription
from .endings import reason_of
from .handle import OperationHandle
from .reading import Reader
from .rows import RowsSource

LAST = 5
"""Operations that an explanation tells of."""

PATIENCE = timedelta(minutes=5)
"""How long a look at all instances may take, a worker's absence included."""

LONGEST_LOOK = timedelta(seconds=30)
"""The same for a look at one."""


class DriftReader(Reader):
    """Reads findings, and asks the workers to look."""

    def __init__(self, rows: RowsSource, client: Client, task_queue: str) -> None:
        super().__init__(rows)
        self._client = client
        self._task_queue = task_queue

    async def findings(
        self, name: str | None = None, *, resolved: bool = False, limit: int = 50, after: str | None = None
    ) -> FindingPage:
        """One page of the drift that the last reconcile found, of one instance or all (extra `rows`).

        With `resolved`, what was found earlier and is gone. Raises as `get` does.
        """
        rows = await self._rows.open_findings()
        instance = None if name is None else names.normalise(name)
        return await rows.findings(Page(limit=limit, after=after), instance=instance, resolved=resolved)

    async def reconcile(self, name: str | None = None) -> Reconciled:
        """Have the workers look for drift now, of one instance or all, and wait for the end.

        Raises:
            BadInput: the name cannot be an instance's.
            Unreachable: Temporal, the workers, or a part that they look at, do not answer.
        """
        instance = None if name is None else names.normalise(name)
        longest = PATIENCE if instance is None else LONGEST_LOOK
        with connection.temporal_errors(self._client):
            handle = await self._client.start_workflow(
                RECONCILE_WORKFLOW,
                Looking(instance=instance),
                id=names.reconcile_id_of(instance),
                task_queue=self._task_queue,
                result_type=Reconciled,
                execution_timeout=longest,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                rpc_timeout=connection.ANSWER_WITHIN,
            )
            try:
                found: Reconciled = await handle.result()
            except WorkflowFailureError as error:
                raise Unreachable(
                    f"nobody could look for drift within {longest.total_seconds():g} s: {reason_of(error)}",
                    code="NotLooked",
                    fix=f"see that a worker runs, and why it failed: workflow {handle.id} in Temporal's UI",
                ) from None
            return found

    async def explain(self, name: str) -> Explanation:
        """All that is known of an instance (extra `rows`); where no worker can look just now, without what is.

        Raises:
            MissingExtra: the extra `rows` is not installed.
            BadInput: there is no such instance.
            Unreachable: the database does not answer.
        """
        row = await self.get(name)
        if row is None:
            raise BadInput("name", name, "is no instance", fix="see which there are: `innkeeper list`")
        (seen, why), running = await asyncio.gather(self._look(row), self._running(row))
        question = running.question if running else None
        findings = explaining.worst_first((await self.findings(row.name, limit=1000)).items)
        ran = await self.operations(row.name, limit=LAST)
        freezes = await (await self._rows.open_freezes()).freezes()
        # Read again: a look takes a moment, in which an operation may have begun.
        row = await self.get(name) or row
        return Explanation(
            instance=row,
            seen=seen,
            not_seen=why,
            findings=findings,
            freezes=on(freezes, row),
            operations=ran.items,
            now=running.now if running else "",
            waiting_for=running.waiting_for if running else "",
            question=question,
            to_do=explaining.to_do(row, findings, question, seen),
        )

    async def _look(self, row: Instance) -> tuple[Seen | None, str]:
        try:
            return (await self.reconcile(row.name)).seen, ""
        except InnkeeperError as error:
            return None, _short(error.cause)

    async def _running(self, row: Instance) -> OperationDescription | None:
        """The operation that is under way, None where none is or Temporal does not say."""
        if row.status.settled:
            return None
        try:
            with connection.temporal_errors(self._client):
                run = await runs.latest(self._client, workflow_id_of(row.name))
            return None if run is None else await OperationHandle(self._client, row.name, run.run_id).describe()
        except InnkeeperError:
            return None


def _short(cause: Cause) -> str:
    return f"{cause.message}; {cause.fix}" if cause.fix else cause.message
