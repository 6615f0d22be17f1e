"""Upgrade: from what runs to another plan, chart version or values, or back to what ran."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.namespaces import Namespaces
    from ..activities.releases import Releases
    from ..activities.workloads import Workloads
    from ..model.instance import Status
    from ..model.messages import OperationResult, Request

from .operation import Operation
from .shield import uninterrupted
from .stop import hold_stopped

CLAIM_IS_KEPT = "claim-is-kept"
MOMENT = 0.001
"""Seconds, the shortest that Temporal waits."""


@workflow.defn(name="Upgrade")
class Upgrade(Operation):
    """Brings an instance to what the catalog says now. Of a stopped one it stores the wish, which start applies."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Check, claim, prepare, release, ready, record."""
        async with self.saga as saga:
            await saga.check()
            await saga.claim()
            if saga.came_from(Status.STOPPED):
                saga.upgrade_pending = True
                if saga.found is not Status.STOPPED:
                    # A start that was lost may have brought pods up, and the row is to say that none runs.
                    await hold_stopped(saga)
                saga.point_of_no_return()
                if workflow.patched(CLAIM_IS_KEPT):
                    # The claim is in the history before the end is written: were the workflow's last task refused for a
                    # cancellation that comes just then, the operation would begin anew as one that has claimed nothing.
                    await uninterrupted(workflow.sleep(MOMENT))
                await saga.record(Status.STOPPED, upgrade_pending=True)
                return saga.result
            time, asks = saga.deadlines, saga.asks_before_undoing
            saga.settles()
            saga.observed(
                await saga.step("prepare", Namespaces.prepare, undo=Namespaces.undo_prepare, within=time.prepare)
            )
            await saga.step(
                "release", Releases.release, undo=Releases.undo_release, within=time.release, lasts=2, parks=asks
            )
            saga.point_of_no_return(await saga.wait_for("ready", Workloads.ready, within=time.ready, parks=asks))
            await saga.record(Status.RUNNING)
        return self.saga.result
