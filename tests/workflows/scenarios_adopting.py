"""The ways in which an adoption can go, and its preview."""

from __future__ import annotations

import asyncio
import contextlib

import by_hand
from temporalio.client import WorkflowFailureError

from innkeeper.client import OperationHandle
from innkeeper.model.errors import Forbidden
from innkeeper.model.instance import Kind
from innkeeper.model.messages import PREVIEW_WORKFLOW, TASK_QUEUE, Request
from innkeeper.model.names import workflow_id_of
from innkeeper.model.ports import Ref

from .conftest import World
from .scenarios import SCENARIOS, done, over, scenario

__all__ = ["SCENARIOS"]


async def shop(world: World, name: str) -> str:
    """The namespace of somebody's release `web`."""
    await by_hand.install(world.cluster, world.helm, f"shop-{name}", "web")
    return f"shop-{name}"


async def adopting(world: World, name: str, plan: str = "starter") -> OperationHandle:
    return await world.innkeeper.adopt(name, namespace=f"shop-{name}", release="web", tenant="t1", plan=plan)


@scenario
async def adopt_done(world: World, name: str) -> str:
    await shop(world, name)
    return await over(await adopting(world, name))


@scenario
async def adopt_undone(world: World, name: str) -> str:
    namespace = await shop(world, name)
    annotations = {"kwok.innkeeper.dev/fault": "crash"}
    spoilt = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    await world.cluster.patch(Ref("apps/v1", "Deployment", "web-web", namespace), spoilt)
    return await over(await adopting(world, name))


@scenario
async def adopt_left_behind(world: World, name: str) -> str:
    await shop(world, name)
    world.faults.fail("cluster.create", Forbidden("creating is forbidden"))
    world.faults.fail(f"{name} unmark *", Forbidden("unmarking is forbidden"), times=None)
    return await over(await adopting(world, name))


@scenario
async def adopt_cancelled(world: World, name: str) -> str:
    await shop(world, name)
    hang = world.faults.hang(f"{name} ready *")
    handle = await adopting(world, name)
    async with asyncio.timeout(60):
        await hang.reached.wait()
    await handle.cancel()
    return await over(handle)


@scenario
async def adopt_refused(world: World, name: str) -> str:
    return await over(await adopting(world, name))


@scenario
async def repair_of_a_lost_adoption(world: World, name: str) -> str:
    await shop(world, name)
    hang = world.faults.hang(f"{name} mark cluster.patch")
    handle = await adopting(world, name)
    async with asyncio.timeout(60):
        await hang.reached.wait()
    await world.client.get_workflow_handle(workflow_id_of(name), run_id=handle.run_id).terminate("by a test")
    world.faults.clear()
    return await done(world, Kind.REPAIR, name)


async def previewed(world: World, name: str) -> str:
    request = Request.of(
        Kind.ADOPT, name, request_id=f"{name}-1", tenant="t1", plan="starter", namespace=f"shop-{name}", release="web"
    )
    with contextlib.suppress(WorkflowFailureError):
        await world.client.execute_workflow(PREVIEW_WORKFLOW, request, id=f"preview-{name}", task_queue=TASK_QUEUE)
    return f"preview-{name}"


@scenario
async def preview_done(world: World, name: str) -> str:
    await shop(world, name)
    return await previewed(world, name)


@scenario
async def preview_refused(world: World, name: str) -> str:
    return await previewed(world, name)
