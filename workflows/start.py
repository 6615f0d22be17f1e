"""Start: exactly what ran before the stop runs again."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.namespaces import Namespaces
    from ..activities.releases import Releases
    from ..activities.workloads import Workloads
    from ..model.instance import Status
    from ..model.messages import OperationResult, Request

from .operation import Operation
from .saga import Saga


@workflow.defn(name="Start")
class Start(Operation):
    """Brings a stopped instance back."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Claim, scale up (or release, where it was upgraded while it was stopped, or is gone), ready, record."""
        async with self.saga as saga:
            await saga.claim()
            await bring_up(saga)
            time = saga.deadlines
            saga.point_of_no_return(await saga.wait_for("ready", Workloads.ready, within=time.ready))
            await saga.record(Status.RUNNING)
        return self.saga.result


async def bring_up(saga: Saga) -> None:
    """What ran before the stop, or what it was upgraded to since, gets its pods; the undo stops it again."""
    time = saga.deadlines
    undo = Workloads.halt if saga.came_from(Status.STOPPED) else None
    if not saga.upgrade_pending:
        held = await saga.step("scale-up", Workloads.scale_up, undo=undo, within=time.prepare)
        if held is not False:  # A worker of before this was asked says nothing.
            return
    elif undo is not None:
        saga.register("scale-up", undo)
    await install(saga)


async def install(saga: Saga) -> None:
    """Bring the release to the plan, with what belongs around it; data that was kept is used again."""
    time = saga.deadlines
    saga.observed(await saga.step("prepare", Namespaces.prepare, undo=Namespaces.undo_prepare, within=time.prepare))
    await saga.step("release", Releases.release, undo=Releases.undo_release, within=time.release, lasts=2)
