"""The database in memory, for tests of workflows: the contract of gateways/database.py, and faults on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from innkeeper.model.freezes import Freeze, Scope
from innkeeper.model.instance import TRANSITIONS, Instance, Kind, Status
from innkeeper.model.messages import OperationRecord, Outcome, Request
from innkeeper.model.ports import InstancePage, OperationPage, Page
from innkeeper.model.record_messages import Claim, ClaimRequest, Ending, Outset, Verdict
from innkeeper.model.usage import InstanceEvent

from .faults import Faults
from .memory_limits import reached
from .record_checks import check_claim, check_ending, place_of, storable, superseded

T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryDatabase:
    """`model.ports.Database` in memory; its calls are `db.claim`, `db.finish`, `db.ping`, `db.instance` and so on.

    What a test looks at behind the gateway's back is in `rows` and `records`.
    """

    def __init__(self, faults: Faults | None = None, *, clock: Callable[[], datetime] = _now) -> None:
        self.faults = faults or Faults()
        self.rows: dict[str, Instance] = {}
        """Instances by name."""
        self.records: dict[str, OperationRecord] = {}
        """Operations by request id, in the order of their claims."""
        self.events: list[InstanceEvent] = []
        """What the rows have said, in turn."""
        self.asked: dict[str, int] = {}
        """MiB of storage that an instance's last operation asked for."""
        self.reported: list[tuple[str, str, datetime, Decimal]] = []
        """Tenant, metric, time and quantity of what was reported."""
        self.frozen: dict[tuple[Scope, str], Freeze] = {}
        """Freezes, the oldest first."""
        self._clock = clock

    def now(self) -> datetime:
        """The database's clock."""
        return self._clock()

    async def ping(self) -> None:
        """Nothing to reach, unless a fault is programmed."""
        async with self.faults.around("db.ping"):
            pass

    async def instance(self, name: str) -> Instance | None:
        """The instance's row."""
        async with self.faults.around("db.instance"):
            return self.rows.get(name)

    async def instances(self, page: Page, *, tenant: str | None = None, status: Status | None = None) -> InstancePage:
        """Instances of one tenant or all, in one status or all, by name."""
        async with self.faults.around("db.instances"):
            return self._by_name(page, lambda row: tenant in (None, row.tenant) and status in (None, row.status))

    async def in_transition(self, page: Page, *, before: datetime) -> InstancePage:
        """Instances in a transitional status whose row was last written before a time, by name."""
        async with self.faults.around("db.in_transition"):
            return self._by_name(page, lambda row: not row.status.settled and row.updated_at < before)

    async def operation(self, request_id: str) -> OperationRecord | None:
        """The operation that a request id names."""
        async with self.faults.around("db.operation"):
            return self.records.get(request_id)

    async def operations(
        self, page: Page, *, instance: str | None = None, tenant: str | None = None, kind: Kind | None = None
    ) -> OperationPage:
        """Operations of an instance, a tenant, a kind, or all, the last claimed first."""
        async with self.faults.around("db.operations"):
            before = None if page.after is None else place_of(page.after)
            found = [
                (place, record)
                for place, record in _newest_first(self.records.values())
                if (before is None or place < before)
                and instance in (None, record.instance)
                and tenant in (None, record.tenant)
                and kind in (None, record.kind)
            ]
            more = len(found) > page.limit
            return OperationPage(
                items=[record for _, record in found[: page.limit]],
                next=str(found[page.limit - 1][0]) if more else None,
            )

    async def outset(self, request_id: str, instance: str) -> Outset:
        """What an operation begins from, at one moment."""
        async with self.faults.around("db.outset"):
            return Outset(operation=self.records.get(request_id), instance=self.rows.get(instance))

    async def claim(self, claim: ClaimRequest) -> Claim:
        """Claim an instance for an operation; see `gateways.database.SupabaseDatabase.claim`."""
        check_claim(claim)
        async with self.faults.around("db.claim"):
            return (
                self._known(claim)
                or self._frozen(claim)
                or self._limited(claim)
                or self._refused(claim)
                or self._claimed(claim)
            )

    async def finish(self, ending: Ending) -> Instance:
        """Write an operation's end and return the row.

        Raises:
            BadInput: the status or the outcome is not one to end with, or the plan has no name.
            Superseded: the instance's generation is no longer this operation's.
        """
        check_ending(ending)
        async with self.faults.around("db.finish"):
            return self._finished(Ending.model_validate(storable(ending.model_dump(mode="json"))))

    def _by_name(self, page: Page, wanted: Callable[[Instance], bool]) -> InstancePage:
        """One page of the instances that are wanted."""
        found = [
            self.rows[name]
            for name in sorted(self.rows)
            if (page.after is None or name > page.after) and wanted(self.rows[name])
        ]
        items = found[: page.limit]
        return InstancePage(items=items, next=items[-1].name if len(found) > page.limit else None)

    def _known(self, claim: ClaimRequest) -> Claim | None:
        """The answer to a request id that was claimed before."""
        record = self.records.get(claim.request.request_id)
        if record is None:
            return None
        if record.digest != claim.request.digest:
            return Claim(verdict=Verdict.MISMATCH)
        running = record.outcome is Outcome.RUNNING
        if running:
            update: dict[str, object] = {"workflow_id": claim.workflow_id, "run_id": claim.run_id}
            if record.run_id != claim.run_id and record.kind is not Kind.REPAIR:
                update["found"] = TRANSITIONS[record.kind].during
            record = record.model_copy(update=update)
            self.records[record.id] = record
        return self._answer(Verdict.CLAIMED if running else Verdict.FINISHED, record)

    def _answer(self, verdict: Verdict, record: OperationRecord) -> Claim:
        """What is said of an operation that has a record."""
        return Claim(
            verdict=verdict,
            generation=record.generation,
            former=record.former,
            found=record.found,
            former_plan=record.former_plan,
            instance=self.rows[record.instance],
            operation=record,
        )

    def _frozen(self, claim: ClaimRequest) -> Claim | None:
        """The answer to a request on an instance that a freeze lets nothing begin on."""
        row = self.rows.get(claim.request.instance)
        plans = {claim.request.plan, row.plan if row and row.status is not Status.PURGED else None}
        for freeze in self.frozen.values():
            if freeze.everything and any(freeze.holds(instance=claim.request.instance, plan=plan) for plan in plans):
                return Claim(verdict=Verdict.FROZEN, frozen=freeze)
        return None

    def _limited(self, claim: ClaimRequest) -> Claim | None:
        """The answer to a request that would pass a limit of its plan."""
        limit = reached(claim, self.rows, self.asked, self.reported, self._clock())
        return None if limit is None else Claim(verdict=Verdict.LIMITED, reached=limit)

    def _refused(self, claim: ClaimRequest) -> Claim | None:
        """The answer to a request that may not start from the row as it is."""
        request, transition = claim.request, TRANSITIONS[claim.request.kind]
        row = self.rows.get(request.instance)
        if transition.creates and self._taken(row, claim.namespace):
            return Claim(verdict=Verdict.TAKEN)
        if row is None:
            return None if transition.creates else Claim(verdict=Verdict.ABSENT)
        if not _owned(row, request.tenant) and not (transition.creates and row.status is Status.PURGED):
            return Claim(verdict=Verdict.FOREIGN)
        former = row.settled or Status.ERROR
        if former not in transition.allowed_from:
            return Claim(verdict=Verdict.ILLEGAL, generation=row.generation, former=former, instance=row)
        return None

    def _taken(self, row: Instance | None, namespace: str) -> bool:
        """Whether the namespace that the instance would get is another's; one that stands has its own."""
        return (row is None or row.status is Status.PURGED) and any(
            other.namespace == namespace and other is not row and other.status is not Status.PURGED
            for other in self.rows.values()
        )

    def _claimed(self, claim: ClaimRequest) -> Claim:
        """Raise the generation and write the operation; the claim is legal."""
        request, transition, now = claim.request, TRANSITIONS[claim.request.kind], self._clock()
        row = self.rows.get(request.instance)
        found = None if row is None else self._met(row)
        for record in self.records.values():
            if record.instance == request.instance and record.outcome is Outcome.RUNNING:
                self.records[record.id] = record.model_copy(update={"outcome": Outcome.SUPERSEDED, "ended_at": now})
        tenant = request.tenant or (row.tenant if row else "")
        stays = None if row is None or (transition.creates and row.status is Status.PURGED) else row
        self.rows[request.instance] = after = Instance(
            name=request.instance,
            tenant=tenant,
            plan=_plan(row, request),
            upgrade_pending=row is not None and row.upgrade_pending,
            namespace=stays.namespace if stays else claim.namespace,
            release=stays.release if stays else claim.release,
            status=transition.during,
            settled=row.settled if row else None,
            generation=row.generation + 1 if row else 1,
            url=row.url if row else None,
            revision=row.revision if row else None,
            sizes=row.sizes if row else None,
            created_at=row.created_at if row and row.tenant == tenant else now,
            updated_at=now,
        )
        self.records[request.request_id] = record = OperationRecord(
            id=request.request_id,
            kind=request.kind,
            instance=request.instance,
            tenant=tenant,
            generation=after.generation,
            digest=request.digest,
            former=None if row is None else row.settled or Status.ERROR,
            found=found,
            former_plan=row.plan if row and row.tenant == tenant else None,
            outcome=Outcome.RUNNING,
            asked_by=storable(request.asked_by),
            workflow_id=claim.workflow_id,
            run_id=claim.run_id,
            started_at=now,
        )
        if claim.limits:
            self.asked[after.name] = claim.storage_mib
        self._note(after, record)
        return self._answer(Verdict.CLAIMED, record)

    def _met(self, row: Instance) -> Status:
        """The row's status; a repair that was lost counts as what it had met itself."""
        if row.status is not Status.REPAIRING:
            return row.status
        for _, record in _newest_first(self.records.values()):
            if record.instance == row.name and record.kind is Kind.REPAIR and record.outcome is Outcome.RUNNING:
                return record.found or row.settled or Status.ERROR
        return row.settled or Status.ERROR

    def _finished(self, ending: Ending) -> Instance:
        """Write the row and the record."""
        row, record = self.rows.get(ending.instance), self.records.get(ending.request_id)
        if (
            row is None
            or record is None
            or record.instance != row.name
            or not row.generation == record.generation == ending.generation
        ):
            raise superseded(ending)
        now, done = self._clock(), ending.outcome is Outcome.DONE
        self.records[record.id] = ended = record.model_copy(
            update={
                "outcome": ending.outcome,
                "status": ending.status,
                "url": ending.url,
                "revision": ending.revision,
                "cause": ending.cause,
                "steps": ending.steps,
                "decisions": ending.decisions,
                "ended_at": record.ended_at or now,
            }
        )
        self.rows[row.name] = after = row.model_copy(
            update={
                "status": ending.status,
                "settled": ending.status,
                "plan": ending.plan or row.plan,
                "upgrade_pending": ending.upgrade_pending,
                "url": ending.url if done else row.url,
                "revision": ending.revision if done else ending.revision or row.revision,
                "sizes": None if ending.status is Status.PURGED else ending.sizes or row.sizes,
                "cause": ending.cause if ending.status is Status.ERROR else None,
                "updated_at": now,
            }
        )
        if (row.status, row.plan, row.sizes) != (after.status, after.plan, after.sizes):
            self._note(after, ended)
        return after

    def _note(self, row: Instance, record: OperationRecord) -> None:
        """Write the event of a row's change; a clock that was set back does not put it before what had happened."""
        ahead = row.updated_at + timedelta(days=1)
        known = [event.at for event in self.events if event.instance == row.name and event.at < ahead]
        self.events.append(
            InstanceEvent(
                seq=len(self.events) + 1,
                at=max([row.updated_at, *known]),
                instance=row.name,
                tenant=row.tenant,
                plan=row.plan,
                status=row.status,
                operation=record.id,
                outcome=record.outcome,
                sizes=row.sizes,
            )
        )


def _owned(row: Instance, tenant: str | None) -> bool:
    return tenant is None or tenant == row.tenant


def _plan(row: Instance | None, request: Request) -> str:
    """The plan after a claim: the one that is wanted from now on."""
    wanted = request.plan if TRANSITIONS[request.kind].creates or request.kind is Kind.UPGRADE else None
    return wanted or (row.plan if row else "")


def _newest_first(records: Iterable[T]) -> list[tuple[int, T]]:
    return list(enumerate(records, 1))[::-1]
