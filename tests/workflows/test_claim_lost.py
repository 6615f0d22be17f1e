"""A worker dies between the claim and its first word to Temporal, and the operation is cancelled, or refused, since."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from asking import ask
from following import failed
from in_memory import World
from proxy import Proxy
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from innkeeper.client import OperationHandle
from innkeeper.model.errors import BadInput, Refused, Unreachable
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import TASK_QUEUE, Outcome
from innkeeper.worker import compose


@contextlib.asynccontextmanager
async def doomed(world: World) -> AsyncIterator[Proxy]:
    """A worker that is cut off from Temporal for ever as soon as the proxy refuses."""
    async with Proxy.to(world.client.service_client.config.target_host) as proxy:
        client = await Client.connect(proxy.address, data_converter=pydantic_data_converter)
        worker = compose(client, world.steps(), task_queue=TASK_QUEUE)
        running = asyncio.create_task(worker.run())
        try:
            yield proxy
        finally:
            with contextlib.suppress(asyncio.CancelledError, TimeoutError, RuntimeError):
                async with asyncio.timeout(60):
                    await worker.shutdown()
                    await running


@pytest.mark.parametrize(("kind", "after"), [(Kind.PROVISION, Status.ERROR), (Kind.STOP, Status.RUNNING)])
async def test_what_was_claimed_by_a_dead_worker_is_given_back_when_it_was_cancelled_since(
    idle_world: World, kind: Kind, after: Status
) -> None:
    world, name = idle_world, f"unheard-{kind.value}"
    async with world.worker():
        await world.provisioned(f"warm-{kind.value}")
        if kind is not Kind.PROVISION:
            await world.provisioned(name)
    async with doomed(world) as proxy:
        hang = world.faults.hang(f"{name} claim db.claim", when="after")
        handle: OperationHandle
        if kind is Kind.PROVISION:
            handle = await world.innkeeper.provision(name, tenant="t1", plan="starter")
        else:
            handle = await ask(world.client, kind, name)
        async with asyncio.timeout(30):
            await hang.reached.wait()
        await proxy.refuse()
        await handle.cancel()
        async with world.worker():
            result = await failed(handle)
        hang.release()
    row = await world.row(name)
    assert (result.outcome, result.status, row.status, row.settled) == (Outcome.CANCELLED, after, after, after)
    record = await world.database.operation(result.request_id)
    assert record is not None
    assert record.outcome is Outcome.CANCELLED


async def test_what_had_ended_in_a_task_that_temporal_refused_for_a_cancellation_has_its_outcome(world: World) -> None:
    await world.provisioned("purged-since")
    for kind in (Kind.UNINSTALL, Kind.PURGE):
        await (await ask(world.client, kind, "purged-since")).result()
    # A repair of what is purged claims and ends in one and the same task.
    hang = world.faults.hang("db.finish", when="after")
    handle = await ask(world.client, Kind.REPAIR, "purged-since")
    async with asyncio.timeout(30):
        await hang.reached.wait()
    await handle.cancel()
    await asyncio.sleep(0.3)
    hang.release()
    result = await handle.result()
    assert (result.outcome, (await world.row("purged-since")).status) == (Outcome.DONE, Status.PURGED)


async def test_what_was_claimed_by_a_dead_worker_is_given_back_when_it_is_refused_since(idle_world: World) -> None:
    world, name = idle_world, "unheard-refused"
    async with world.worker():
        await world.provisioned("warm-refused")
        await world.provisioned(name)
    async with doomed(world) as proxy:
        hang = world.faults.hang(f"{name} claim db.claim", when="after")
        handle = await world.innkeeper.upgrade(name, plan="crowded")
        async with asyncio.timeout(30):
            await hang.reached.wait()
        await proxy.refuse()
        # The worker that takes over has another catalog, or its chart's repository says no.
        gone = BadInput("plan", "crowded", "is in the catalog no more", fix="name another")
        world.faults.fail(f"{name} check *", gone, times=None)
        async with world.worker():
            ended = await failed(handle)
        hang.release()
    row = await world.row(name)
    assert (ended.outcome, row.status, row.plan) == (Outcome.UNDONE, Status.RUNNING, "starter")
    assert ended.cause is not None
    assert "is in the catalog no more" in ended.cause.message


async def test_a_refusal_is_told_although_the_rows_cannot_be_asked_for_a_claim(world: World) -> None:
    name = "unheard-unasked"
    await world.provisioned(name)
    world.faults.fail(f"{name} check *", BadInput("plan", "crowded", "is in the catalog no more", fix="name another"))
    world.faults.fail(f"{name} claimed *", Unreachable("the database is down"), times=None)
    handle = await world.innkeeper.upgrade(name, plan="crowded")
    with pytest.raises(Refused, match="is in the catalog no more"):
        await handle.result()
    row = await world.row(name)
    assert (row.status, row.plan) == (Status.RUNNING, "starter")


async def test_what_the_claim_itself_refuses_is_told_without_a_look_for_a_claim(world: World) -> None:
    look = "unheard-nobody claimed *"
    world.faults.fail(look, Unreachable("the database is down"), times=None)
    with pytest.raises(Refused, match="is no instance"):
        await (await ask(world.client, Kind.STOP, "unheard-nobody")).result()
    assert world.faults.unplayed == [look]
