"""One life of an operation for every way in which each can go: what histories are recorded of and replayed from."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from asking import ask
from following import Followed

from innkeeper.client import OperationHandle
from innkeeper.gateways.faults import Hang
from innkeeper.model.errors import Answer, Forbidden, ReleaseFailed, Unreachable
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import (
    NEXT_UPDATE,
    SWEEP_WORKFLOW,
    TASK_QUEUE,
    Choice,
    NextRequest,
    Outcome,
    Request,
)
from innkeeper.model.names import handover_id_of, workflow_id_of
from innkeeper.model.record_messages import ClaimRequest

from .conftest import World

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

Scenario = Callable[[World, str], Awaitable[str]]
"""Plays on an instance of the given name; answers the workflow ID whose last run is the one that is meant."""

SCENARIOS: dict[str, Scenario] = {}


def scenario(play: Scenario) -> Scenario:
    SCENARIOS[play.__name__.replace("_", "-")] = play
    return play


async def over(handle: OperationHandle) -> str:
    """Wait for the end, however it is."""
    with contextlib.suppress(Answer):
        await handle.result()
    return workflow_id_of(handle.instance)


async def done(world: World, kind: Kind, name: str, plan: str | None = None) -> str:
    handle = await ask(world.client, kind, name, plan=plan)
    await handle.result()
    return workflow_id_of(name)


async def provision(world: World, name: str, plan: str = "starter") -> OperationHandle:
    return await world.innkeeper.provision(name, tenant="t1", plan=plan)


async def queued(world: World, handle: OperationHandle, kind: Kind, *, replace: bool, request_id: str) -> None:
    """Hand in a request that runs after the operation."""
    workflow = world.client.get_workflow_handle(workflow_id_of(handle.instance), run_id=handle.run_id)
    request = Request.of(kind, handle.instance, request_id=request_id)
    await workflow.execute_update(NEXT_UPDATE, NextRequest(request=request, replace=replace), id=request_id)


@scenario
async def provision_done(world: World, name: str) -> str:
    return await over(await provision(world, name))


@scenario
async def provision_again_after_uninstall(world: World, name: str) -> str:
    await over(await provision(world, name))
    await done(world, Kind.UNINSTALL, name)
    return await over(await provision(world, name))


@scenario
async def provision_with_every_call_failing_once(world: World, name: str) -> str:
    for call in ("db.claim", "cluster.create", "helm.upgrade", "cluster.list_objects", "db.finish"):
        world.faults.fail(call, Unreachable("gone for a moment"), when="after")
    return await over(await provision(world, name))


@scenario
async def provision_while_the_database_is_away(world: World, name: str) -> str:
    world.faults.fail("db.claim", Unreachable("gone"), times=12)
    world.faults.fail("db.finish", Unreachable("gone"), times=12)
    result = await (await provision(world, name)).result()
    assert result.outcome is Outcome.DONE
    return workflow_id_of(name)


@scenario
async def provision_undone(world: World, name: str) -> str:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    return await over(await provision(world, name))


@scenario
async def provision_left_behind(world: World, name: str) -> str:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    world.faults.fail("helm.uninstall", Forbidden("uninstall is forbidden"), times=None)
    return await over(await provision(world, name))


@scenario
async def provision_undone_by_an_operator(world: World, name: str) -> str:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    world.faults.fail("helm.uninstall", Forbidden("uninstall is forbidden"), times=2)
    with world.environment.with_time_skipping_disabled():
        handle = await provision(world, name)
        for choice in (Choice.RETRY, Choice.RETRY):
            await Followed(world, handle).question()
            await Followed(world, handle).decide(choice, "seen")
            await asyncio.sleep(0.2)
        return await over(handle)


@scenario
async def provision_cancelled(world: World, name: str) -> str:
    await over(await provision(world, f"{name}-warm"))
    hang = world.faults.hang("helm.upgrade", when="after")
    handle = await provision(world, name)
    await hang.reached.wait()
    await handle.cancel()
    await asyncio.sleep(0.3)
    hang.release()
    return await over(handle)


@scenario
async def provision_refused(world: World, name: str) -> str:
    return await over(await provision(world, name, plan="nowhere"))


@scenario
async def upgrade_refused(world: World, name: str) -> str:
    await over(await provision(world, name))
    return await over(await world.innkeeper.upgrade(name, plan="nowhere"))


@scenario
async def provision_asked_again_after_its_end(world: World, name: str) -> str:
    for _ in range(2):
        await over(await world.innkeeper.provision(name, tenant="t1", plan="starter", request_id=f"{name}-1"))
    return workflow_id_of(name)


@scenario
async def provision_superseded(world: World, name: str) -> str:
    hang = world.faults.hang("helm.upgrade", when="after")
    handle = await provision(world, name)
    await hang.reached.wait()
    other = Request.of(Kind.REPAIR, name, request_id=f"{name}-other")
    await world.database.claim(
        ClaimRequest(request=other, workflow_id="other", run_id="other", namespace=f"inn-{name}", release=name)
    )
    hang.release()
    return await over(handle)


@scenario
async def provision_replaced_by_uninstall(world: World, name: str) -> str:
    await over(await provision(world, f"{name}-warm"))
    hang = world.faults.hang("helm.upgrade", when="after")
    handle = await provision(world, name)
    await hang.reached.wait()
    await queued(world, handle, Kind.UNINSTALL, replace=True, request_id=f"{name}-next")
    await asyncio.sleep(0.3)
    hang.release()
    await over(handle)
    await world.client.get_workflow_handle(handover_id_of(f"{name}-next")).result()
    await over(OperationHandle(world.client, name, handle.run_id))
    return f"{workflow_id_of(name)}@{handle.run_id}"


async def stopping(world: World, name: str) -> tuple[OperationHandle, Hang]:
    await over(await provision(world, name))
    hang = world.faults.hang("cluster.patch", when="after")
    handle = await ask(world.client, Kind.STOP, name)
    await hang.reached.wait()
    return handle, hang


@scenario
async def handover_delivered(world: World, name: str) -> str:
    handle, hang = await stopping(world, name)
    await queued(world, handle, Kind.START, replace=False, request_id=f"{name}-next")
    hang.release()
    await over(handle)
    await world.client.get_workflow_handle(handover_id_of(f"{name}-next")).result()
    return handover_id_of(f"{name}-next")


@scenario
async def handover_displaced(world: World, name: str) -> str:
    handle, hang = await stopping(world, name)
    await queued(world, handle, Kind.START, replace=False, request_id=f"{name}-lost")
    await queued(world, handle, Kind.UNINSTALL, replace=True, request_id=f"{name}-won")
    hang.release()
    await over(handle)
    await world.client.get_workflow_handle(handover_id_of(f"{name}-won")).result()
    return handover_id_of(f"{name}-lost")


@scenario
async def stop_done(world: World, name: str) -> str:
    await over(await provision(world, name))
    return await done(world, Kind.STOP, name)


@scenario
async def stop_undone(world: World, name: str) -> str:
    await over(await provision(world, name))
    world.faults.fail("cluster.patch", Forbidden("patching is forbidden"))
    return await over(await ask(world.client, Kind.STOP, name))


@scenario
async def stop_cancelled(world: World, name: str) -> str:
    handle, hang = await stopping(world, name)
    await handle.cancel()
    hang.release()
    return await over(handle)


@scenario
async def start_done(world: World, name: str) -> str:
    await stop_done(world, name)
    return await done(world, Kind.START, name)


@scenario
async def start_undone(world: World, name: str) -> str:
    await stop_done(world, name)
    await world.spoil(name, "crash")
    return await over(await ask(world.client, Kind.START, name))


@scenario
async def start_with_an_upgrade_that_waited(world: World, name: str) -> str:
    await stop_done(world, name)
    await done(world, Kind.UPGRADE, name, "crowded")
    return await done(world, Kind.START, name)


@scenario
async def restart_done(world: World, name: str) -> str:
    await over(await provision(world, name))
    return await done(world, Kind.RESTART, name)


@scenario
async def restart_of_what_was_stopped(world: World, name: str) -> str:
    await stop_done(world, name)
    return await done(world, Kind.RESTART, name)


@scenario
async def restart_undone(world: World, name: str) -> str:
    await over(await provision(world, name))
    await world.spoil(name, "crash")
    return await over(await ask(world.client, Kind.RESTART, name))


@scenario
async def upgrade_done(world: World, name: str) -> str:
    await over(await provision(world, name))
    return await done(world, Kind.UPGRADE, name, "crowded")


@scenario
async def upgrade_of_what_was_stopped(world: World, name: str) -> str:
    await stop_done(world, name)
    return await done(world, Kind.UPGRADE, name, "crowded")


@scenario
async def upgrade_undone(world: World, name: str) -> str:
    await over(await provision(world, name))
    return await over(await ask(world.client, Kind.UPGRADE, name, plan="narrow"))


@scenario
async def upgrade_parked(world: World, name: str) -> str:
    await over(await provision(world, name))
    return await over(await ask(world.client, Kind.UPGRADE, name, plan="careful"))


@scenario
async def uninstall_done(world: World, name: str) -> str:
    await over(await provision(world, name))
    return await done(world, Kind.UNINSTALL, name)


@scenario
async def uninstall_parked(world: World, name: str) -> str:
    await over(await provision(world, name))
    world.faults.fail("helm.uninstall", Forbidden("uninstall is forbidden"), times=None)
    return await over(await ask(world.client, Kind.UNINSTALL, name))


@scenario
async def purge_done(world: World, name: str) -> str:
    await uninstall_done(world, name)
    return await done(world, Kind.PURGE, name)


@scenario
async def purge_parked(world: World, name: str) -> str:
    await uninstall_done(world, name)
    world.faults.fail("cluster.delete", Forbidden("deleting is forbidden"), times=None)
    return await over(await ask(world.client, Kind.PURGE, name))


@scenario
async def stop_without_a_release(world: World, name: str) -> str:
    await over(await provision(world, name))
    await world.helm.uninstall(name, f"inn-{name}", limit=60)
    return await done(world, Kind.STOP, name)


@scenario
async def start_without_a_release(world: World, name: str) -> str:
    await stop_done(world, name)
    await world.helm.uninstall(name, f"inn-{name}", limit=60)
    return await done(world, Kind.START, name)


@scenario
async def restart_without_a_release(world: World, name: str) -> str:
    await over(await provision(world, name))
    await world.helm.uninstall(name, f"inn-{name}", limit=60)
    return await done(world, Kind.RESTART, name)


async def lost(world: World, kind: Kind, name: str, call: str, plan: str | None = None) -> None:
    """Terminate an operation by hand while a call of it is under way."""
    hang = world.faults.hang(call)
    handle = await ask(world.client, kind, name, plan=plan)
    await hang.reached.wait()
    await world.client.get_workflow_handle(workflow_id_of(name), run_id=handle.run_id).terminate("by a test")
    world.faults.clear()


@scenario
async def repair_of_what_runs(world: World, name: str) -> str:
    await over(await provision(world, name))
    return await done(world, Kind.REPAIR, name)


@scenario
async def repair_of_a_lost_upgrade(world: World, name: str) -> str:
    await over(await provision(world, name))
    await lost(world, Kind.UPGRADE, name, "helm.upgrade", "crowded")
    return await done(world, Kind.REPAIR, name)


@scenario
async def repair_of_a_lost_stop(world: World, name: str) -> str:
    await over(await provision(world, name))
    await lost(world, Kind.STOP, name, "cluster.patch")
    return await done(world, Kind.REPAIR, name)


@scenario
async def repair_of_a_lost_uninstall(world: World, name: str) -> str:
    await over(await provision(world, name))
    await lost(world, Kind.UNINSTALL, name, "helm.uninstall")
    return await done(world, Kind.REPAIR, name)


@scenario
async def repair_of_a_lost_purge(world: World, name: str) -> str:
    await uninstall_done(world, name)
    await lost(world, Kind.PURGE, name, "cluster.delete")
    return await done(world, Kind.REPAIR, name)


@scenario
async def repair_of_what_is_purged(world: World, name: str) -> str:
    await purge_done(world, name)
    return await done(world, Kind.REPAIR, name)


@scenario
async def sweep_over_a_lost_stop(world: World, name: str) -> str:
    await over(await provision(world, name))
    await lost(world, Kind.STOP, name, "cluster.patch")
    world.database.rows[name] = world.database.rows[name].model_copy(update={"updated_at": LONG_AGO})
    await world.client.execute_workflow(SWEEP_WORKFLOW, id=name, task_queue=TASK_QUEUE)
    await world.ends_as(name, Status.STOPPED)
    return name
