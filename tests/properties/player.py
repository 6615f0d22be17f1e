"""Plays a sequence of requests, troubles, decisions and time on a fresh world, one step after the other.

A step is over when every operation has ended, hangs in a call that is held, or waits for an operator's decision, so
that the same steps lead to the same world. After each the invariants are looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from in_memory import World
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from innkeeper.client import OperationHandle
from innkeeper.client.desk import TemporalDesk
from innkeeper.model.errors import Answer, OperationFailed, Pending, Refused
from innkeeper.model.instance import TRANSITIONS, Kind, Status
from innkeeper.model.messages import (
    DECIDE_UPDATE,
    NEXT_UPDATE,
    PROGRESS_QUERY,
    SWEEP_WORKFLOW,
    TASK_QUEUE,
    Choice,
    Decision,
    Delivered,
    NextRequest,
    OperationResult,
    Outcome,
    Progress,
    Question,
    Request,
)
from innkeeper.model.names import handover_id_of, workflow_id_of
from innkeeper.model.sweeps import Swept

from .invariants import Seen
from .judging import Judge
from .seats import Seat, Wrong
from .troubles import Hold, Trouble
from .watching import Watching

PATIENCE = 120.0
"""Seconds in which an operation comes to its end, hangs or asks, however busy the machine."""

LONG_AGO = timedelta(days=1)
"""Older than any operation may be before a sweep takes it for lost."""


class Player:
    """One sequence on one world."""

    def __init__(self, world: World, names: Sequence[str], tally: Counter[str], *, skips_time: bool) -> None:
        assert isinstance(world.faults, Watching)
        self.world = world
        self.watching = world.faults
        self.seats = {name: Seat(name) for name in names}
        self.tally = tally
        """What happened, and how often."""
        self.skips_time = skips_time
        """Time passes at once while operations wait; else they are parked until somebody decides."""
        self.runs: list[tuple[str, str]] = []
        """Every run that was started, by workflow and run id."""
        self._judge = Judge(world)
        self._desk = TemporalDesk(world.client, TASK_QUEUE)

    # Requests

    async def ask(self, request: Request, meet: str, trouble: Trouble | None, hold: Hold | None) -> None:
        """Hand in a request; where an operation runs, as `meet` says: reject, wait or replace."""
        seat = self.seats[request.instance]
        seat.asked.append(request)
        if trouble is not None:
            trouble.befall(seat.name, self.watching)
        if seat.handle is None:
            if hold is not None:
                seat.hold = hold.befall(seat.name, self.watching)
            await self._begin(seat, request)
        elif meet == "reject":
            await self._rejected(seat, request)
        else:
            await self._queue(seat, request, replace=meet == "replace")
        await self.settle()

    async def again(self, name: str) -> None:
        """Hand in the last request once more, under its request id."""
        seat = self.seats[name]
        request = seat.asked[-1]
        known = self.world.database.records.get(request.request_id)
        ended = known is not None and known.outcome is not Outcome.RUNNING
        row = self.world.database.rows.get(name)
        if seat.handle is not None:
            with contextlib.suppress(Pending):
                run_id = await self._desk.deliver(request)
                seat.demand(seat.request == request and run_id == seat.handle.run_id, "another run for one id")
        else:
            await self._begin(seat, request)
        await self.settle()
        if ended:
            self.tally["asked again"] += 1
            seat.demand(self.world.database.records[request.request_id] == known, "an outcome has changed")
            seat.demand(self.world.database.rows.get(name) == row, "asking again changed the row")

    async def _begin(self, seat: Seat, request: Request) -> None:
        seat.before = await Seen.of(self.world, seat.name)
        run_id = await self._desk.deliver(request)
        self._follow(seat, request, run_id)

    def _follow(self, seat: Seat, request: Request, run_id: str) -> None:
        seat.handle, seat.request = OperationHandle(self.world.client, seat.name, run_id), request
        self.runs.append((workflow_id_of(seat.name), run_id))

    async def _rejected(self, seat: Seat, request: Request) -> None:
        row = self.world.database.rows.get(seat.name)
        try:
            await self._desk.deliver(request)
        except Pending:
            seat.demand(self.world.database.rows.get(seat.name) == row, "a rejected request changed the row")
            self.tally["rejected"] += 1
            return
        raise Wrong(f"{seat.name}: two operations at once")

    async def _queue(self, seat: Seat, request: Request, *, replace: bool) -> None:
        wanted = NextRequest(request=request, replace=replace)
        displaced = seat.next
        try:
            await self._workflow(seat).execute_update(NEXT_UPDATE, wanted)
        except WorkflowUpdateFailedError as error:
            told = error.cause
            busy = displaced is not None and not replace
            illegal = replace and isinstance(told, ApplicationError) and told.type == "BadInput"
            seat.demand(busy or illegal, "a free place was refused")
            self.tally["could not follow"] += illegal
            return
        seat.next = request
        self.tally["replaces" if replace else "waits"] += 1
        if displaced is not None:
            self.runs.append((handover_id_of(displaced.request_id), ""))
            try:
                await self.world.client.get_workflow_handle(handover_id_of(displaced.request_id)).result()
            except WorkflowFailureError:
                return
            raise Wrong(f"{seat.name}: a displaced request was delivered")

    # What befalls operations

    async def cancel(self, name: str, *, answered: bool) -> None:
        """Ask the operation to stop; the call that is held answers at once, or never."""
        seat = self.seats[name]
        if seat.handle is None:
            return
        await seat.handle.cancel()
        if answered:
            await asyncio.sleep(0.1)
            seat.let_go()
        await self._past_hold(seat)
        await self.settle()

    async def let_go(self, name: str) -> None:
        """Let the call that is held answer."""
        self.seats[name].let_go()
        await self.settle()

    async def terminate(self, name: str, *, answered: bool) -> None:
        """End the operation's workflow as a person can; the call that is held has its effect late, or never."""
        seat = self.seats[name]
        if seat.handle is None:
            return
        run_id = seat.handle.run_id
        await self._workflow(seat).terminate("by hand")
        self.tally["terminated"] += 1
        if answered:
            seat.let_go()
        await self.watching.silent(run_id or "")
        seat.let_go()
        row = self.world.database.rows.get(name)
        seat.lost = row is not None and not row.status.settled
        seat.handle, seat.request, seat.next, seat.question = None, None, None, None
        await self.settle()

    async def decide(self, name: str, choice: Choice) -> None:
        """An operator's answer to what the operation asks; nothing where it does not ask, or not that."""
        seat = self.seats[name]
        if seat.question is None or choice not in seat.question.choices:
            return
        await self._workflow(seat).execute_update(DECIDE_UPDATE, Decision(choice=choice, operator="ada"))
        self.tally[f"decided: {choice}"] += 1
        await self._until_answered(seat)
        await self.settle()

    async def expire(self, name: str) -> None:
        """Nobody answers until the question's deadline."""
        seat = self.seats[name]
        if seat.question is None:
            return
        await self.world.environment.fast_forward(self._workflow(seat), timedelta(days=2))
        self.tally["not decided in time"] += 1
        await self._until_answered(seat)
        await self.settle()

    async def sweep(self) -> None:
        """Some time passes, and the sweep looks for operations that were lost."""
        lost = [seat for seat in self.seats.values() if seat.is_lost]
        for seat in lost:
            row = self.world.database.rows[seat.name]
            self.world.database.rows[seat.name] = row.model_copy(update={"updated_at": datetime.now(UTC) - LONG_AGO})
            seat.before = await Seen.of(self.world, seat.name)
        sweep_id = f"sweep-{uuid.uuid4().hex}"
        swept: Swept = await self.world.client.execute_workflow(
            SWEEP_WORKFLOW, id=sweep_id, task_queue=TASK_QUEUE, result_type=Swept
        )
        self.runs.append((sweep_id, ""))
        found = (swept.repairs, swept.failed)
        if found != (sorted(seat.name for seat in lost), 0):
            raise Wrong(f"lost are {[seat.name for seat in lost]}, the sweep says {swept}")
        self.tally["found by a sweep"] += len(lost)
        for seat in lost:
            handle = await self.world.innkeeper.latest(seat.name)
            assert handle is not None
            row = self.world.database.rows[seat.name]
            asked = Request(
                kind=Kind.REPAIR, instance=seat.name, request_id=f"sweep-{seat.name}-{seat.generation}", tenant="t1"
            )
            self._follow(seat, asked, handle.run_id or "")
        await self.settle()

    async def heal(self) -> None:
        """From now on everything works, and nothing hangs."""
        self.watching.clear()
        for seat in self.seats.values():
            seat.let_go()
        await self.settle()

    # The end

    async def clean_up(self) -> None:
        """Everything can be brought to an end: what was lost is repaired, what there is uninstalled and purged."""
        await self.heal()
        for name, seat in self.seats.items():
            while seat.question is not None:
                await self.expire(name)
        await self.sweep()
        for name, seat in self.seats.items():
            for kind in (Kind.UNINSTALL, Kind.PURGE):
                row = self.world.database.rows.get(name)
                if row is None or (row.status is Status.PURGED):
                    continue
                await self.ask(Request.of(kind, name, request_id=uuid.uuid4().hex), "reject", None, None)
                status = self.world.database.rows[name].status
                seat.demand(status is TRANSITIONS[kind].after, f"{kind} ended {status}")
            seat.demand(await self.world.namespace(name) is None, "its namespace is still there")
        await self._judge.nothing_told(self.seats, self.runs)

    async def leave(self) -> None:
        """Let nothing of this sequence run any more, however it went."""
        self.watching.clear()
        self.watching.overlaps.clear()
        for seat in self.seats.values():
            seat.let_go()
            if seat.handle is not None:
                with contextlib.suppress(RPCError):
                    await self._workflow(seat).terminate()
            # No sweep of a later sequence asks for what this one lost.
            self.world.database.rows.pop(seat.name, None)

    # Settling

    async def settle(self) -> None:
        """Wait until nothing moves, then look at the invariants."""
        for seat in self.seats.values():
            await self._settle(seat)
        if self.watching.overlaps:
            raise Wrong(f"two operations at once: {self.watching.overlaps}")

    async def _settle(self, seat: Seat) -> None:
        while seat.handle is not None:
            ended = await self._comes_to(seat, seat.handle)
            if ended is None:
                break
            request, handle = seat.request, seat.handle
            assert request is not None
            self.tally[f"{request.kind} {_outcome(ended)}"] += 1
            seat.handle = seat.request = seat.question = None
            # Not reached, or passed: it must not meet an operation that comes later.
            seat.let_go()
            seat.lost = seat.lost and isinstance(ended, Refused)
            following, seat.next = seat.next, None
            try:
                self._judge.end(seat, request, ended)
                if following is None:
                    await self._judge.instance(seat, ended)
            except Wrong as error:
                raise Wrong(f"{error}\nafter {request.kind} (run {handle.run_id}), which ended {ended!r}") from None
            if following is not None:
                await self._take_over(seat, following)
        if seat.handle is None:
            await self._judge.instance(seat)

    async def _comes_to(self, seat: Seat, handle: OperationHandle) -> OperationResult | Answer | None:
        """The operation's end; None where it hangs or is parked."""
        ending = asyncio.ensure_future(_ending(handle))
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    await asyncio.wait({ending}, timeout=0.02)
                    if ending.done():
                        return ending.result()
                    if seat.hold is not None and seat.hold.reached.is_set():
                        self.tally["held"] += 1
                        return None
                    if not self.skips_time and (question := await self._asks(seat)) is not None:
                        seat.question = question
                        self.tally["parked"] += 1
                        return None
        except TimeoutError:
            raise Wrong(f"{seat.name}: {seat.request} comes to no end") from None
        finally:
            ending.cancel()

    async def _asks(self, seat: Seat) -> Question | None:
        told: Progress = await self._workflow(seat).query(PROGRESS_QUERY, result_type=Progress)
        return told.question

    async def _until_answered(self, seat: Seat) -> None:
        asked, seat.question = seat.question, None
        assert asked is not None
        async with asyncio.timeout(PATIENCE):
            while (now := await self._asks(seat)) is not None and now.id == asked.id:
                await asyncio.sleep(0.02)

    async def _take_over(self, seat: Seat, request: Request) -> None:
        """Follow the request that waited, once it is handed over."""
        self.runs.append((handover_id_of(request.request_id), ""))
        handing = self.world.client.get_workflow_handle(handover_id_of(request.request_id), result_type=Delivered)
        seat.before = None
        self._follow(seat, request, (await handing.result()).run_id)

    async def _past_hold(self, seat: Seat) -> None:
        """A held call ends by its operation's cancellation, which a heartbeat tells it; an undo's goes on."""
        if seat.hold is not None and seat.handle is not None and seat.hold.reached.is_set():
            with contextlib.suppress(TimeoutError):
                await self.watching.silent(seat.handle.run_id or "", within=6)
            seat.let_go()

    def _workflow(self, seat: Seat) -> WorkflowHandle[Any, Any]:
        assert seat.handle is not None
        return self.world.client.get_workflow_handle(workflow_id_of(seat.name), run_id=seat.handle.run_id)


async def _ending(handle: OperationHandle) -> OperationResult | Answer:
    try:
        return await handle.result()
    except Answer as answer:
        return answer


def _outcome(ended: OperationResult | Answer) -> str:
    result = ended.result if isinstance(ended, OperationFailed) else ended
    return str(result.outcome) if isinstance(result, OperationResult) else "refused"
