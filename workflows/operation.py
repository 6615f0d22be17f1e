"""What every operation's workflow is: a saga made from its request, and what can be asked of it while it runs."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..model.messages import (
        DECIDE_UPDATE,
        NEXT_UPDATE,
        PROGRESS_QUERY,
        Decided,
        Decision,
        NextRequest,
        Progress,
        Request,
    )

from .saga import Saga


class Operation:
    """Base of the workflows."""

    @workflow.init
    def __init__(self, request: Request) -> None:
        self.saga = Saga(request)

    @workflow.query(name=PROGRESS_QUERY)
    def progress(self) -> Progress:
        """The operation's steps so far, and what it asks where it is parked."""
        return self.saga.progress()

    @workflow.update(name=DECIDE_UPDATE, description="Answer what a parked operation asks")
    def decide(self, decision: Decision) -> Decided:
        """Take an operator's decision."""
        return self.saga.parking.decide(decision)

    @decide.validator
    def refuse_decision(self, decision: Decision) -> None:
        """Refuse what answers nothing, before it reaches the history."""
        self.saga.parking.refuse(decision)

    @workflow.update(name=NEXT_UPDATE, description="Let a request wait for this operation's end, or replace it")
    async def take_next(self, wanted: NextRequest) -> Request:
        """Give a request the place behind this operation."""
        return await self.saga.take_next(wanted)

    @take_next.validator
    def refuse_next(self, wanted: NextRequest) -> None:
        """Refuse who cannot have the place, before it reaches the history."""
        self.saga.refuse_next(wanted)
