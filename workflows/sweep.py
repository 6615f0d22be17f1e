"""Sweep: no row stays in transition for ever because its operation was lost. A schedule starts it."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.sweeps import Sweeps
    from ..model.messages import SWEEP_WORKFLOW
    from ..model.sweeps import GRACE, SweepPage, Swept

from . import calls

ATTEMPT = timedelta(minutes=3)
"""For one page; `Sweeps` bounds each of its rows more tightly."""

PATIENCE = timedelta(minutes=10)
"""How long one page is tried. Then the sweep fails, for people to see, and the schedule's next one begins anew."""


@workflow.defn(name=SWEEP_WORKFLOW)
class Sweep:
    """Looks at all rows that have been in transition for some time, page by page."""

    @workflow.run
    async def run(self) -> Swept:
        """Ask for what is to be repaired, and tell what was met."""
        page, swept = SweepPage(before=workflow.now() - GRACE), Swept()
        while True:
            found = await workflow.execute_activity_method(
                Sweeps.sweep,
                page,
                start_to_close_timeout=ATTEMPT,
                schedule_to_close_timeout=PATIENCE,
                heartbeat_timeout=calls.HEARTBEAT,
                retry_policy=calls.RETRY,
                summary=f"rows in transition after {page.after}" if page.after else "rows in transition",
            )
            swept = swept.plus(found.swept)
            if found.next is None:
                return swept
            page = page.model_copy(update={"after": found.next})
