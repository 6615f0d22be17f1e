"""Uninstall: the release goes, the customer's volumes and generated secrets stay."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.releases import Releases
    from ..activities.workloads import Workloads
    from ..model.instance import Status
    from ..model.messages import OperationResult, Request

from .operation import Operation
from .saga import Saga


@workflow.defn(name="Uninstall")
class Uninstall(Operation):
    """Removes an instance's release and keeps its data. It only goes forward: what is gone already is done."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Claim, uninstall, wait until the pods are gone, record."""
        async with self.saga as saga:
            await saga.claim()
            await take_down(saga)
            await saga.record(Status.UNINSTALLED)
        return self.saga.result


async def take_down(saga: Saga) -> None:
    """The release goes and its pods end; an operator is asked where they do not. Data stays."""
    time = saga.deadlines
    await saga.step("uninstall", Releases.uninstall, within=time.release, lasts=2, parks=True)
    await saga.wait_for("gone", Workloads.gone, within=time.gone, parks=True)
    saga.point_of_no_return()
