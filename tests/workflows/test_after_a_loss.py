"""What is asked after an operation was lost, before a sweep finds that: the row says what the cluster shows."""

from __future__ import annotations

import asyncio

from asking import ask
from following import failed

from innkeeper.client import OperationHandle
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import OperationResult, Outcome

from .agreement import agree
from .conftest import World
from .test_sweep import lose


async def begin(world: World, kind: Kind, name: str) -> OperationHandle:
    if kind is Kind.PROVISION:
        return await world.innkeeper.provision(name, tenant="t1", plan="starter")
    return await ask(world.client, kind, name, plan="crowded" if kind is Kind.UPGRADE else None)


async def lost(world: World, kind: Kind, name: str, call: str) -> None:
    """An operation that was terminated after it had made a call."""
    hang = world.faults.hang(f"{name} {call}", when="after")
    await lose(world, await begin(world, kind, name), hang)
    hang.release()


async def cancelled(world: World, kind: Kind, name: str, call: str) -> OperationResult:
    """How an operation ends that is cancelled during a call."""
    hang = world.faults.hang(f"{name} {call}")
    handle = await begin(world, kind, name)
    async with asyncio.timeout(30):
        await hang.reached.wait()
    await handle.cancel()
    return await failed(handle)


async def test_what_a_lost_start_brought_up_is_not_called_stopped_when_its_repair_is_cancelled(world: World) -> None:
    await world.provisioned("half-up")
    await (await world.innkeeper.stop("half-up")).result()
    await lost(world, Kind.START, "half-up", "scale-up cluster.patch")
    ended = await cancelled(world, Kind.REPAIR, "half-up", "ready *")
    row = await world.row("half-up")
    assert (ended.outcome, row.status) == (Outcome.CANCELLED, Status.ERROR)
    assert row.cause is not None
    assert "an operation before this one" in row.cause.fix
    await (await ask(world.client, Kind.REPAIR, "half-up")).result()
    await agree(world, "half-up", Status.RUNNING)


async def test_what_a_lost_start_brought_up_is_stopped_when_the_next_start_is_cancelled(world: World) -> None:
    await world.provisioned("half-on")
    await (await world.innkeeper.stop("half-on")).result()
    await lost(world, Kind.START, "half-on", "scale-up cluster.patch")
    assert (await cancelled(world, Kind.START, "half-on", "ready *")).outcome is Outcome.CANCELLED
    await agree(world, "half-on", Status.STOPPED)


async def test_what_a_lost_provision_installed_is_not_called_uninstalled_when_the_next_is_cancelled(
    world: World,
) -> None:
    await world.provisioned("half-made")
    await (await world.innkeeper.uninstall("half-made")).result()
    await lost(world, Kind.PROVISION, "half-made", "release helm.upgrade")
    ended = await cancelled(world, Kind.PROVISION, "half-made", "ready *")
    assert (ended.outcome, (await world.row("half-made")).status) == (Outcome.CANCELLED, Status.ERROR)


async def test_a_cancelled_repair_says_that_it_runs_only_where_it_was_found_ready(world: World) -> None:
    for name in ("mended", "unwell"):
        await world.provisioned(name)
    await world.spoil("unwell", "crash")
    well, ill = [await cancelled(world, Kind.REPAIR, name, "ready *") for name in ("mended", "unwell")]
    assert (well.outcome, well.status) == (Outcome.CANCELLED, Status.RUNNING)
    assert (ill.outcome, ill.status) == (Outcome.LEFT_BEHIND, Status.ERROR)
    assert [each.question for each in ill.decisions] == ["undo-settle-1"]


async def test_an_upgrade_after_a_lost_start_stops_what_that_brought_up(world: World) -> None:
    await world.provisioned("up-half")
    await (await world.innkeeper.stop("up-half")).result()
    await lost(world, Kind.START, "up-half", "scale-up cluster.patch")
    await (await begin(world, Kind.UPGRADE, "up-half")).result()
    await agree(world, "up-half", Status.STOPPED)
    assert (await world.row("up-half")).upgrade_pending
    await (await world.innkeeper.start("up-half")).result()
    await agree(world, "up-half", Status.RUNNING)
    assert (await world.replicas("up-half"))["up-half-web"] == 3


async def test_a_restart_after_a_lost_stop_brings_back_what_ran(world: World) -> None:
    await world.provisioned("half-stopped")
    before = await world.replicas("half-stopped")
    await lost(world, Kind.STOP, "half-stopped", "scale-down cluster.patch")
    await (await ask(world.client, Kind.RESTART, "half-stopped")).result()
    await agree(world, "half-stopped", Status.RUNNING)
    assert await world.replicas("half-stopped") == before
