"""Drift of an instance whose plan has it repaired, on real parts: by the schedule, by nobody, unless it is frozen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from innkeeper.client import Innkeeper, Kind, Refused
from innkeeper.client.connection import connect
from innkeeper.client.schedules import RECONCILE, keep
from innkeeper.embedded import demo_proof as proof
from innkeeper.embedded.options import Addresses
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.settings import Settings

from .drifting import Hands, database_of, explained, web
from .working import working

QUEUE = "reconciled"
"""A task queue of its own, with a worker that reconciles by itself; the session's does not."""
NAME = "kept"


@pytest.fixture
async def innkeeper(addresses: Addresses, settings: Settings) -> AsyncIterator[Innkeeper]:
    """A backend's client, of a worker that reconciles every second; no schedule is left after the test."""
    async with working(addresses, settings, QUEUE, reconcile_every=1) as innkeeper:
        yield innkeeper
    await keep(await connect(addresses.temporal_address), RECONCILE, every=0, task_queue=QUEUE)


async def replicas(cluster: KubernetesCluster, name: str = NAME) -> int:
    found = await cluster.get(web(name))
    return int(found["spec"]["replicas"]) if found else 0


async def test_the_workers_own_schedule_finds_drift_and_has_it_repaired_unless_it_is_frozen(
    innkeeper: Innkeeper, addresses: Addresses, cluster: KubernetesCluster, database: SupabaseDatabase
) -> None:
    hands = Hands(cluster, addresses)
    await (await innkeeper.provision(NAME, tenant="t1", plan="watched")).result()
    await innkeeper.freeze(NAME, operator="ann", note="a look")
    await hands.change(web(NAME), {"spec": {"replicas": 3}})
    await hands.delete(database_of(NAME))
    async with asyncio.timeout(120):
        while len((await innkeeper.findings(NAME)).items) < 2:
            await asyncio.sleep(0.5)
    assert (await innkeeper.reconcile(NAME)).held == [NAME]
    assert await explained(innkeeper, NAME) == [f"innkeeper repair {NAME}"]
    assert (await innkeeper.operations(NAME, kind=Kind.REPAIR)).items == []
    assert await replicas(cluster) == 3
    await innkeeper.unfreeze(NAME)
    async with asyncio.timeout(120):
        while (await innkeeper.findings(NAME)).items:
            await asyncio.sleep(0.5)
    (repair,) = (await innkeeper.operations(NAME, kind=Kind.REPAIR)).items
    assert (repair.asked_by, repair.id.startswith(f"drift-{NAME}-")) == ("drift", True)
    assert await replicas(cluster) == 1
    await proof.demand_running(cluster, database, NAME)
    assert await explained(innkeeper, NAME) == []


@pytest.mark.parametrize("frozen", [{"plan": "watched"}, {"cluster": True}], ids=["plan", "cluster"])
async def test_of_a_frozen_plan_or_cluster_drift_is_found_and_nothing_begins_until_the_freeze_is_over(
    innkeeper: Innkeeper, addresses: Addresses, cluster: KubernetesCluster, frozen: dict[str, Any]
) -> None:
    hands, name = Hands(cluster, addresses), f"held-by-{next(iter(frozen))}"
    await (await innkeeper.provision(name, tenant="t1", plan="watched")).result()
    freeze = await innkeeper.freeze(**frozen, everything=True, operator="ann", note="a move")
    try:
        await hands.change(web(name), {"spec": {"replicas": 3}})
        async with asyncio.timeout(120):
            while not (await innkeeper.findings(name)).items:
                await asyncio.sleep(0.5)
        assert (await innkeeper.reconcile(name)).held == [name]
        assert (await innkeeper.explain(name)).freezes == [freeze]
        with pytest.raises(Refused, match="is frozen since"):
            await (await innkeeper.restart(name)).result()
        assert await replicas(cluster, name) == 3
        assert [each.kind for each in (await innkeeper.operations(name)).items] == [Kind.PROVISION]
    finally:
        await innkeeper.unfreeze(**frozen)
    async with asyncio.timeout(120):
        while await replicas(cluster, name) != 1:
            await asyncio.sleep(0.5)
    repair, _ = (await innkeeper.operations(name)).items
    assert (repair.kind, repair.asked_by) == (Kind.REPAIR, "drift")
    await (await innkeeper.restart(name, on_conflict="wait")).result()
