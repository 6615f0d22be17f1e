"""The frame that operations share: check, claim, steps with their undos, record, and the bad ends of all of them.

An operation is written as `async with self.saga as saga:` around its steps. Leaving the block by an error walks the
ledger backwards: every undo was registered before its step began, so it accepts that its step was never made. That
walk, and the write that ends it, cannot be cancelled. Whatever the end, the request that waits for it is handed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from ..activities.checks import Checks
    from ..activities.heavy_steps import is_heavy
    from ..activities.records import Records
    from ..activities.workloads import Workloads
    from ..model import claim as claims
    from ..model.catalog import Deadlines
    from ..model.endings import NOTHING_OF_OURS, Undone, end_of
    from ..model.errors import Cause
    from ..model.instance import Instance, Kind, Status
    from ..model.messages import (
        Choice,
        NextRequest,
        OperationResult,
        Outcome,
        Prepared,
        Progress,
        Ready,
        Request,
        StepState,
        Work,
    )
    from ..model.record_messages import Ending, Verdict

from . import calls, causes, unheard
from .calls import Activity
from .journal import Journal
from .ledger import Ledger
from .parking import Parking
from .shield import uninterrupted
from .succession import Succession

T = TypeVar("T")

CHECK_PATIENCE = timedelta(minutes=2)
"""How long a check is tried before the request is refused with what kept it: nothing was touched yet."""


class _Known(Exception):
    """The request's operation has ended before; its stored outcome is the answer."""


