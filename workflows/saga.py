"""The frame that operations share: check, claim, steps with their undos, record, and the bad ends of all of them.

An operation is written as `async with self.saga as saga:` around its steps. Leaving the block by an error walks the
ledger backwards: every undo was registered before its step began, so it accepts that its step was never made. That
walk, and the write that ends it, cannot be cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from types import TracebackType
from typing import Any, Concatenate, NamedTuple, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from ..activities.checks import Checks
    from ..activities.records import Records
    from ..model.catalog import Deadlines
    from ..model.claim import refusal, stored_result
    from ..model.errors import Cause
    from ..model.instance import Instance, Status
    from ..model.messages import (
        OperationResult,
        Outcome,
        Prepared,
        Progress,
        Ready,
        Request,
        StepEvent,
        StepState,
        Work,
    )
    from ..model.names import namespace_of, release_of
    from ..model.ports import ClaimRequest, Ending, Verdict

from . import causes
from .parking import UNDO_RETRY, with_leftovers
from .shield import uninterrupted

T = TypeVar("T")
Activity = Callable[Concatenate[Any, Work, ...], Awaitable[T]]

QUICK = timedelta(seconds=10)
"""How long a single fast write is tried as a local activity, before it becomes one that the UI shows and can pause."""

CHECK_PATIENCE = timedelta(minutes=2)
"""How long a check is tried before the request is refused with what kept it: nothing was touched yet."""

GRACE = timedelta(seconds=10)
"""Temporal's timeouts come this much after the step's own: it must have the time to say what it still waited for."""

NOTHING_OF_OURS = frozenset({"NotOurs", "NamespaceMissing"})
"""Codes of causes which say that there is nothing of this operation's to take back."""

RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10))


class Undo(NamedTuple):
    """An entry of the ledger: how to take back one step."""

    step: str
    activity: Activity[None]


class _Known(Exception):
    """The request's operation has ended before; its stored outcome is the answer."""


