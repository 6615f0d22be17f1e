"""Reconcile: finds out where rows, plans and the cluster disagree, before a customer does. A schedule starts it."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.reconciling import Reconciling
    from ..model.findings import RECONCILE_WORKFLOW, Looking, Reconciled

from . import calls

ATTEMPT = timedelta(minutes=20)
"""For one look at all instances: a hundred thousand take some ten minutes, and who has died is silent."""

PATIENCE = timedelta(minutes=28)
"""How long it is tried. Then the reconcile fails, for people to see, and the schedule's next one begins anew. Less than
the half an hour after which the schedule has it ended, by which nobody would learn why."""


@workflow.defn(name=RECONCILE_WORKFLOW)
class Reconcile:
    """Looks at one instance or all."""

    @workflow.run
    async def run(self, looking: Looking | None = None) -> Reconciled:
        """Look, write what is found, and tell what it came to."""
        looking = looking or Looking()
        return await workflow.execute_activity_method(
            Reconciling.reconcile,
            looking,
            start_to_close_timeout=ATTEMPT,
            schedule_to_close_timeout=PATIENCE,
            heartbeat_timeout=calls.HEARTBEAT,
            retry_policy=calls.RETRY,
            summary=f"drift of {looking.instance}" if looking.instance else "drift of all instances",
        )
