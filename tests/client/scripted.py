"""Operations that do nothing but end as their request tells: by `asked_by`, which no digest counts.

``held`` waits for the signal `go`; ``refused`` and ``failed`` end so; ``parked`` asks an operator about a step and
``stuck`` about an undo, ``answered`` is found as if it still asked; ``silent`` fails without a result, ``garbled`` with
one that cannot be read; ``broken`` fails its workflow task; anything else is done at once. How requests wait and
operators are asked is the real operations' own.
"""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from innkeeper.model.errors import Cause
from innkeeper.model.instance import TRANSITIONS, Status
from innkeeper.model.messages import (
    DECIDE_UPDATE,
    NEXT_UPDATE,
    PREVIEW_WORKFLOW,
    PROGRESS_QUERY,
    Choice,
    Decided,
    Decision,
    NextRequest,
    OperationResult,
    Outcome,
    Progress,
    Request,
    StepEvent,
    StepState,
)
from innkeeper.model.preview import Adoption, Planned
from innkeeper.workflows.handover import HandingOver
from innkeeper.workflows.journal import Journal
from innkeeper.workflows.parking import PARKED, Parking
from innkeeper.workflows.shield import uninterrupted
from innkeeper.workflows.succession import Succession

STEPS = ("check", "claim", "release", "ready", "record")

TROUBLE = Cause(code="ImagePull", message="the image cannot be pulled", object="Pod inn-acme/web-0", fix="mend it")
A_DAY = 86_400


AS_SHOWN = "as-shown"
"""The digest of every preview."""


class Scripted:
    """The wire of an operation: its argument, its query, its updates, its result and its two failures."""

    @workflow.init
    def __init__(self, request: Request) -> None:
        self.request = request
        self.journal = Journal()
        self.parking = Parking(request.instance, self.journal)
        self.succession = Succession(request)
        self.outcome = Outcome.RUNNING
        self.going = False
        self.main: asyncio.Task[object] | None = None

    @property
    def events(self) -> list[StepEvent]:
        return self.journal.events

    @workflow.query(name=PROGRESS_QUERY)
    def progress(self) -> Progress:
        waiting = self.succession.waiting
        return Progress(
            request_id=self.request.request_id,
            kind=self.request.kind,
            outcome=self.outcome,
            events=self.events,
            now="" if self.going else "the signal go",
            question=self.parking.question,
            next=waiting.request_id if waiting else None,
        )

    @workflow.update(name=DECIDE_UPDATE)
    def decide(self, decision: Decision) -> Decided:
        return self.parking.decide(decision)

    @decide.validator
    def refuse_decision(self, decision: Decision) -> None:
        self.parking.refuse(decision)

    @workflow.update(name=NEXT_UPDATE)
    async def take_next(self, wanted: NextRequest) -> Request:
        if wanted.replace and wanted.request.kind is not self.request.kind and self.main is not None:
            self.main.cancel()
        return await self.succession.take(wanted)

    @take_next.validator
    def refuse_next(self, wanted: NextRequest) -> None:
        self.succession.refuse(wanted)

    @workflow.signal
    def go(self) -> None:
        self.going = True

    async def play(self, request: Request) -> OperationResult:
        self.main = asyncio.current_task()
        try:
            result = await self.steps(request.asked_by)
        except (ApplicationError, asyncio.CancelledError):
            await self.succession.hand_over()
            raise
        await self.succession.hand_over()
        return result

    async def steps(self, script: str) -> OperationResult:
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
            if step == "release":
                await self.release(script)
            if script == "failed" and step == "ready":
                raise self.failure(Outcome.UNDONE, step)
            self.say(step, StepState.DONE)
        return self.result(Outcome.DONE, TRANSITIONS[self.request.kind].after)

    async def release(self, script: str) -> None:
        if script == "broken" and not self.going:
            raise ValueError("a defect in workflow code")
        if script == "answered":
            workflow.upsert_search_attributes([PARKED.value_set(True)])
        if script in {"held", "answered"}:
            try:
                await workflow.wait_condition(lambda: self.going)
            except asyncio.CancelledError:
                raise self.failure(Outcome.CANCELLED, "release") from None
        if script in {"parked", "stuck"}:
            undo = script == "stuck"
            self.say("release", StepState.UNDOING if undo else StepState.FAILED, str(TROUBLE))
            asking = self.parking.ask("release", TROUBLE, undo=undo, within=A_DAY)
            # As with real operations, a cancellation does not end an undo's question.
            choice = await (uninterrupted(asking) if undo else asking)
            if choice is not Choice.RETRY:
                raise self.failure(Outcome.LEFT_BEHIND if undo else Outcome.UNDONE, "release")
            self.say("release", StepState.UNDONE if undo else StepState.STARTED)

    def say(self, step: str, state: StepState, detail: str = "") -> None:
        self.journal.say(step, state, detail)

    def failure(self, outcome: Outcome, step: str) -> ApplicationError:
        self.say(step, StepState.FAILED)
        self.say(step, StepState.LEFT_BEHIND if outcome is Outcome.LEFT_BEHIND else StepState.UNDONE)
        result = self.result(outcome, Status.ERROR, TROUBLE)
        return ApplicationError(TROUBLE.message, result, type="OperationFailed", non_retryable=True)

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
            decisions=self.parking.decided,
        )


@workflow.defn
class Provision(Scripted):
    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        return await self.play(request)


@workflow.defn
class Adopt(Scripted):
    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        # What was confirmed of a plan that is called so, is not so any more.
        if request.confirmed not in (None, AS_SHOWN) or (request.plan == "changed" and request.confirmed):
            cause = Cause(code="NotAsConfirmed", message="namespace: 'shop' is not what it was.", fix="look")
            raise ApplicationError(cause.message, cause, type="Refused", non_retryable=True)
        return await self.play(request)


@workflow.defn(name=PREVIEW_WORKFLOW)
class Preview:
    """Tells what it was asked, and refuses a plan that is called so."""

    @workflow.run
    async def run(self, request: Request) -> Adoption:
        if request.plan == "refused":
            cause = Cause(code="BadInput", message="release: 'web' is no release in namespace shop.", fix="look")
            raise ApplicationError(cause.message, cause, type="Refused", non_retryable=True)
        namespace, release = request.home
        return Adoption(
            instance=request.instance,
            tenant=request.tenant or "",
            plan=request.plan or "",
            namespace=namespace,
            release=release,
            revision=7,
            chart="room-0.1.0",
            pods=2,
            marked=[Planned(object=f"Namespace {namespace}", what="label innkeeper.dev/plan=starter")],
            beside=["CronJob shop/nightly"],
            digest=AS_SHOWN,
            asked_before=request.request_id == "asked-before",
        )


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
class Upgrade(Scripted):
    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        return await self.play(request)


@workflow.defn
class Repair(Scripted):
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


SCRIPTED = [Provision, Adopt, Preview, Stop, Start, Restart, Upgrade, Repair, Uninstall, Purge, HandingOver]
