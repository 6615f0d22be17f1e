"""A cancelled operation takes back what it made, or says what stands."""

from __future__ import annotations

import asyncio

import pytest
from following import failed
from in_memory import World

from innkeeper.model.errors import OperationFailed, Unreachable
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome


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
