"""An operation that stays after its end, as no real one does: who comes then must be told so."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from innkeeper.model.messages import Request
    from innkeeper.workflows.operation import Operation


@workflow.defn(name="Provision")
class Lingering(Operation):
    """Hands over, and stays until it is terminated."""

    @workflow.run
    async def run(self, request: Request) -> None:
        """Hand over, wait."""
        await self.saga.succession.hand_over()
        self.saga.journal.tell("handed over")
        await workflow.wait_condition(lambda: False)
