"""Workflows with defects: what careless changes would make of the real ones."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from innkeeper.activities.namespaces import Namespaces
    from innkeeper.activities.releases import Releases
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


@workflow.defn(name="Provision")
class Forgetful(Operation):
    """Fails with a defect of its own once it has claimed: no error of a step's."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Check, claim, stumble."""
        async with self.saga as saga:
            await saga.check()
            await saga.claim()
            raise LookupError(request.plan)
        return self.saga.result


@workflow.defn(name="Provision")
class Clumsy(Operation):
    """Fails with a defect of its own while it makes up for a step that failed."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Check, claim, prepare, and an undo that is none."""
        async with self.saga as saga:
            await saga.check()
            await saga.claim()
            time = saga.deadlines
            saga.observed(
                await saga.step("prepare", Namespaces.prepare, undo=Namespaces.undo_prepare, within=time.prepare)
            )
            saga.register("release", None)  # type: ignore[arg-type]
            await saga.step("release", Releases.release, within=time.release, lasts=2)
        return self.saga.result
