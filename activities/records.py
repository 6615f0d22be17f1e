"""The steps that speak to the database: the claim that begins an operation and the write that ends it."""

from __future__ import annotations

from temporalio import activity

from ..model.catalog import Catalog, Deadlines
from ..model.errors import BadInput, Permanent, Superseded, Transient
from ..model.freezes import refusal
from ..model.instance import Instance
from ..model.limits import LIMITED, allowed
from ..model.messages import OperationRecord, Outcome, Request
from ..model.ports import Database
from ..model.record_messages import Claimed, ClaimRequest, Ending


class Records:
    """Claims and endings of operations."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog
        self._limits = allowed(catalog.plans)

    @activity.defn(name="claim")
    async def claim(self, claim: ClaimRequest) -> Claimed:
        """Claim the instance; asked again by the same operation, the same claim.

        Raises:
            BadInput: the request cannot be, or a freeze holds the instance that lets no operation begin.
        """
        try:
            limits = self._limits if claim.request.kind in LIMITED else {}
            answer = await self._database.claim(claim.model_copy(update={"limits": limits}))
        except BadInput:
            raise
        except Permanent as refused:
            raise _insisting(refused) from None
        if answer.frozen is not None:
            raise refusal(answer.frozen, claim.request.instance)
        plan = self._catalog.plans.get(answer.instance.plan) if answer.instance else None
        if plan is None:
            return Claimed(claim=answer, deadlines=Deadlines())
        return Claimed(claim=answer, deadlines=plan.deadlines, on_upgrade_failure=plan.on_upgrade_failure)

    @activity.defn(name="known")
    async def known(self, request: Request) -> bool:
        """Whether the operation that this request id names has ended: nothing is to be done for it any more."""
        record = await self._record(request)
        return record is not None and record.outcome is not Outcome.RUNNING

    @activity.defn(name="claimed")
    async def claimed(self, request: Request) -> bool:
        """Whether this very request has claimed the instance, be it that its workflow knows nothing of that."""
        record = await self._record(request)
        return record is not None and record.digest == request.digest

    async def _record(self, request: Request) -> OperationRecord | None:
        try:
            return await self._database.operation(request.request_id)
        except Permanent as refused:
            raise _insisting(refused) from None

    @activity.defn(name="finish")
    async def finish(self, ending: Ending) -> Instance:
        """Write how the operation ended, in both rows at once, and return the instance's as reread.

        Raises:
            Superseded: another operation claimed the instance since.
        """
        try:
            return await self._database.finish(ending)
        except Superseded:
            raise
        except Permanent as refused:
            raise _insisting(refused) from None


def _insisting(refused: Permanent) -> Transient:
    """A refusal as something to try again: a key is being changed, a schema's cache is old, rights are missing.

    What was claimed must be given back and what ended must be written, so neither ever gives up: an operation that
    did would leave its row in transition for ever.
    """
    return Transient.of(refused.cause)
