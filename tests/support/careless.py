"""A stop that no longer waits until the pods are gone: what a careless change would make of the real one."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from innkeeper.model.instance import Status
    from innkeeper.model.messages import OperationResult, Request
    from innkeeper.workflows.operation import Operation


@workflow.defn(name="Stop")
class Hasty(Operation):
    """Writes that all is stopped before anything is."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Claim, record."""
        async with self.saga as saga:
            await saga.claim()
            await saga.record(Status.STOPPED)
        return self.saga.result
