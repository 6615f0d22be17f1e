"""Start: exactly what ran before the stop runs again."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.workloads import Workloads
    from ..model.instance import Status
    from ..model.messages import OperationResult, Request

from .operation import Operation


@workflow.defn(name="Start")
class Start(Operation):
    """Brings a stopped instance back."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Claim, scale up, ready, record."""
        async with self.saga as saga:
            await saga.claim()
            time = saga.deadlines
            undo = Workloads.halt if saga.came_from(Status.STOPPED) else None
            await saga.step("scale-up", Workloads.scale_up, undo=undo, within=time.prepare)
            saga.point_of_no_return(await saga.wait_for("ready", Workloads.ready, within=time.ready))
            await saga.record(Status.RUNNING)
        return self.saga.result
