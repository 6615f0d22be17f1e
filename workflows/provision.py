"""Provision: from a plan to an instance that answers, or back to nothing but kept data."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.namespaces import Namespaces
    from ..activities.releases import Releases
    from ..activities.workloads import Workloads
    from ..model.instance import Status
    from ..model.messages import OperationResult, Request

from .operation import Operation


@workflow.defn(name="Provision")
class Provision(Operation):
    """Makes an instance, or makes one again from what was kept."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Check, claim, prepare, release, ready, record."""
        async with self.saga as saga:
            await saga.check()
            await saga.claim()
            time = saga.deadlines
            saga.observed(
                await saga.step("prepare", Namespaces.prepare, undo=Namespaces.undo_prepare, within=time.prepare)
            )
            await saga.step("release", Releases.release, undo=Releases.undo_release, within=time.release, lasts=2)
            saga.point_of_no_return(await saga.wait_for("ready", Workloads.ready, within=time.ready))
            await saga.record(Status.RUNNING)
        return self.saga.result
