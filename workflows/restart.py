"""Restart: the pods of Deployments, StatefulSets and DaemonSets are replaced; a stopped instance is started.

What those roll is for them to say (`OnDelete` rolls nothing), and bare pods and ReplicaSets are left as they are.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.workloads import Workloads
    from ..model.instance import Status
    from ..model.messages import OperationResult, Request

from .operation import Operation
from .start import bring_up, install


@workflow.defn(name="Restart")
class Restart(Operation):
    """Rolls an instance's pods."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Claim, scale up what was stopped, roll (or release, where it is gone), ready, record."""
        async with self.saga as saga:
            await saga.claim()
            saga.settles()
            # A stop that was lost may have come as far as it would.
            halted = saga.found is Status.STOPPING or not saga.came_from(Status.RUNNING)
            if saga.upgrade_pending or halted:
                await bring_up(saga)
            time = saga.deadlines
            held = await saga.step("roll", Workloads.roll, undo=Workloads.roll_back, within=time.prepare)
            if held is False:
                await install(saga)
            saga.point_of_no_return(await saga.wait_for("ready", Workloads.ready, within=time.ready))
            await saga.record(Status.RUNNING)
        return self.saga.result
