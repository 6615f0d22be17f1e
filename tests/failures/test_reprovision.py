"""An instance is provisioned again while its row cannot be written, or nobody hears that it was."""

from __future__ import annotations

import asyncio

import pytest
from in_memory import World

from innkeeper.gateways.faults import When
from innkeeper.model.errors import Forbidden, Unreachable
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome
from innkeeper.model.ports import Page

from ..workflows.agreement import agree, data_of


async def uninstalled(world: World, name: str) -> list[tuple[str, object]]:
    """An instance that ran and was uninstalled; its data."""
    await world.provisioned(name)
    await (await world.innkeeper.uninstall(name)).result()
    return await data_of(world, name)


async def demand_one(world: World, name: str, *, generation: int) -> None:
    """One instance, one release, one operation for each request, and no write under a former generation."""
    row = await world.row(name)
    assert row.generation == generation
    assert await world.storage(name) == ["deployed"]
    records = (await world.database.operations(Page(), instance=name)).items
    assert [record.generation for record in records] == list(range(generation, 0, -1))
    written = [row.generation for row in world.written.history if row.name == name]
    assert written == sorted(written)


@pytest.mark.parametrize("error", [Unreachable("gone"), OSError("odd")], ids=repr)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["db.claim", "db.finish"])
async def test_a_row_update_that_fails_or_answers_nothing_again_and_again_makes_no_second_instance(
    world: World, call: str, when: When, error: Exception
) -> None:
    name = f"re-{call[3:]}-{when}-{type(error).__name__.lower()}"
    data = await uninstalled(world, name)
    world.faults.fail(call, error, when=when, times=2)
    result = await world.provisioned(name)
    assert (result.outcome, result.generation) == (Outcome.DONE, 3)
    await agree(world, name, Status.RUNNING)
    await demand_one(world, name, generation=3)
    assert await data_of(world, name) == data != []
    assert world.faults.unplayed == []


async def test_a_row_update_that_answers_in_every_way_in_turn_makes_no_second_instance(world: World) -> None:
    data = await uninstalled(world, "re-turns")
    for call in ("db.claim", "db.finish"):
        world.faults.fail(call, Unreachable("refused"), times=2)
        world.faults.fail(call, Unreachable("the answer was lost"), when="after", times=2)
        world.faults.fail(call, Forbidden("the key was changed"), times=1, skip=1)
    askers = [world.provisioned("re-turns", request_id="re-turns-1") for _ in range(5)]
    results = await asyncio.gather(*askers)
    assert {(result.outcome, result.generation) for result in results} == {(Outcome.DONE, 3)}
    await agree(world, "re-turns", Status.RUNNING)
    await demand_one(world, "re-turns", generation=3)
    assert await data_of(world, "re-turns") == data


async def test_a_late_write_of_a_former_generation_changes_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that hung in its last write wakes up after its operation was terminated and others have followed."""
    late = world.faults.hang("db.finish")
    first = await world.innkeeper.provision("re-late", tenant="t1", plan="starter")
    await late.reached.wait()
    await world.client.get_workflow_handle("instance/re-late", run_id=first.run_id).terminate()
    await (await world.innkeeper.uninstall("re-late")).result()
    await world.provisioned("re-late")
    before = await world.row("re-late")
    world.faults.clear()
    async with asyncio.timeout(60):
        while "finish of instance/re-late: Superseded" not in caplog.text:
            await asyncio.sleep(0.02)
    assert await world.row("re-late") == before
    await agree(world, "re-late", Status.RUNNING)
    await demand_one(world, "re-late", generation=3)
