"""More ways in which things go: operations that are cancelled, mostly too late, or after a lost one; a metering."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from asking import ask

from innkeeper.client import OperationHandle
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import METERING_WORKFLOW, TASK_QUEUE

from .conftest import World
from .scenarios import LONG_AGO, lost, over, provision, scenario, stop_done
from .scenarios_adopting import SCENARIOS

__all__ = ["SCENARIOS"]


async def cancelled_too_late(world: World, asked: Awaitable[OperationHandle]) -> str:
    hang = world.faults.hang("db.finish")
    handle = await asked
    async with asyncio.timeout(60):
        await hang.reached.wait()
    await handle.cancel()
    await asyncio.sleep(0.3)
    hang.release()
    return await over(handle)


@scenario
async def provision_cancelled_too_late(world: World, name: str) -> str:
    return await cancelled_too_late(world, provision(world, name))


@scenario
async def stopped_upgrade_cancelled_too_late(world: World, name: str) -> str:
    await stop_done(world, name)
    return await cancelled_too_late(world, ask(world.client, Kind.UPGRADE, name, plan="crowded"))


@scenario
async def purged_repair_cancelled_too_late(world: World, name: str) -> str:
    await over(await provision(world, name))
    for kind in (Kind.UNINSTALL, Kind.PURGE):
        await over(await ask(world.client, kind, name))
    return await cancelled_too_late(world, ask(world.client, Kind.REPAIR, name))


@scenario
async def repair_cancelled(world: World, name: str) -> str:
    await over(await provision(world, name))
    hang = world.faults.hang(f"{name} ready *")
    handle = await ask(world.client, Kind.REPAIR, name)
    async with asyncio.timeout(60):
        await hang.reached.wait()
    await handle.cancel()
    return await over(handle)


@scenario
async def stopped_upgrade_after_a_lost_start(world: World, name: str) -> str:
    await stop_done(world, name)
    await lost(world, Kind.START, name, "cluster.patch")
    return await over(await ask(world.client, Kind.UPGRADE, name, plan="crowded"))


@scenario
async def metering_of_a_page(world: World, name: str) -> str:
    await over(await provision(world, name))
    await world.client.execute_workflow(METERING_WORKFLOW, id=name, task_queue=TASK_QUEUE)
    return name


@scenario
async def metering_that_stops_what_is_idle(world: World, name: str) -> str:
    await over(await provision(world, name, "trial"))
    world.database.events[:] = [each.model_copy(update={"at": LONG_AGO}) for each in world.database.events]
    world.database.rows[name] = world.database.rows[name].model_copy(update={"created_at": LONG_AGO})
    await world.client.execute_workflow(METERING_WORKFLOW, id=name, task_queue=TASK_QUEUE)
    await world.ends_as(name, Status.STOPPED)
    return name
