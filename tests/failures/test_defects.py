"""A defect in workflow code holds an operation up, visibly and without harm; a mended worker carries it on."""

from __future__ import annotations

import asyncio

from careless import Clumsy, Forgetful
from following import failed
from in_memory import World

from innkeeper.model.errors import ReleaseFailed, Unreachable
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import TASK_QUEUE, Outcome
from innkeeper.worker import STRICT, Workers, compose
from innkeeper.workflows.registry import SERVICES, WORKFLOWS

from ..workflows.agreement import agree


def worker_with(world: World, provision: type) -> Workers:
    """A worker whose provision is another."""
    workflows = [*({**WORKFLOWS, Kind.PROVISION: provision}.values()), *SERVICES]
    return compose(world.client, world.steps(), task_queue=TASK_QUEUE, workflow_runner=STRICT, workflows=workflows)


async def reported(world: World, name: str) -> None:
    """Wait until the operation is among those that operators are told to look for."""
    query = f"TemporalReportedProblems IS NOT NULL AND WorkflowId = 'instance/{name}'"
    async with asyncio.timeout(60):
        while not [run async for run in world.client.list_workflows(query)]:
            await asyncio.sleep(0.1)


async def test_a_defect_in_a_workflow_parks_its_task_and_a_mended_worker_carries_on(idle_world: World) -> None:
    world = idle_world
    async with worker_with(world, Forgetful):
        handle = await world.innkeeper.provision("bug", tenant="t1", plan="starter")
        await reported(world, "bug")
    row = await world.row("bug")
    assert (row.status, row.cause) == (Status.PROVISIONING, None)
    assert await world.namespace("bug") is None
    world.faults.fail("db.finish", Unreachable("the database is down"), times=2)
    async with world.worker():
        assert (await handle.result()).outcome is Outcome.DONE
        await agree(world, "bug", Status.RUNNING)
        assert (await world.row("bug")).generation == 1


async def test_a_defect_while_a_failure_is_handled_loses_neither_the_failure_nor_the_undos(idle_world: World) -> None:
    world = idle_world
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    async with worker_with(world, Clumsy):
        handle = await world.innkeeper.provision("bug-undo", tenant="t1", plan="starter")
        await reported(world, "bug-undo")
    assert (await world.row("bug-undo")).status is Status.PROVISIONING
    assert await world.storage("bug-undo") == ["deployed"]
    async with world.worker():
        result = await failed(handle)
        row = await world.row("bug-undo")
        assert (result.outcome, row.status) == (Outcome.UNDONE, Status.ERROR)
        assert row.cause is not None
        assert row.cause.message == "chart says no"
        assert await world.storage("bug-undo") == []
