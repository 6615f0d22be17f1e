"""The steps that speak to the database: the claim that begins an operation and the write that ends it."""

from __future__ import annotations

from temporalio import activity

from ..model.catalog import Catalog, Deadlines
from ..model.instance import Instance
from ..model.ports import Claimed, ClaimRequest, Database, Ending


class Records:
    """Claims and endings of operations."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog

    @activity.defn(name="claim")
    async def claim(self, claim: ClaimRequest) -> Claimed:
        """Claim the instance; asked again by the same operation, the same claim."""
        answer = await self._database.claim(claim)
        plan = self._catalog.plans.get(answer.instance.plan) if answer.instance else None
        return Claimed(claim=answer, deadlines=plan.deadlines if plan else Deadlines())

    @activity.defn(name="finish")
    async def finish(self, ending: Ending) -> Instance:
        """Write how the operation ended, in both rows at once, and return the instance's as reread.

        Raises:
            Superseded: another operation claimed the instance since.
        """
        return await self._database.finish(ending)
