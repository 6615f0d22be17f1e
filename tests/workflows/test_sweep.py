"""An operation whose workflow is gone: the sweep asks for a repair, and row, cluster and Helm's storage agree again."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from asking import ask

from innkeeper.client import OperationHandle
from innkeeper.embedded import demo_proof as proof
from innkeeper.gateways.faults import Hang
from innkeeper.model import names
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import SWEEP_WORKFLOW, TASK_QUEUE, OperationResult, Outcome
from innkeeper.model.sweeps import Swept

from .conftest import World


async def sweep(world: World) -> Swept:
    """One sweep, from its start to its end."""
    swept: Swept = await world.client.execute_workflow(
        SWEEP_WORKFLOW, id=f"sweep-{uuid.uuid4().hex}", task_queue=TASK_QUEUE, result_type=Swept
    )
    return swept


def written(world: World, name: str, *, ago: timedelta) -> None:
    """Let the row have been last written some time ago; a negative time is still to come."""
    moment = datetime.now(UTC) - ago
    world.database.rows[name] = world.database.rows[name].model_copy(update={"updated_at": moment})


async def terminate(world: World, handle: OperationHandle) -> None:
    """End an operation's workflow as a person can, undoing nothing."""
    workflow = world.client.get_workflow_handle(names.workflow_id_of(handle.instance), run_id=handle.run_id)
    await workflow.terminate("by hand")
    written(world, handle.instance, ago=timedelta(hours=1))


async def lose(world: World, handle: OperationHandle, hang: Hang) -> None:
    """Terminate an operation while one of its calls is in flight, a long time ago."""
    async with asyncio.timeout(20):
        await hang.reached.wait()
    await terminate(world, handle)


async def repaired(world: World, name: str) -> OperationResult:
    """The end of the repair that a sweep asked for."""
    handle = await world.innkeeper.latest(name)
    assert handle is not None
    return await handle.result()


async def agree(world: World, name: str, status: Status) -> None:
    """Row, cluster and Helm's storage all say that the instance is so."""
    row, kinds = await world.row(name), await world.kinds(name)
    assert row.status is row.settled is status
    match status:
        case Status.RUNNING:
            await proof.demand_running(world.cluster, world.database, name)
            assert len(await world.pods(name)) == sum((await world.replicas(name)).values())
        case Status.STOPPED:
            await proof.demand_stopped(world.cluster, world.database, name)
            assert set((await world.replicas(name)).values()) == {0}
        case Status.UNINSTALLED:
            assert not {"Deployment", "StatefulSet", "Pod"} & kinds
            assert await proof.deployed(world.cluster, name) == []
            assert await proof.volumes(world.cluster, name)
        case _:
            assert await world.namespace(name) is None


BEFORE = {
    Kind.PROVISION: (),
    Kind.STOP: (Kind.PROVISION,),
    Kind.START: (Kind.PROVISION, Kind.STOP),
    Kind.RESTART: (Kind.PROVISION,),
    Kind.UPGRADE: (Kind.PROVISION,),
    Kind.UNINSTALL: (Kind.PROVISION,),
    Kind.PURGE: (Kind.PROVISION, Kind.UNINSTALL),
    Kind.REPAIR: (Kind.PROVISION,),
}
"""The operations that bring an instance to where each one starts from."""


async def begin(world: World, kind: Kind, name: str) -> OperationHandle:
    """An operation of the kind, on an instance that is where such operations start from."""
    if kind is Kind.PROVISION:
        return await world.innkeeper.provision(name, tenant="t1", plan="starter")
    return await ask(world.client, kind, name, plan="crowded" if kind is Kind.UPGRADE else None)


async def prepared(world: World, kind: Kind, name: str) -> None:
    await world.provisioned(f"warm-{name}")  # so that the check is cached, and creates nothing
    for each in BEFORE[kind]:
        await (await begin(world, each, name)).result()


LOST = [
    (Kind.PROVISION, "db.claim", "after", Status.RUNNING),
    (Kind.PROVISION, "cluster.create", "before", Status.RUNNING),
    (Kind.PROVISION, "helm.upgrade", "before", Status.RUNNING),
    (Kind.PROVISION, "helm.upgrade", "after", Status.RUNNING),
    (Kind.PROVISION, "db.finish", "before", Status.RUNNING),
    (Kind.STOP, "cluster.create", "after", Status.STOPPED),
    (Kind.STOP, "cluster.patch", "after", Status.STOPPED),
    (Kind.STOP, "db.finish", "before", Status.STOPPED),
    (Kind.START, "cluster.delete", "after", Status.RUNNING),
    (Kind.START, "cluster.patch", "after", Status.RUNNING),
    (Kind.START, "db.finish", "before", Status.RUNNING),
    (Kind.RESTART, "cluster.patch", "after", Status.RUNNING),
    (Kind.UPGRADE, "cluster.apply", "after", Status.RUNNING),
    (Kind.UPGRADE, "helm.upgrade", "before", Status.RUNNING),
    (Kind.UPGRADE, "helm.upgrade", "after", Status.RUNNING),
    (Kind.UNINSTALL, "helm.uninstall", "before", Status.UNINSTALLED),
    (Kind.UNINSTALL, "helm.uninstall", "after", Status.UNINSTALLED),
    (Kind.PURGE, "cluster.delete", "before", Status.PURGED),
    (Kind.PURGE, "cluster.delete", "after", Status.PURGED),
    (Kind.REPAIR, "cluster.apply", "before", Status.RUNNING),
]


@pytest.mark.parametrize(("kind", "call", "when", "end"), LOST)
async def test_a_lost_operation_is_finished_by_a_repair(
    world: World, kind: Kind, call: str, when: str, end: Status
) -> None:
    name = f"lost-{kind.value}-{call.rpartition('.')[2]}-{when}".replace("_", "-")
    await prepared(world, kind, name)
    hang = world.faults.hang(call, when="before" if when == "before" else "after")
    handle = await begin(world, kind, name)
    await lose(world, handle, hang)
    generation = (await world.row(name)).generation
    swept = await sweep(world)
    assert (swept.asked, swept.repairs, swept.failed) == (1, [name], 0)
    result = await repaired(world, name)
    assert (result.outcome, result.status, result.generation) == (Outcome.DONE, end, generation + 1)
    await agree(world, name, end)
    latest, lost = (await world.innkeeper.operations(name)).items[:2]
    assert (latest.kind, latest.asked_by, latest.tenant) == (Kind.REPAIR, "sweep", "t1")
    assert (lost.kind, lost.outcome) == (kind, Outcome.SUPERSEDED)
    if kind is Kind.UPGRADE:
        row = await world.row(name)
        assert (row.plan, row.upgrade_pending) == ("crowded", False)
        assert (await world.replicas(name))[f"{name}-web"] == 3
