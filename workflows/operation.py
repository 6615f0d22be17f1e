"""What every operation's workflow is: a saga made from its request, and the query that shows its progress."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..model.messages import PROGRESS_QUERY, Progress, Request

from .saga import Saga


class Operation:
    """Base of the workflows."""

    @workflow.init
    def __init__(self, request: Request) -> None:
        self.saga = Saga(request)

    @workflow.query(name=PROGRESS_QUERY)
    def progress(self) -> Progress:
        """The operation's steps so far."""
        return self.saga.progress()
