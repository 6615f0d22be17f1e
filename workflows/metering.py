"""Metering: what instances used, hour by hour, for whoever bills it. A schedule starts it."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.expiry import Expiry
    from ..activities.metering import Metering as Steps
    from ..model.expiry import ExpiryPage
    from ..model.messages import METERING_WORKFLOW
    from ..model.metering import MeteringPage
    from ..model.usage_ports import Hours, Metered

from . import calls

ATTEMPT = timedelta(minutes=1)
"""For one page: two calls of the database."""

PATIENCE = timedelta(minutes=10)
"""How long one page is tried. Then the metering fails, for people to see; what was written stands, and the schedule's
next one goes on from there."""


EXPIRES = "expires"


@workflow.defn(name=METERING_WORKFLOW)
class Metering:
    """Meters all instances from where they were last metered, however long ago that is, page by page."""

    @workflow.run
    async def run(self, again: Hours | None = None) -> Metered:
        """Meter what happened since, then stop what plans want stopped; with `again` meter those hours once more."""
        page, told = MeteringPage(again=again), Metered()
        while True:
            found = await workflow.execute_activity_method(
                Steps.meter,
                page,
                start_to_close_timeout=ATTEMPT,
                schedule_to_close_timeout=PATIENCE,
                heartbeat_timeout=calls.HEARTBEAT,
                retry_policy=calls.RETRY,
                summary=f"instances after {page.after}" if page.after else "instances",
            )
            told = told.plus(found.metered)
            if found.next is None:
                break
            page = page.model_copy(update={"after": found.next})
        if again is None and workflow.patched(EXPIRES):
            told = told.plus(Metered(stops=await self._expire()))
        return told

    async def _expire(self) -> int:
        """Ask for the stops that plans want; how many."""
        page, asked = ExpiryPage(), 0
        while True:
            expired = await workflow.execute_activity_method(
                Expiry.expire,
                page,
                start_to_close_timeout=ATTEMPT,
                schedule_to_close_timeout=PATIENCE,
                heartbeat_timeout=calls.HEARTBEAT,
                retry_policy=calls.RETRY,
                summary="trials that are over, and idle instances",
            )
            asked += expired.asked
            if expired.next is None:
                return asked
            page = ExpiryPage(after=expired.next)
