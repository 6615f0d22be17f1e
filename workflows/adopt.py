"""Adopt: somebody's Helm release becomes an instance, with nothing of it restarted; and the preview of that."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from ..activities.adoptions import Adoptions
    from ..activities.workloads import Workloads
    from ..model.instance import Status
    from ..model.messages import PREVIEW_WORKFLOW, OperationResult, Request
    from ..model.preview import Adoption

from . import calls, causes
from .operation import Operation
from .saga import Saga

PATIENCE = timedelta(seconds=30)
"""How long a preview is tried: somebody sits before it."""


@workflow.defn(name="Adopt")
class Adopt(Operation):
    """Takes a release over as it is. What the plan says otherwise is for an upgrade to bring."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Check, claim, mark, ready, record."""
        async with self.saga as saga:
            await saga.check()
            await saga.claim()
            await take_over(saga)
            await saga.record(Status.RUNNING)
        return self.saga.result


async def take_over(saga: Saga) -> None:
    """The release gets the instance's marks, and is found ready; nothing of it is changed."""
    time = saga.deadlines
    saga.observed(await saga.step("mark", Adoptions.mark, undo=Adoptions.unmark, within=time.prepare))
    saga.point_of_no_return(await saga.wait_for("ready", Workloads.ready, within=time.ready))


@workflow.defn(name=PREVIEW_WORKFLOW)
class PreviewAdoption:
    """Says what an adoption would do, with a worker's eyes: its catalog, its rights, its cluster."""

    @workflow.run
    async def run(self, request: Request) -> Adoption:
        """Look, and touch nothing."""
        try:
            return await calls.quick("preview", Adoptions.preview, request, instance=request.instance, at_most=PATIENCE)
        except FailureError as error:
            cause = causes.cause_of(error, "preview")
            raise ApplicationError(cause.message, cause, type="Refused", non_retryable=True) from None
