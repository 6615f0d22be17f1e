"""Operations that do nothing but end as their request tells: by `asked_by`, which no digest counts.

``held`` waits for the signal `go`; ``refused`` and ``failed`` end so; ``silent`` fails without a result,
``garbled`` with one that cannot be read; anything else is done at once.
"""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from innkeeper.model.errors import Cause
from innkeeper.model.instance import TRANSITIONS, Status
from innkeeper.model.messages import (
    PROGRESS_QUERY,
    OperationResult,
    Outcome,
    Progress,
    Request,
    StepEvent,
    StepState,
)

STEPS = ("check", "claim", "release", "ready", "record")


class Scripted:
    """The wire of an operation: its argument, its query, its result and its two failures."""

    request: Request

    def __init__(self) -> None:
        self.events: list[StepEvent] = []
        self.outcome = Outcome.RUNNING
        self.going = False

    @workflow.query(name=PROGRESS_QUERY)
    def progress(self) -> Progress:
        return Progress(
            request_id=self.request.request_id,
            kind=self.request.kind,
            outcome=self.outcome,
            events=self.events,
            now="" if self.going else "the signal go",
        )

    @workflow.signal
    def go(self) -> None:
        self.going = True

    async def play(self, request: Request) -> OperationResult:
        self.request = request
        script = request.asked_by
        if script == "refused":
            cause = Cause(code="DuplicateName", message="name: 'acme' is taken.", fix="choose another")
            raise ApplicationError(cause.message, cause, type="Refused", non_retryable=True)
        if script == "silent":
            raise ApplicationError("somebody else's words", type="Surprise", non_retryable=True)
        if script == "garbled":
            raise ApplicationError(
                "an older version's words", {"old": True}, type="OperationFailed", non_retryable=True
            )
        for step in STEPS:
            self.say(step, StepState.STARTED)
            if script == "held" and step == "release":
                try:
                    await workflow.wait_condition(lambda: self.going)
                except asyncio.CancelledError:
                    raise self.failure(Outcome.CANCELLED, step) from None
            if script == "failed" and step == "ready":
                raise self.failure(Outcome.UNDONE, step)
            self.say(step, StepState.DONE)
        return self.result(Outcome.DONE, TRANSITIONS[self.request.kind].after)

    def say(self, step: str, state: StepState) -> None:
        self.events.append(StepEvent(step=step, state=state, at=workflow.now()))

    def failure(self, outcome: Outcome, step: str) -> ApplicationError:
        self.say(step, StepState.FAILED)
        self.say(step, StepState.UNDONE)
        cause = Cause(
            code="ImagePull", message="the image cannot be pulled", object="Pod inn-acme/web-0", fix="mend it"
        )
        result = self.result(outcome, Status.ERROR, cause)
        return ApplicationError(cause.message, result, type="OperationFailed", non_retryable=True)

    def result(self, outcome: Outcome, status: Status, cause: Cause | None = None) -> OperationResult:
        self.outcome = outcome
        return OperationResult(
            request_id=self.request.request_id,
            kind=self.request.kind,
            instance=self.request.instance,
            outcome=outcome,
            status=status,
            generation=1,
            cause=cause,
            steps=self.events,
        )


@workflow.defn
class Provision(Scripted):
    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        return await self.play(request)


@workflow.defn
class Stop(Scripted):
    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        return await self.play(request)


@workflow.defn
class Start(Scripted):
    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        return await self.play(request)


@workflow.defn
class Restart(Scripted):
    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        return await self.play(request)


@workflow.defn
class Uninstall(Scripted):
    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        return await self.play(request)


@workflow.defn
class Purge(Scripted):
    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        return await self.play(request)


SCRIPTED = [Provision, Stop, Start, Restart, Uninstall, Purge]
