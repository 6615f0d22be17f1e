"""On real parts: trials that are over, and idle instances, are stopped by the workers' own schedule."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from innkeeper.client import Innkeeper, Kind, OperationRecord, Status
from innkeeper.client.schedules import METERING, keep
from innkeeper.embedded import demo_proof as proof
from innkeeper.embedded.options import Addresses
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.settings import Settings

from .working import working

QUEUE = "expiring"
"""A task queue of its own, with a worker that meters; the session's does not."""


@pytest.fixture
async def innkeeper(addresses: Addresses, settings: Settings) -> AsyncIterator[Innkeeper]:
    """A backend's client, of a worker that meters every second; no schedule is left after the test."""
    async with working(addresses, settings, QUEUE, meter_every=1) as innkeeper:
        yield innkeeper
    client = await Client.connect(addresses.temporal_address, data_converter=pydantic_data_converter)
    await keep(client, METERING, every=0, task_queue=QUEUE)


async def stopped(innkeeper: Innkeeper, name: str) -> OperationRecord:
    """The stop that was asked for, once it has ended."""
    async with asyncio.timeout(120):
        while True:
            stops = (await innkeeper.operations(name, kind=Kind.STOP)).items
            if stops and stops[0].ended_at is not None:
                return stops[0]
            await asyncio.sleep(0.5)


async def test_a_trial_that_is_over_is_stopped_with_the_reason_and_once(
    innkeeper: Innkeeper, cluster: KubernetesCluster, database: SupabaseDatabase
) -> None:
    await (await innkeeper.provision("trial", tenant="t1", plan="trial")).result()
    stop = await stopped(innkeeper, "trial")
    assert (stop.id, stop.generation) == ("expiry-trial-1", 2)
    assert stop.asked_by.startswith("trial: first ran at ")
    assert "plan trial stops after 0:00:10" in stop.asked_by
    await proof.demand_stopped(cluster, database, "trial")
    await asyncio.sleep(3)
    assert [each.kind for each in (await innkeeper.operations("trial")).items] == [Kind.STOP, Kind.PROVISION]


async def test_what_is_frozen_runs_on_however_long_its_trial_is_over(innkeeper: Innkeeper) -> None:
    await (await innkeeper.provision("frozen-trial", tenant="t1", plan="trial")).result()
    await innkeeper.freeze("frozen-trial", operator="ann")
    await (await innkeeper.provision("thawed-trial", tenant="t1", plan="trial")).result()
    await stopped(innkeeper, "thawed-trial")
    await asyncio.sleep(3)
    assert (await innkeeper.operations("frozen-trial", kind=Kind.STOP)).items == []
    await innkeeper.unfreeze("frozen-trial")
    assert (await stopped(innkeeper, "frozen-trial")).asked_by.startswith("trial: first ran at ")


async def test_an_instance_that_is_used_runs_on_until_it_is_not(innkeeper: Innkeeper) -> None:
    await (await innkeeper.provision("sleepy", tenant="t1", plan="sleepy")).result()

    async def use() -> None:
        number = 0
        while True:
            number += 1
            await innkeeper.record_usage("sleepy", "clicks", 1, key=f"sleepy/{number}")
            await asyncio.sleep(1)

    using = asyncio.create_task(use())
    await asyncio.sleep(20)
    row = await innkeeper.get("sleepy")
    assert row is not None
    assert row.status is Status.RUNNING
    using.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await using
    stop = await stopped(innkeeper, "sleepy")
    assert stop.asked_by.startswith("idle: nothing since ")
