"""Stop: no pod runs, and what ran is remembered in the workloads themselves."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.workloads import Workloads
    from ..model.instance import Status
    from ..model.messages import OperationResult, Request

from .operation import Operation
from .saga import Saga


@workflow.defn(name="Stop")
class Stop(Operation):
    """Scales an instance to nothing; its release, volumes and secrets stay."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Claim, scale down, wait until the pods are gone, record."""
        async with self.saga as saga:
            await saga.claim()
            time = saga.deadlines
            saga.settles()
            undo = Workloads.scale_up if saga.came_from(Status.RUNNING) else None
            held = await saga.step("scale-down", Workloads.scale_down, undo=undo, within=time.prepare)
            await saga.wait_for("gone", Workloads.gone, within=time.gone)
            saga.point_of_no_return()
            # Where there is no release nothing can be brought back: the next start makes it anew.
            await saga.record(Status.STOPPED, upgrade_pending=held is False)
        return self.saga.result


async def hold_stopped(saga: Saga) -> None:
    """What is to be stopped has no pod, whatever runs of it; that is not taken back."""
    time = saga.deadlines
    held = await saga.step("scale-down", Workloads.scale_down, within=time.prepare)
    saga.upgrade_pending = saga.upgrade_pending or held is False
    await saga.wait_for("gone", Workloads.gone, within=time.gone)
    saga.point_of_no_return()
