"""Purge: the one operation that deletes a customer's data, asked for by itself."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.namespaces import Namespaces
    from ..activities.releases import Releases
    from ..model.instance import Status
    from ..model.messages import OperationResult, Request

from .operation import Operation
from .saga import Saga


@workflow.defn(name="Purge")
class Purge(Operation):
    """Deletes what uninstall kept, with the namespace. It only goes forward."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Claim, uninstall what may be left of a release, delete the namespace, record."""
        async with self.saga as saga:
            await saga.claim()
            await delete_all(saga)
            await saga.record(Status.PURGED)
        return self.saga.result


async def delete_all(saga: Saga) -> None:
    """What may be left of the release goes, and then the namespace with the customer's data."""
    time = saga.deadlines
    await saga.step("uninstall", Releases.uninstall, within=time.release, lasts=2, parks=True)
    await saga.step("delete-namespace", Namespaces.delete, within=time.gone, parks=True)
    saga.point_of_no_return()
