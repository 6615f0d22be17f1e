"""A cancelled operation takes back what it made, or says what stands."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import pytest
from following import failed
from in_memory import World

from innkeeper.model.errors import OperationFailed, Unreachable
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Outcome

from ..workflows.agreement import agree
from .operations import ACTIVITIES, ENDS, FAST, OPERATIONS, Former, Operation, begin, bring_before, ended, together


@pytest.mark.parametrize("call", ["db.claim", "cluster.create", "helm.upgrade"])
async def test_a_cancelled_provision_takes_back_what_it_made(world: World, call: str) -> None:
    name = "cancel-" + call.replace(".", "-")
    await world.provisioned("warm-" + name)
    hang = world.faults.hang(call, when="after")
    handle = await world.innkeeper.provision(name, tenant="t1", plan="starter")
    await hang.reached.wait()
    await handle.cancel()
    await asyncio.sleep(0.3)
    hang.release()
    with pytest.raises(OperationFailed) as told:
        await handle.result()
    assert told.value.cause.code == "Cancelled"
    row = await world.database.instance(name)
    assert row is None or row.status is Status.ERROR
    assert "Deployment" not in await world.kinds(name)


async def test_a_cancelled_stop_brings_back_what_ran(world: World) -> None:
    await world.provisioned("cancel-stop")
    before = await world.replicas("cancel-stop")
    hang = world.faults.hang("cluster.patch", when="after")
    handle = await world.innkeeper.stop("cancel-stop")
    await hang.reached.wait()
    await handle.cancel()
    await asyncio.sleep(0.3)
    hang.release()
    result = await failed(handle)
    assert result.outcome is Outcome.CANCELLED
    assert (await world.row("cancel-stop")).status is Status.RUNNING
    assert await world.replicas("cancel-stop") == before


async def test_a_cancelled_operation_without_an_undo_says_that_what_it_did_stands(world: World) -> None:
    await world.provisioned("cancel-uninstall")
    hang = world.faults.hang("helm.uninstall", when="after")
    handle = await world.innkeeper.uninstall("cancel-uninstall")
    await hang.reached.wait()
    await handle.cancel()
    await asyncio.sleep(0.3)
    hang.release()
    result = await failed(handle)
    row = await world.row("cancel-uninstall")
    assert (result.outcome, row.status) == (Outcome.LEFT_BEHIND, Status.ERROR)
    assert row.cause is not None
    assert row.cause.code == "Cancelled"
    assert "what uninstall did" in row.cause.message


async def test_an_operation_that_is_cancelled_before_its_first_step_says_that_nothing_stands(world: World) -> None:
    await world.provisioned("cancel-early")
    # Longer than it is tried as a fast call, of whose cancellation the workflow hears only afterwards.
    world.faults.fail("db.claim", Unreachable("the database is down"), times=5)
    hang = world.faults.hang("db.claim", when="after")
    handle = await world.innkeeper.uninstall("cancel-early")
    async with asyncio.timeout(30):
        await hang.reached.wait()
    await handle.cancel()
    await asyncio.sleep(0.3)
    hang.release()
    result = await failed(handle)
    assert (result.outcome, (await world.row("cancel-early")).status) == (Outcome.CANCELLED, Status.RUNNING)
    assert await world.storage("cancel-early") == ["deployed"]


class Cell(NamedTuple):
    """One step of one operation, during which the operation is cancelled."""

    world: World
    operation: Operation
    step: str
    name: str

    async def cancel(self) -> Outcome | None:
        """Cancel it there; how it ended."""
        hang = self.world.faults.hang(f"{self.name} {ACTIVITIES.get(self.step, self.step)} *")
        handle = await begin(self.world, self.operation, self.name)
        async with asyncio.timeout(60):
            await hang.reached.wait()
        await handle.cancel()
        if self.step in FAST:
            # The workflow hears of it once a fast step has ended, and a hanging one does not end by itself.
            await asyncio.sleep(0.3)
            hang.release()
        return await ended(handle)

    async def demand_as_before(self, former: Former, status: Status | None) -> None:
        """Nothing of the operation is left, and nobody's data is gone."""
        row = await self.world.database.instance(self.name)
        assert (row and row.settled) == status
        now = await Former.of(self.world, self.name)
        assert now.replicas == former.replicas
        assert now.storage.count("deployed") == former.storage.count("deployed")
        assert [item for item in former.data if item not in now.data] == []


async def play(cell: Cell) -> None:
    world, operation, name = cell.world, cell.operation, cell.name
    await bring_before(world, operation, name)
    former, before = await Former.of(world, name), await world.database.instance(name)
    outcome = await cell.cancel()
    assert outcome in ENDS[operation.steps[cell.step]]
    if cell.step == "record":
        assert outcome is Outcome.DONE
    newest = [(record.kind, record.outcome) for record in (await world.innkeeper.operations(name)).items[:1]]
    assert newest == [(operation.kind, outcome)] if outcome else (operation.kind, Outcome.DONE) not in newest
    match outcome:
        case Outcome.DONE:
            await agree(world, name, operation.after)
        case Outcome.LEFT_BEHIND:
            row = await world.row(name)
            assert row.status is Status.ERROR
            assert row.cause is not None
            assert "Left behind: what " in row.cause.message
        case None:
            await cell.demand_as_before(former, before.settled if before else None)
        case _:
            # Of an adoption that was taken back nothing is left but somebody else's release.
            made = Status.PURGED if operation.kind is Kind.ADOPT else Status.ERROR
            await cell.demand_as_before(former, before.settled if before else made)
    after = await world.database.instance(name)
    if after is None or after.status is not operation.after:
        again = await begin(world, operation, name, again=after is not None and after.status is Status.ERROR)
        assert (await again.result()).outcome is Outcome.DONE
        await agree(world, name, operation.after)


async def test_an_operation_that_is_cancelled_in_any_step_is_as_before_or_done_or_says_what_stands(
    world: World,
) -> None:
    cells = [
        Cell(world, operation, step, f"cancel-{name}-{step}")
        for name, operation in OPERATIONS.items()
        for step in operation.steps
    ]
    await together(play, cells)