class Saga:
    """One operation's life."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.deadlines = Deadlines()
        self.journal = Journal()
        self.parking = Parking(request.instance, self.journal)
        self.succession = Succession(request)
        self.former: Status | None = None
        """The instance's settled status before the operation, None where it made the instance."""
        self.found: Status | None = None
        """The row's status that the claim met; a transitional one names an operation that was lost."""
        self.upgrade_pending = False
        """The release is still to be brought to the instance's plan."""
        self.asks_before_undoing = False
        """The plan wants an operator asked before a failed upgrade is taken back."""
        self._main: asyncio.Task[Any] | None = None
        self._storage = 0
        self._replaced = False
        self._failing = False
        self._had_heavy_step = False
        self._ledger = Ledger(self.journal, self.parking)
        self._outcome = Outcome.RUNNING
        self._work: Work | None = None
        self._ready: Ready | None = None
        self._standing: list[str] = []
        """Steps that change something and have no undo: what was begun of them stands."""
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

    def register(self, name: str, undo: Activity[Any]) -> None:
        """Have something done should the operation fail: the last registered is done first."""
        self._ledger.register(name, undo)

    def settles(self) -> None:
        """Before the first step: what ran must be found ready again, last of all, before the row says that it runs."""
        if self.came_from(Status.RUNNING):
            self._ledger.register("settle", Workloads.settle, settles=True)

    async def step(
        self,
        name: str,
        act: Activity[T],
        *,
        within: float,
        undo: Activity[Any] | None = None,
        lasts: int = 1,
        parks: bool = False,
    ) -> T:
        """Do one step, its undo registered first.

        Args:
            name: what people know it by.
            act: the activity.
            within: the deadline of one attempt in seconds.
            undo: takes it back; None: what it did stands.
            lasts: how many spans of `within` the step may take in all.
            parks: a failure is put to an operator, before anything is taken back.
        """
        if undo is not None:
            self.register(name, undo)
        else:
            self._standing.append(name)
        return await self._insist(name, act, within, lasts, parks)

    async def wait_for(self, name: str, act: Activity[T], *, within: float, parks: bool = False) -> T:
        """Do one step that makes nothing which would have to be taken back."""
        return await self._insist(name, act, within, 1, parks)

    def came_from(self, status: Status) -> bool:
        """Whether this was the instance's settled status before the operation: what an undo may bring back."""
        return self.former is status

    def observed(self, prepared: Prepared) -> None:
        """Note what the prepare step observed, for the steps and undos after it."""
        self._work = self.work.model_copy(update={"former_revision": prepared.former_revision})

    def point_of_no_return(self, ready: Ready | None = None) -> None:
        """From here on the operation only goes forward: nothing is undone and a cancellation comes too late."""
        self._ledger.clear()
        self._only_forward = True
        self._ready = ready

    async def record(self, status: Status, *, upgrade_pending: bool = False) -> None:
        """Write the good end, however long that takes. Only what is stopped can have an upgrade that waits."""
        self._only_forward = True
        self.upgrade_pending = status is Status.STOPPED and (upgrade_pending or self.upgrade_pending)
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

    # What is asked of it from outside

    def progress(self) -> Progress:
        """The answer to the query."""
        waiting = self.succession.waiting
        return Progress(
            request_id=self.request.request_id,
            kind=self.request.kind,
            outcome=self._outcome,
            tenant=self._work.tenant if self._work else self.request.tenant,
            events=list(self.journal.events),
            now=self.journal.step,
            question=self.parking.question,
            next=waiting.request_id if waiting else None,
        )

    def refuse_next(self, wanted: NextRequest) -> None:
        """Pass only a request that can have the place, and could begin then.

        Raises:
            ApplicationError: of the type `Ended`, `Busy` or `BadInput`.
        """
        refused: Cause | None = None
        if self._work is not None:
            badly = self._failing or bool(self._standing)
            ends = claims.possible_ends(self.request.kind, self.found, self.former, badly=badly)
            refused = claims.refusal_to_follow(wanted, self._work, self.former, ends)
        self.succession.refuse(wanted, refused)

    async def take_next(self, wanted: NextRequest) -> Request:
        """Let a request wait for the end; one that replaces makes the operation stop and take back what it made.

        What asks for the same as this operation replaces nothing, nor what has its outcome already, nor, until a claim
        tells the owner, what names another tenant than this operation: it waits.
        """
        request = wanted.request
        if wanted.replace and await self._must_wait(request):
            wanted = NextRequest(request=request)
        # The claim, or another request, may have come meanwhile.
        self.refuse_next(wanted)
        if wanted.replace and request.kind is not self.request.kind:
            self._replaced = True
            self.parking.give_way(f"{request.kind} (request {request.request_id}) comes next")
            if self._main is not None:  # pragma: no branch  # the first step has begun while the request was looked up
                self._main.cancel()
        return await self.succession.take(wanted)

    async def _must_wait(self, request: Request) -> bool:
        if self._work is None and request.tenant not in (None, self.request.tenant):
            return True
        return await calls.quick("known", Records.known, request, instance=request.instance)

    # The frame

    async def __aenter__(self) -> Saga:
        self._main = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None and not isinstance(error, _Known | asyncio.CancelledError | FailureError):
            return False  # A bug: the workflow task fails, the operation stays, and a mended worker carries on.
        failure = await uninterrupted(self._end(error))
        if failure is not None:
            raise failure from None
        return True

    async def _end(self, error: BaseException | None) -> ApplicationError | None:
        """Bring the operation to its end; what it is to raise, None where it ended well."""
        failure: ApplicationError | None = None
        error = await self._reclaim(error)
        if isinstance(error, _Known):
            self._outcome = self.result.outcome
            failure = None if self._outcome is Outcome.DONE else causes.failure_of(self.result)
        elif error is not None:
            failure = await self._end_badly(error)
        await self.succession.hand_over()
        return failure

    async def _reclaim(self, error: BaseException | None) -> BaseException | None:
        """Take up a claim that this history does not hold, if there is one."""
        try:
            if error is not None and self._work is None and await unheard.is_claimed(self.request, error):
                await self._claim()
        except _Known as known:
            return known
        return error

    async def _end_badly(self, error: BaseException) -> ApplicationError:
        step = self.journal.step
        cause = causes.cause_of(error, step)
        if self._work is None:
            return ApplicationError(cause.message, cause, type="Refused", non_retryable=True)
        self._failing = True
        self.journal.tell(f"**{step}** failed: {cause}")
        if causes.error_type(error) == "Superseded":
            return self._superseded(cause)
        cancelled = causes.is_cancelled(error)
        nothing_of_ours = cause.code in NOTHING_OF_OURS
        settled = cancelled or (self.request.kind is Kind.UPGRADE and not nothing_of_ours)
        left = await self._ledger.walk(self.work, self.deadlines, settled=settled)
        self._ready = self._ledger.ready or self._ready
        # What led back to where the instance was found, as it was found there, is not left over.
        begun = set() if nothing_of_ours or self._ledger.sure else {event.step for event in self.journal.events}
        standing = [f"what {step} did" for step in self._standing if step in begun]
        if left or standing:
            left = [*left, *standing, *await self._ledger.survey(self.work)]
        unsure = self.found is not self.former and not self._ledger.sure
        taken_back = self._ledger.taken_back and not standing
        end = end_of(Undone(cause, cancelled, left, taken_back, unsure), self.work, self.former)
        self.upgrade_pending = self.upgrade_pending or end.upgrade_pending
        try:
            await self._finish(end.status, end.outcome, end.cause, plan=end.plan)
        except FailureError as late:
            return self._superseded(causes.cause_of(late, "record"))
        return causes.failure_of(self.result)

    def _superseded(self, cause: Cause) -> ApplicationError:
        self._outcome = Outcome.SUPERSEDED
        return causes.failure_of(self._result_now(Status.ERROR, cause))

    # Single steps

    async def _check(self) -> None:
        admission = await calls.quick(
            "check", Checks.check, self.request, instance=self.request.instance, at_most=CHECK_PATIENCE
        )
        self.deadlines, self._storage = admission.deadlines, admission.storage_mib

    async def _claim(self) -> None:
        info = workflow.info()
        wanted = claims.claim_of(self.request, info.workflow_id, info.run_id, self._storage)
        claimed = await calls.quick("claim", Records.claim, wanted, instance=self.request.instance)
        claim, self.deadlines = claimed.claim, claimed.deadlines
        self.asks_before_undoing = claimed.on_upgrade_failure == "park"
        refused = claims.refusal(claim, self.request)
        if refused is not None:
            raise ApplicationError(refused.message, refused, type="Refused", non_retryable=True)
        if claim.verdict is Verdict.FINISHED and claim.operation is not None:
            self._result = claims.stored_result(claim.operation)
            raise _Known
        row = claims.row_of(claim)
        self.former, self.found = claim.former, claim.found
        self.upgrade_pending = claims.wish_is_open(row, claim.found)
        self._work = claims.work_of(self.request, row, claim)

    async def _insist(self, name: str, act: Activity[T], within: float, lasts: int, parks: bool) -> T:
        """Do a step, again for as long as an operator says so."""
        goes_on, self._had_heavy_step = self._had_heavy_step, self._had_heavy_step or is_heavy(act)
        while True:
            try:
                trying = calls.attempt(name, act, self.work, within=within, lasts=lasts, goes_on=goes_on)
                return await self._say_around(name, trying)
            except ActivityError as error:
                cause, cancelled = causes.cause_of(error, name), causes.is_cancelled(error) or self._is_to_stop()
                if not parks or cancelled or causes.error_type(error) == "Superseded" or cause.code in NOTHING_OF_OURS:
                    raise
                choice = await self.parking.ask(name, cause, undo=False, within=self.deadlines.decision)
                if choice is not Choice.RETRY:
                    raise

    def _is_to_stop(self) -> bool:
        return self._replaced or workflow.cancellation_reason() is not None

    async def _finish(self, status: Status, outcome: Outcome, cause: Cause | None, *, plan: str | None = None) -> None:
        """Write the end in both rows, for as long as it takes, and take the result from the row as reread."""
        ready = self._ready
        if outcome is Outcome.DONE:
            self.journal.say("record", StepState.DONE)
        ending = Ending(
            request_id=self.request.request_id,
            instance=self.request.instance,
            generation=self.work.generation,
            status=status,
            outcome=outcome,
            url=ready.url if ready else None,
            revision=ready.revision if ready else None,
            cause=cause,
            steps=self.journal.events,
            decisions=self.parking.decided,
            plan=plan,
            upgrade_pending=self.upgrade_pending,
            sizes=ready.sizes if ready else None,
        )
        row: Instance = await calls.quick(
            "record", Records.finish, ending, instance=self.request.instance, tenant=self.work.tenant
        )
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
            steps=list(self.journal.events),
            decisions=list(self.parking.decided),
        )

    # What people see

    async def _say_around(self, step: str, doing: Coroutine[Any, Any, T]) -> T:
        self.journal.step = step
        if self._is_to_stop() and not self._only_forward:
            # A completion and a cancellation in the same task lose the cancellation: it is looked for between steps.
            doing.close()
            raise asyncio.CancelledError
        self.journal.say(step, StepState.STARTED)
        try:
            done = await doing
        except _Known:
            raise
        except (FailureError, asyncio.CancelledError) as error:
            self.journal.say(step, StepState.FAILED, str(causes.cause_of(error, step)))
            raise
        if step != "record":
            self.journal.say(step, StepState.DONE)
        return done