class Saga:
    """One operation's life."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.deadlines = Deadlines()
        self._ledger: list[Undo] = []
        self._events: list[StepEvent] = []
        self._outcome = Outcome.RUNNING
        self._step = ""
        self._work: Work | None = None
        self._former: Status | None = None
        self._ready: Ready | None = None
        self._standing: list[str] = []
        """Steps that were begun, change something, and have no undo: what they did stands."""
        self._only_forward = False
        self._result: OperationResult | None = None

    # What operations are written with

    async def check(self) -> None:
        """Refuse what cannot be, before anything is touched."""
        await self._say_around("check", self._check())

    async def claim(self) -> None:
        """Take the instance; a request that ended before ends the operation here with its stored outcome."""
        # A cancellation waits for the answer: what was claimed has to be given back.
        await uninterrupted(self._say_around("claim", self._claim()))

    async def step(
        self, name: str, act: Activity[T], *, within: float, undo: Activity[None] | None = None, lasts: int = 1
    ) -> T:
        """Do one step, its undo registered first.

        `within` is the deadline of one attempt in seconds, `lasts` how many such spans the step may take in all.
        """
        if undo is not None:
            self._ledger.append(Undo(name, undo))
        else:
            self._standing.append(f"what {name} did")
        return await self._say_around(name, self._attempt(name, act, timedelta(seconds=within), lasts))

    async def wait_for(self, name: str, act: Activity[T], *, within: float) -> T:
        """Do one step that changes nothing by itself, so that there is nothing to undo."""
        return await self._say_around(name, self._attempt(name, act, timedelta(seconds=within), 1))

    def came_from(self, status: Status) -> bool:
        """Whether this was the instance's settled status before the operation: what an undo may bring back."""
        return self._former is status

    def found(self, prepared: Prepared) -> None:
        """Note what the prepare step observed, for the steps and undos after it."""
        self._work = self.work.model_copy(update={"former_revision": prepared.former_revision})

    def point_of_no_return(self, ready: Ready | None = None) -> None:
        """From here on the operation only goes forward: nothing is undone and a cancellation comes too late."""
        self._ledger.clear()
        self._only_forward = True
        self._ready = ready

    async def record(self, status: Status) -> None:
        """Write the good end, however long that takes."""
        self._only_forward = True
        await uninterrupted(self._say_around("record", self._finish(status, Outcome.DONE, None)))

    @property
    def work(self) -> Work:
        """What steps are told; known once the instance is claimed."""
        if self._work is None:
            raise RuntimeError("a step before the claim")
        return self._work

    @property
    def result(self) -> OperationResult:
        """How the operation ended; known once it has."""
        if self._result is None:
            raise RuntimeError("an operation without an end")
        return self._result

    def progress(self) -> Progress:
        """The answer to the query."""
        return Progress(
            request_id=self.request.request_id,
            kind=self.request.kind,
            outcome=self._outcome,
            events=list(self._events),
            now=self._step,
        )

    # The frame

    async def __aenter__(self) -> Saga:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            return False
        if isinstance(error, _Known):
            return self._end_as_known()
        if not isinstance(error, asyncio.CancelledError | FailureError):
            return False  # A bug: the workflow task fails, the operation stays, and a mended worker carries on.
        await uninterrupted(self._end_badly(error))
        return True

    def _end_as_known(self) -> bool:
        self._outcome = self.result.outcome
        if self._outcome is not Outcome.DONE:
            raise _failure(self.result)
        return True

    async def _end_badly(self, error: BaseException) -> None:
        cause = causes.cause_of(error, self._step)
        if self._work is None:
            raise ApplicationError(cause.message, cause, type="Refused", non_retryable=True)
        cancelled = causes.is_cancelled(error)
        workflow.set_current_details(f"**{self._step}** failed: {cause}")
        if causes.error_type(error) == "Superseded":
            self._outcome = Outcome.SUPERSEDED
            raise _failure(self._result_now(Status.ERROR, cause))
        standing = [] if cause.code in NOTHING_OF_OURS else self._standing
        left = [*await self._compensate(), *standing]
        status, outcome = Status.ERROR, Outcome.CANCELLED if cancelled else Outcome.UNDONE
        if left:
            outcome, cause = Outcome.LEFT_BEHIND, with_leftovers(cause, left)
        elif cancelled and self._former is not None:
            status = self._former
        try:
            await self._finish(status, outcome, cause)
        except ActivityError as late:
            self._outcome = Outcome.SUPERSEDED
            raise _failure(self._result_now(Status.ERROR, causes.cause_of(late, "record"))) from None
        raise _failure(self.result)

    async def _compensate(self) -> list[str]:
        """Walk the ledger backwards; each undo is tried although another failed. Returns what is left behind."""
        left: list[str] = []
        while self._ledger:
            entry = self._ledger.pop()
            self._say(entry.step, StepState.UNDOING)
            try:
                await workflow.execute_activity_method(
                    entry.activity,
                    self.work,
                    start_to_close_timeout=timedelta(seconds=self.deadlines.longest) + GRACE,
                    heartbeat_timeout=timedelta(seconds=10),
                    retry_policy=UNDO_RETRY,
                    cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                    summary=f"undo {entry.step} of {self.request.instance}",
                )
            except ActivityError as error:
                cause = causes.cause_of(error, f"undo of {entry.step}")
                if cause.code in NOTHING_OF_OURS:
                    self._say(entry.step, StepState.UNDONE, cause.message)
                    continue
                self._say(entry.step, StepState.LEFT_BEHIND, str(cause))
                left.append(f"{entry.step}: {cause.message}")
            else:
                self._say(entry.step, StepState.UNDONE)
        return left

    # Single steps

    async def _check(self) -> None:
        admission = await self._quick(Checks.check, self.request, "check", at_most=CHECK_PATIENCE)
        self.deadlines = admission.deadlines

    async def _claim(self) -> None:
        info = workflow.info()
        wanted = ClaimRequest(
            request=self.request,
            workflow_id=info.workflow_id,
            run_id=info.run_id,
            namespace=namespace_of(self.request.instance),
            release=release_of(self.request.instance),
        )
        claimed = await self._quick(Records.claim, wanted, "claim")
        claim, self.deadlines = claimed.claim, claimed.deadlines
        refused = refusal(claim, self.request)
        if refused is not None:
            raise ApplicationError(refused.message, refused, type="Refused", non_retryable=True)
        if claim.verdict is Verdict.FINISHED and claim.operation is not None:
            self._result = stored_result(claim.operation)
            raise _Known
        if claim.instance is not None:
            self._former = claim.former
            self._work = _work(self.request, claim.instance)

    async def _attempt(self, name: str, act: Activity[T], within: timedelta, lasts: int) -> T:
        return await workflow.execute_activity_method(
            act,
            self.work,
            start_to_close_timeout=within + GRACE,
            schedule_to_close_timeout=within * lasts + GRACE * 2,
            heartbeat_timeout=timedelta(seconds=10),
            retry_policy=RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"{name} {self.request.instance}",
        )

    async def _finish(self, status: Status, outcome: Outcome, cause: Cause | None) -> None:
        """Write the end in both rows, for as long as it takes, and take the result from the row as reread."""
        ready = self._ready
        if outcome is Outcome.DONE:
            self._say("record", StepState.DONE)
        ending = Ending(
            request_id=self.request.request_id,
            instance=self.request.instance,
            generation=self.work.generation,
            status=status,
            outcome=outcome,
            url=ready.url if ready else None,
            revision=ready.revision if ready else None,
            cause=cause,
            steps=self._events,
        )
        row: Instance = await self._quick(Records.finish, ending, "record")
        self._outcome = outcome
        self._result = self._result_now(row.status, cause, row)

    def _result_now(self, status: Status, cause: Cause | None, row: Instance | None = None) -> OperationResult:
        return OperationResult(
            request_id=self.request.request_id,
            kind=self.request.kind,
            instance=self.request.instance,
            outcome=self._outcome,
            status=status,
            generation=self.work.generation,
            url=row.url if row else None,
            revision=row.revision if row else None,
            cause=cause,
            steps=list(self._events),
        )

    async def _quick(
        self, act: Callable[[Any, Any], Awaitable[T]], argument: Any, name: str, *, at_most: timedelta | None = None
    ) -> T:
        """One fast call as a local activity; after `QUICK` of failure as a normal one, tried until it is done."""
        try:
            return await workflow.execute_local_activity_method(
                act,
                argument,
                # No start_to_close_timeout: its timer outlives the activity, and panics in the SDK when a worker stops.
                schedule_to_close_timeout=QUICK,
                retry_policy=RETRY,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        except ActivityError as error:
            found = causes.application_error(error)
            if causes.is_cancelled(error) or (found is not None and found.non_retryable):
                raise
        return await workflow.execute_activity_method(
            act,
            argument,
            start_to_close_timeout=timedelta(seconds=60),
            schedule_to_close_timeout=at_most,
            heartbeat_timeout=timedelta(seconds=10),
            retry_policy=RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"{name} {self.request.instance}",
        )

    # What people see

    async def _say_around(self, step: str, doing: Coroutine[Any, Any, T]) -> T:
        self._step = step
        if workflow.cancellation_reason() is not None and not self._only_forward:
            # A completion and a cancellation in the same task lose the cancellation: it is looked for between steps.
            doing.close()
            raise asyncio.CancelledError
        self._say(step, StepState.STARTED)
        try:
            done = await doing
        except _Known:
            raise
        except (FailureError, asyncio.CancelledError) as error:
            self._say(step, StepState.FAILED, str(causes.cause_of(error, step)))
            raise
        if step != "record":
            self._say(step, StepState.DONE)
        return done

    def _say(self, step: str, state: StepState, detail: str = "") -> None:
        self._events.append(StepEvent(step=step, state=state, at=workflow.now(), detail=detail))


def _work(request: Request, row: Instance) -> Work:
    return Work(
        request_id=request.request_id,
        kind=request.kind,
        instance=row.name,
        tenant=row.tenant,
        plan=row.plan,
        namespace=row.namespace,
        release=row.release,
        generation=row.generation,
    )


def _failure(result: OperationResult) -> ApplicationError:
    message = result.cause.message if result.cause else f"{result.kind} ended {result.outcome}"
    return ApplicationError(message, result, type="OperationFailed", non_retryable=True)
