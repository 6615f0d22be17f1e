"""What tests see of an operation while it runs, and how it ends when it must fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from in_memory import World
from temporalio.api.sdk.v1 import WorkflowMetadata

from innkeeper.client import OperationHandle
from innkeeper.model.errors import OperationFailed
from innkeeper.model.messages import (
    DECIDE_UPDATE,
    NEXT_UPDATE,
    PROGRESS_QUERY,
    Choice,
    Decided,
    Decision,
    NextRequest,
    OperationResult,
    Progress,
    Question,
    Request,
    StepState,
)
from innkeeper.model.names import workflow_id_of

PATIENCE = 60.0


async def failed(handle: OperationHandle) -> OperationResult:
    """The end of an operation that must fail."""
    with pytest.raises(OperationFailed) as told:
        await handle.result()
    assert told.value.result is not None
    return told.value.result


class Followed:
    """One operation from outside: its query, its details in Temporal's UI, its updates."""

    def __init__(self, world: World, handle: OperationHandle) -> None:
        self._workflow = world.client.get_workflow_handle(workflow_id_of(handle.instance), run_id=handle.run_id)
        self._environment = world.environment

    async def progress(self) -> Progress:
        """What the operation says of itself."""
        told: Progress = await self._workflow.query(PROGRESS_QUERY, result_type=Progress)
        return told

    async def until(self, shows: Callable[[Progress], bool]) -> Progress:
        """What it says once that shows something."""
        async with asyncio.timeout(PATIENCE):
            while not shows(told := await self.progress()):
                await asyncio.sleep(0.02)
        return told

    async def until_step(self, step: str, state: StepState) -> Progress:
        """What it says once a step has come to a state."""
        return await self.until(lambda told: any((event.step, event.state) == (step, state) for event in told.events))

    async def skip(self, time: timedelta) -> None:
        """Let time pass for an operation that was started with time skipping disabled."""
        await self._environment.fast_forward(self._workflow, time)

    async def question(self) -> Question:
        """What it asks, once it is parked; where time is skipped nobody can answer before the deadline does."""
        told = await self.until(lambda told: told.question is not None)
        assert told.question is not None
        return told.question

    async def decide(self, choice: Choice, note: str = "") -> Decided:
        """An operator's answer."""
        decision = Decision(choice=choice, operator="ada", note=note)
        decided: Decided = await self._workflow.execute_update(DECIDE_UPDATE, decision, result_type=Decided)
        return decided

    async def take_next(self, request: Request, *, replace: bool = False) -> None:
        """Give a request the place behind the operation."""
        await self._workflow.execute_update(NEXT_UPDATE, NextRequest(request=request, replace=replace))

    async def details(self) -> str:
        """What Temporal's UI shows beside the run."""
        told: WorkflowMetadata = await self._workflow.query(
            "__temporal_workflow_metadata", result_type=WorkflowMetadata
        )
        return told.current_details

    async def retried(self) -> dict[str, str]:
        """The activities that the UI shows as failing at the moment, each with its last error."""
        described = await self._workflow.describe()
        return {
            pending.activity_type.name: pending.last_failure.message
            for pending in described.raw_description.pending_activities
            if pending.HasField("last_failure")
        }
