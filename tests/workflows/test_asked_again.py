"""A request that is asked again after its run was lost meets what that left, and no more is promised than was seen."""

from __future__ import annotations

import asyncio

from asking import ask
from following import Followed, failed

from innkeeper.client import OperationHandle
from innkeeper.client.desk import TemporalDesk
from innkeeper.model.errors import Forbidden
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import TASK_QUEUE, Choice, Outcome, Request

from .agreement import agree
from .conftest import World
from .test_after_a_loss import cancelled, lost
from .test_sweep import lose


async def again(world: World, request: Request) -> OperationHandle:
    run_id = await TemporalDesk(world.client, TASK_QUEUE).deliver(request)
    return OperationHandle(world.client, request.instance, run_id)


async def test_a_stop_asked_again_after_its_loss_and_cancelled_at_once_is_not_called_running(idle_world: World) -> None:
    world, name = idle_world, "asked-again"
    request = Request.of(Kind.STOP, name, request_id="stop-1")
    async with world.worker():
        await world.provisioned(name)
        hang = world.faults.hang(f"{name} scale-down cluster.patch", when="after")
        await lose(world, await again(world, request), hang)
        hang.release()
    handle = await again(world, request)  # the same request, as any client repeats it
    await handle.cancel()
    async with world.worker():
        ended = await failed(handle)
        row = await world.row(name)
        assert (ended.outcome, row.status) == (Outcome.CANCELLED, Status.ERROR)
        assert row.cause is not None
        assert "ask for a repair" in row.cause.fix
        await (await world.innkeeper.repair(name)).result()
        await agree(world, name, Status.RUNNING)


async def test_a_restart_after_a_lost_stop_that_is_cancelled_and_found_ready_leaves_nothing_behind(
    world: World,
) -> None:
    await world.provisioned("rolled-less")
    await lost(world, Kind.STOP, "rolled-less", "scale-down cluster.patch")
    ended = await cancelled(world, Kind.RESTART, "rolled-less", "ready *")
    row = await world.row("rolled-less")
    assert "Deployment" not in str(row.cause)
    assert (ended.outcome, row.status) == (Outcome.CANCELLED, Status.RUNNING)


async def test_an_uninstall_after_a_lost_upgrade_that_is_given_up_names_what_it_leaves(world: World) -> None:
    name = "kept-up"
    await (await world.innkeeper.provision(name, tenant="t1", plan="prompt")).result()
    await lost(world, Kind.UPGRADE, name, "prepare cluster.*")
    world.faults.fail(f"{name} uninstall helm.uninstall", Forbidden("no"), times=None)
    with world.environment.with_time_skipping_disabled():
        handle = await ask(world.client, Kind.UNINSTALL, name)
        operation = Followed(world, handle)
        await operation.question()
    await operation.decide(Choice.ABORT, "not today")
    result = await failed(handle)
    assert f"Deployment inn-{name}/{name}-web" in str(result.cause)


async def test_an_upgrade_asked_again_after_its_loss_goes_back_to_what_was_known_to_be_ready(world: World) -> None:
    name = "up-again"
    await world.provisioned(name)
    request = Request.of(Kind.UPGRADE, name, request_id="up-1", plan="crowded")
    hang = world.faults.hang(f"{name} release helm.upgrade", when="after")
    await lose(world, await again(world, request), hang)
    hang.release()
    held = world.faults.hang(f"{name} ready *")
    handle = await again(world, request)  # the same request, as any client repeats it
    async with asyncio.timeout(30):
        await held.reached.wait()
    await handle.cancel()
    await failed(handle)
    row = await world.row(name)
    assert (row.status, row.plan) == (Status.RUNNING, "starter")
    assert (await world.replicas(name))[f"{name}-web"] != 3


async def test_a_provision_asked_again_after_its_loss_and_cancelled_at_once_says_what_to_ask_for(
    idle_world: World,
) -> None:
    world, name = idle_world, "made-again"
    request = Request.of(Kind.PROVISION, name, request_id="made-1", tenant="t1", plan="starter")
    async with world.worker():
        hang = world.faults.hang(f"{name} release helm.upgrade", when="after")
        await lose(world, await again(world, request), hang)
        hang.release()
    handle = await again(world, request)
    await handle.cancel()
    async with world.worker():
        ended = await failed(handle)
    assert ended.outcome is Outcome.CANCELLED
    assert "what an operation before this one left may still be there" in str(ended.cause)


async def test_an_upgrade_that_was_taken_back_and_only_not_found_ready_is_not_the_plan_that_comes_next(
    world: World,
) -> None:
    name = "unsettled"
    await (await world.innkeeper.provision(name, tenant="t1", plan="prompt")).result()
    world.faults.fail(f"{name} settle cluster.*", Forbidden("no"), times=None)
    world.faults.fail(f"{name} ready cluster.*", Forbidden("no"), times=None)
    await failed(await world.innkeeper.upgrade(name, plan="prompt-more"))
    row = await world.row(name)
    assert (await world.replicas(name))[f"{name}-web"] != 3  # the release is back
    assert row.plan == "prompt"
