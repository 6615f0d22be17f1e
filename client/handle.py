"""A caller's hold on one operation: pinned to its run, so that it never drifts to the instance's next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from ..model.errors import Answer, BadInput, InnkeeperError, OperationFailed, Refused, Unreachable
from ..model.messages import (
    PROGRESS_QUERY,
    OperationResult,
    Outcome,
    Progress,
    StepEvent,
)
from ..model.names import workflow_id_of
from . import pending, runs
from .connection import ANSWER_WITHIN, TRANSIENT, is_unknown, translated
from .descriptions import OperationDescription
from .endings import ending_of
from .timeline import Timeline, timeline_of
from .waiting import Turn

PATIENCE = timedelta(seconds=60)
"""How long `result` and `progress` outlast a silent Temporal or the absence of a worker."""

_QUICKEST, _SLOWEST = 0.1, 0.5
_QUERY_WITHIN = timedelta(seconds=2)


class OperationHandle:
    """One operation, running or ended, or the request that waits for its turn to be one. Made by `Innkeeper`.

    Of a request that waits, `result` and `progress` wait for its turn, too.
    """

    def __init__(
        self,
        client: Client,
        instance: str,
        run_id: str | None,
        *,
        turn: Turn | None = None,
        patience: timedelta = PATIENCE,
    ) -> None:
        self.instance = instance
        self._run_id = run_id
        self._turn = turn
        self._client = client
        self._patience = patience.total_seconds()

    @property
    def run_id(self) -> str | None:
        """The operation's run at Temporal; None of a request that waits, until a method has found that its turn came.

        Store it to make the handle again by `Innkeeper.handle_for`; while it is None, the request's id does for that.
        """
        return self._run_id

    def __repr__(self) -> str:
        which = f", waiting={self._turn.request.request_id!r}" if self._turn and not self._run_id else ""
        return f"OperationHandle(instance={self.instance!r}, run_id={self._run_id!r}{which})"

    async def result(self) -> OperationResult:
        """Wait for the end, over restarts of workers and Temporal alike.

        Raises:
            OperationFailed: it ended without what was asked; `.result` says what is left.
            Refused: nothing was touched; a request that waited may have lost its place to another one.
            Unreachable: Temporal was silent for longer than the handle's patience (60 s).

        >>> handle = await innkeeper.provision("acme", tenant="t1", plan="starter")
        >>> (await handle.result()).status.value
        'running'
        """
        ending = await self._ending()
        if isinstance(ending, Answer):
            raise ending
        return ending

    async def progress(self) -> AsyncGenerator[StepEvent, None]:
        """Each step event once, in order, from the first; ends when the operation has ended, however it did.

        Raises:
            Unreachable: no worker or no Temporal answered for longer than the handle's patience (60 s).

        >>> handle = await innkeeper.provision("globex", tenant="t1", plan="starter")
        >>> events = [event async for event in handle.progress()]
        >>> events[0].step, events[0].state.value
        ('check', 'started')
        """
        seen: set[StepEvent] = set()
        interval = _QUICKEST
        heard = time.monotonic()
        ending = asyncio.create_task(self._ending())
        try:
            while not (await asyncio.wait({ending}, timeout=interval))[0]:
                try:
                    told = (await self._query()).events if self._run_id else []
                    heard = time.monotonic()
                except (RPCError, WorkflowQueryFailedError) as error:
                    self._check_patience(heard, error)
                    told = []
                fresh = _unseen(told, seen)
                interval = _QUICKEST if fresh else min(_SLOWEST, interval * 1.5)
                for event in fresh:
                    yield event
            for event in _unseen(_steps(await ending), seen):
                yield event
        finally:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)

    async def events(self) -> list[StepEvent]:
        """The step events so far, without waiting for more; none of a request that waits for its turn.

        Raises:
            BadInput: Temporal does not know the run (any more).
            Unreachable: no worker or no Temporal answered.

        >>> handle = await innkeeper.restart("hooli")
        >>> result = await handle.result()
        >>> (await handle.events()) == result.steps
        True
        """
        try:
            run = await self._run()
        except Refused:
            return []
        if run is None:
            return []
        if run.running:
            try:
                return (await self._query()).events
            except (RPCError, WorkflowQueryFailedError) as error:
                raise self._no_worker(f"answers for {self.instance}", error) from error
        return list(_steps(await self._ending()))

    async def cancel(self) -> None:
        """Ask the operation to stop and to take back what it made; `result` then says how that went.

        An operation that has ended is not changed by it.

        Raises:
            BadInput: Temporal does not know the run, or the request still waits for its turn.
            Unreachable: Temporal did not answer.
        """
        try:
            run = await self._run()
        except Refused:
            return  # It lost its turn, so that there is nothing to cancel any more.
        if run is None:
            raise BadInput(
                "request_id",
                self._waiting.request.request_id,
                "waits for its turn: there is nothing to cancel yet",
                fix="cancel it when it runs, or replace it: ask for what is wanted instead with on_conflict 'replace'",
                code="Waiting",
            )
        try:
            await self._workflow.cancel(rpc_timeout=ANSWER_WITHIN)
        except RPCError as error:
            if not is_unknown(error):
                raise self._unknown(error) from error

    async def describe(self) -> OperationDescription:
        """What the operation is and how it stands; answers within seconds even without a worker.

        Raises:
            BadInput: Temporal does not know the run (any more).
            Unreachable: Temporal did not answer.

        >>> handle = await innkeeper.provision("initech", tenant="t1", plan="starter", request_id="order-17")
        >>> (await handle.describe()).request_id
        'order-17'
        """
        try:
            run = await self._run()
        except Refused as refused:
            return self._described_by_its_turn(refused, "")
        if run is None:
            return self._described_by_its_turn(None, await self._waits_for())
        ending, told, waiting_for = None, None, ""
        if run.running:
            told, waiting_for = await asyncio.gather(self._told(), self.waiting_for())
        else:
            ending = await self._ending()
        return OperationDescription(
            request_id=run.request_id,
            kind=run.kind,
            instance=run.instance,
            tenant=run.tenant,
            run_id=run.run_id,
            asked_by=run.asked_by,
            outcome=_outcome(ending),
            cause=ending.cause if ending else None,
            started_at=run.started_at,
            ended_at=run.ended_at,
            now=told.now if told else "a worker" if run.running else "",
            waiting_for=waiting_for,
            question=told.question if told else None,
        )

    async def waiting_for(self) -> str:
        """What the step under way waits for just now, in words for people; empty where nothing is said of it.

        >>> handle = await innkeeper.provision("soylent", tenant="t1", plan="starter")
        >>> result = await handle.result()
        >>> await handle.waiting_for()
        ''
        """
        return await pending.waiting_for(self._client, self._workflow) if self._run_id else ""

    async def timeline(self) -> Timeline:
        """Where the operation's time went so far: queues, workflow code, and each step by what it works on.

        Raises:
            BadInput: Temporal does not know the run (any more), or the request still waits for its turn.
            Refused: the request lost its turn to another one.
            Unreachable: Temporal did not answer.

        >>> handle = await innkeeper.provision("umbrella", tenant="t1", plan="starter")
        >>> result = await handle.result()
        >>> (await handle.timeline()).spans[0].part.value
        'queue'
        """
        run = await self._run()
        if run is None:
            raise BadInput(
                "request_id",
                self._waiting.request.request_id,
                "has no run whose time could be told",
                fix="ask again once it runs",
                code="Waiting",
            )
        try:
            described = await self._workflow.describe()
            history = await self._workflow.fetch_history()
        except RPCError as error:
            raise self._unknown(error) from error
        return timeline_of(run, history.events, described.raw_description.pending_activities)

    def _described_by_its_turn(self, refused: Refused | None, now: str) -> OperationDescription:
        request = self._waiting.request
        return OperationDescription(
            request_id=request.request_id,
            kind=request.kind.value,
            instance=request.instance,
            tenant=request.tenant,
            run_id=None,
            asked_by=request.asked_by,
            outcome=_outcome(refused),
            cause=refused.cause if refused else None,
            started_at=None,
            ended_at=None,
            now=now,
        )

    @property
    def _workflow(self) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(workflow_id_of(self.instance), run_id=self._run_id)

    @property
    def _waiting(self) -> Turn:
        if self._turn is None:
            raise RuntimeError("a handle of neither a run nor a turn")
        return self._turn

    async def _run(self) -> runs.Run | None:
        """The run as Temporal describes it, None while the request waits for its turn."""
        try:
            self._run_id = self._run_id or await self._waiting.look()
            if self._run_id is None:
                return None
            return await runs.describe(self._client, self._workflow.id, self._run_id)
        except RPCError as error:
            raise self._unknown(error) from error

    async def _waits_for(self) -> str:
        try:
            return await self._waiting.waits_for()
        except RPCError as error:
            raise self._unknown(error) from error

    async def _ending(self) -> OperationResult | Answer:
        while True:
            try:
                self._run_id = self._run_id or await self._waiting.come()
                return await ending_of(self._client, self.instance, self._run_id)
            except Refused as refused:
                return refused
            except RPCError as error:
                if error.status not in TRANSIENT:
                    raise self._unknown(error) from error
                await self._until_reachable(error)

    async def _until_reachable(self, error: RPCError) -> None:
        given_up = time.monotonic() + self._patience
        while time.monotonic() < given_up:
            try:
                await self._workflow.describe(rpc_timeout=ANSWER_WITHIN)
                return
            except RPCError as later:
                if later.status not in TRANSIENT:
                    return
                error = later
                await asyncio.sleep(_SLOWEST)
        raise translated(error, self._client) from error

    async def _query(self) -> Progress:
        told: Progress = await self._workflow.query(PROGRESS_QUERY, result_type=Progress, rpc_timeout=_QUERY_WITHIN)
        return told

    async def _told(self) -> Progress | None:
        """What the operation says of itself, None where no worker answers."""
        try:
            return await self._query()
        except (RPCError, WorkflowQueryFailedError):
            return None

    def _check_patience(self, heard: float, error: RPCError | WorkflowQueryFailedError) -> None:
        silent = isinstance(error, RPCError) and error.status in TRANSIENT
        if isinstance(error, RPCError) and not silent and error.status is not RPCStatusCode.FAILED_PRECONDITION:
            raise self._unknown(error) from error
        if time.monotonic() - heard > self._patience:
            if isinstance(error, RPCError) and error.status is RPCStatusCode.UNAVAILABLE:
                raise translated(error, self._client) from error
            raise self._no_worker(f"has answered for {self.instance} for {self._patience:g} seconds", error) from error

    def _no_worker(self, silence: str, error: RPCError | WorkflowQueryFailedError) -> Unreachable:
        return Unreachable(
            f"no worker {silence}: {error}",
            code="NoWorker",
            object=self.instance,
            fix="start one with `innkeeper worker`; the operation waits for it",
        )

    def _unknown(self, error: RPCError) -> InnkeeperError:
        """Temporal's refusal; a run it does not know is the caller's to mend."""
        told = error.message.lower()
        if is_unknown(error) or (error.status is RPCStatusCode.INVALID_ARGUMENT and "runid" in told):
            return BadInput(
                "run_id",
                self._run_id,
                f"is no run of {self.instance} that Temporal still knows",
                fix="read the operation's row instead: `operation(request_id)`",
            )
        return translated(error, self._client)


def _steps(ending: OperationResult | Answer) -> Sequence[StepEvent]:
    result = ending.result if isinstance(ending, OperationFailed) else ending
    return result.steps if isinstance(result, OperationResult) else ()


def _unseen(events: Sequence[StepEvent], seen: set[StepEvent]) -> list[StepEvent]:
    fresh = [event for event in events if event not in seen]
    seen.update(fresh)
    return fresh


def _outcome(ending: OperationResult | Answer | None) -> Outcome:
    if ending is None:
        return Outcome.RUNNING
    if isinstance(ending, OperationFailed):
        return ending.result.outcome if ending.result else Outcome.LEFT_BEHIND
    return ending.outcome if isinstance(ending, OperationResult) else Outcome.UNDONE
