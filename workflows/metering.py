"""Metering: what instances used, hour by hour, for whoever bills it. A schedule starts it."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.expiry import Expiry
    from ..activities.metering import Metering as Steps
    from ..model.expiry import ExpiryPage
    from ..model.messages import METERING_WORKFLOW
    from ..model.metering import MeteringPage, SoFar
    from ..model.usage_ports import Hours, Metered

from . import calls

ATTEMPT = timedelta(minutes=1)
"""For one page: two calls of the database."""

PATIENCE = timedelta(minutes=10)
"""How long one page is tried. Then the metering fails, for people to see; what was written stands, and the schedule's
next one goes on from there."""

PAGES = 100
"""Of one run, some 600 events of its history: a fleet, or an outage, may need any number, and a server ends a run
after 51,200 events."""

EXPIRES = "expires"
CONTINUES = "continues"


@workflow.defn(name=METERING_WORKFLOW)
class Metering:
    """Meters all instances from where they were last metered, however long ago that is, page by page."""

    def __init__(self) -> None:
        self._pages = 0
        self._told = Metered()

    @workflow.run
    async def run(self, again: Hours | None = None, so_far: SoFar | None = None) -> Metered:
        """Meter what happened since, then stop what plans want stopped; with `again` meter those hours once more.

        `so_far` is what the run before hands on.
        """
        if so_far is not None:
            self._told = so_far.metered
        if so_far is None or not so_far.expiring:
            await self._meter(MeteringPage(after=so_far.after if so_far else None, again=again))
        if again is None and workflow.patched(EXPIRES):
            await self._expire(ExpiryPage(after=so_far.after if so_far and so_far.expiring else None))
        return self._told

    async def _meter(self, page: MeteringPage) -> None:
        while True:
            self._go_on_later(page.again, page.after, expiring=False)
            found = await workflow.execute_activity_method(
                Steps.meter,
                page,
                start_to_close_timeout=ATTEMPT,
                schedule_to_close_timeout=PATIENCE,
                heartbeat_timeout=calls.HEARTBEAT,
                retry_policy=calls.RETRY,
                summary=f"instances after {page.after}" if page.after else "instances",
            )
            self._told = self._told.plus(found.metered)
            if found.next is None:
                return
            page = page.model_copy(update={"after": found.next})

    async def _expire(self, page: ExpiryPage) -> None:
        """Ask for the stops that plans want."""
        while True:
            self._go_on_later(None, page.after, expiring=True)
            expired = await workflow.execute_activity_method(
                Expiry.expire,
                page,
                start_to_close_timeout=ATTEMPT,
                schedule_to_close_timeout=PATIENCE,
                heartbeat_timeout=calls.HEARTBEAT,
                retry_policy=calls.RETRY,
                summary="trials that are over, and idle instances",
            )
            self._told = self._told.plus(Metered(stops=expired.asked))
            if expired.next is None:
                return
            page = ExpiryPage(after=expired.next)

    def _go_on_later(self, again: Hours | None, after: str | None, *, expiring: bool) -> None:
        """Count a page; hand the rest on to a new run where this one has had its share."""
        if self._pages >= PAGES and workflow.patched(CONTINUES):
            workflow.continue_as_new(args=[again, SoFar(metered=self._told, after=after, expiring=expiring)])
        self._pages += 1
