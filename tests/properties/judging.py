"""Whether an operation's end, its record, the instance's row and the cluster agree, and no secret was told."""

from __future__ import annotations

from collections.abc import Iterable

from in_memory import World

from innkeeper.model import repair
from innkeeper.model.errors import Answer, OperationFailed, Refused
from innkeeper.model.instance import TRANSITIONS, Kind, Status
from innkeeper.model.messages import OperationRecord, OperationResult, Outcome, Request

from .invariants import Seen, wrong
from .seats import Seat, Wrong


class Judge:
    """Looks at the instances of one sequence."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._secrets: set[str] = set()
        """Every value that a generated Secret ever had."""

    def end(self, seat: Seat, request: Request, ended: OperationResult | Answer) -> None:
        """What the operation says of its end is what its record says, and what was asked for if it is done.

        Raises:
            Wrong: it is not.
        """
        if isinstance(ended, Refused):
            return
        result = ended.result if isinstance(ended, OperationFailed) else ended
        record = self._world.database.records.get(request.request_id)
        if not isinstance(result, OperationResult) or record is None:
            raise Wrong(f"{seat.name}: an end without a result, or an operation without a record: {ended!r}")
        if _wanted(request.kind, record) is Status.PURGED:
            # What a purge took, one that failed included, may be gone.
            seat.data.clear()
        told = (result.outcome, result.status, result.generation)
        stored = (record.outcome, record.status or Status.ERROR, record.generation)
        seat.demand(stored == told, f"told {told}, and stored {stored}")
        if result.outcome is Outcome.DONE:
            wanted = _wanted(request.kind, record)
            seat.demand(result.status is wanted, f"done and {result.status} in place of {wanted}")
            return
        seat.demand(result.cause is not None, "no cause")
        left = result.outcome is Outcome.LEFT_BEHIND
        seat.demand(result.status is Status.ERROR or not left, "left behind and no error")

    async def instance(self, seat: Seat, ended: OperationResult | Answer | None = None) -> None:
        """The row says what the cluster shows, the data is there, and what is undone is as it was.

        Raises:
            Wrong: one of them is not so.
        """
        seen = await Seen.of(self._world, seat.name)
        if not seat.lost:
            told = wrong(seen)
            seat.demand(not told, "; ".join(told))
        row = seen.row
        if row is not None:
            seat.demand(row.generation >= seat.generation, "the generation fell")
            seat.generation = row.generation
        gone = {name for name, what in seat.data.items() if seen.data.get(name) != what}
        purging = row is not None and row.status is Status.PURGING
        seat.demand(not gone or purging, f"lost data: {sorted(gone)}")
        seat.data = dict(seen.data)
        self._secrets |= seen.secrets
        result = ended.result if isinstance(ended, OperationFailed) else None
        if result is not None and result.outcome in (Outcome.UNDONE, Outcome.CANCELLED) and seat.before is not None:
            before, now = seat.before.as_it_was, seen.as_it_was
            seat.demand(now == before, f"{result.outcome}, and not as it was:\n{before}\n{now}")

    async def nothing_told(self, instances: Iterable[str], runs: Iterable[tuple[str, str]]) -> None:
        """No secret's value is in a row, a record or a history.

        Raises:
            Wrong: one is.
        """
        names = set(instances)
        rows = [row for row in self._world.written.history if row.name in names]
        records = [each for each in self._world.database.records.values() if each.instance in names]
        told = [each.model_dump_json().encode() for each in (*rows, *records)]
        for workflow_id, run_id in runs:
            handle = self._world.client.get_workflow_handle(workflow_id, run_id=run_id or None)
            told += [event.SerializeToString() for event in (await handle.fetch_history()).events]
        for secret in self._secrets:
            if any(secret.encode() in each for each in told):
                raise Wrong(f"a secret's value is in a row or a history: {secret}")


def _wanted(kind: Kind, record: OperationRecord) -> Status:
    """The status in which such an operation ends well."""
    if kind is Kind.REPAIR:
        return repair.goal(record.found, record.former)
    if kind is Kind.UPGRADE and record.former is Status.STOPPED:
        return Status.STOPPED
    return TRANSITIONS[kind].after
