"""A request meets another in every step of it: it is rejected, waits or replaces, and never do both change things."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import pytest
from in_memory import World

from innkeeper.client import OperationHandle
from innkeeper.model.errors import Busy
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Outcome

from ..workflows.agreement import agree
from .operations import ACTIVITIES, ENDS, FAST, OPERATIONS, Operation, begin, bring_before, ended, together


class Meeting(NamedTuple):
    """A second request that comes during one step of an operation."""

    world: World
    operation: Operation
    step: str
    name: str

    @property
    def goes(self) -> bool:
        """The operation takes the instance away, so the second request brings it back; else it is the other way."""
        return self.operation.kind in (Kind.UNINSTALL, Kind.PURGE)

    async def second(self, on_conflict: str) -> OperationHandle:
        if self.goes:
            return await self.world.innkeeper.provision(
                self.name,
                tenant="t1",
                plan="prompt",
                on_conflict=on_conflict,  # type: ignore[arg-type]
            )
        return await self.world.innkeeper.uninstall(self.name, on_conflict=on_conflict)  # type: ignore[arg-type]

    async def demand_one_at_a_time(self) -> None:
        """No change began while another run's was in flight, and no run came back after another's turn."""
        assert [each for each in self.world.faults.overlaps if each.startswith(f"{self.name} ")] == []
        turns = self.world.faults.runs.get(self.name, [])
        assert len(turns) == len(set(turns))


def meetings(world: World, way: str) -> list[Meeting]:
    return [
        Meeting(world, operation, step, f"{way}-{name}-{step}")
        for name, operation in OPERATIONS.items()
        for step in operation.steps
    ]


async def meet(meeting: Meeting, on_conflict: str) -> tuple[OperationHandle, OperationHandle]:
    """The operation, and the request that came while the step was under way."""
    world, operation = meeting.world, meeting.operation
    await bring_before(world, operation, meeting.name)
    hang = world.faults.hang(f"{meeting.name} {ACTIVITIES.get(meeting.step, meeting.step)} *")
    first = await begin(world, operation, meeting.name)
    async with asyncio.timeout(60):
        await hang.reached.wait()
    asking = asyncio.ensure_future(meeting.second(on_conflict))
    if on_conflict == "wait" or meeting.step in FAST:
        # The workflow hears of it once a fast step has ended, and a hanging one does not end by itself.
        await asyncio.wait({asking}, timeout=0.5)
        hang.release()
    return first, await asking


async def test_a_request_that_meets_another_is_rejected_in_every_step_and_changes_nothing(world: World) -> None:
    async def play(meeting: Meeting) -> None:
        operation = meeting.operation
        await bring_before(world, operation, meeting.name)
        hang = world.faults.hang(f"{meeting.name} {ACTIVITIES.get(meeting.step, meeting.step)} *")
        first = await begin(world, operation, meeting.name)
        async with asyncio.timeout(60):
            await hang.reached.wait()
        with pytest.raises(Busy, match=f"{operation.kind} runs since"):
            await meeting.second("reject")
        hang.release()
        assert await ended(first) is Outcome.DONE
        await agree(world, meeting.name, operation.after)
        await meeting.demand_one_at_a_time()

    await together(play, meetings(world, "reject"))


async def test_a_request_that_waits_begins_when_the_other_has_ended_whatever_step_it_came_in(world: World) -> None:
    async def play(meeting: Meeting) -> None:
        first, second = await meet(meeting, "wait")
        assert (await ended(first), await ended(second)) == (Outcome.DONE, Outcome.DONE)
        await agree(world, meeting.name, Status.RUNNING if meeting.goes else Status.UNINSTALLED)
        await meeting.demand_one_at_a_time()

    await together(play, meetings(world, "wait"))


async def test_a_request_that_replaces_begins_when_the_other_has_taken_back_what_it_made(world: World) -> None:
    async def play(meeting: Meeting) -> None:
        first, second = await meet(meeting, "replace")
        assert await ended(first) in ENDS[meeting.operation.steps[meeting.step]]
        outcome = await ended(second)
        if await world.database.instance(meeting.name) is None:
            # Replaced before it was claimed: there never was an instance.
            assert (outcome, await world.namespace(meeting.name)) == (None, None)
        elif outcome is None:
            # What was adopted was given back: there is no instance to uninstall.
            assert (meeting.operation.kind, (await world.row(meeting.name)).status) == (Kind.ADOPT, Status.PURGED)
        else:
            assert outcome is Outcome.DONE
            await agree(world, meeting.name, Status.RUNNING if meeting.goes else Status.UNINSTALLED)
        await meeting.demand_one_at_a_time()

    await together(play, meetings(world, "replace"))
