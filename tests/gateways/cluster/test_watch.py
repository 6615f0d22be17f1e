"""What a watch shows and when it wakes, in memory and on a real API server."""

from __future__ import annotations

import asyncio

from cluster_objects import (
    PATIENCE,
    config_map,
    quiet,
    settled,
    workload,
)

from innkeeper.model import health
from innkeeper.model.ports import Cluster, Ref


async def test_a_watch_shows_what_was_written_before_it_was_entered(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(workload(namespace, "Deployment", "web", replicas=0))
    for number in range(10):
        await cluster.patch(Ref.to(made), {"metadata": {"annotations": {"round": str(number)}}})
        async with cluster.watch(namespace) as watch:
            shown = [one["metadata"]["annotations"]["round"] for one in watch.objects() if one["kind"] == "Deployment"]
        assert shown == [str(number)]


async def test_a_watch_wakes_at_a_change_and_not_before(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(workload(namespace, "Deployment", "web", replicas=0))
    async with cluster.watch(namespace) as watch:
        await quiet(watch)
        woken = asyncio.ensure_future(watch.changed())
        await cluster.patch(Ref.to(made), {"metadata": {"annotations": {"seen": "yes"}}})
        await asyncio.wait_for(woken, PATIENCE)
        # A controller that is late may have woken it first.
        async with asyncio.timeout(PATIENCE):
            while "yes" not in {one["metadata"].get("annotations", {}).get("seen") for one in watch.objects()}:
                await watch.changed()


async def test_a_change_between_reading_and_waiting_is_not_missed(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(workload(namespace, "Deployment", "web", replicas=0))
    async with cluster.watch(namespace) as watch:
        await quiet(watch)
        await cluster.patch(Ref.to(made), {"metadata": {"annotations": {"seen": "yes"}}})
        await asyncio.sleep(0.3)
        await asyncio.wait_for(watch.changed(), PATIENCE)


async def test_a_watch_shows_its_own_namespace_and_the_watched_kinds_only(cluster: Cluster, namespace: str) -> None:
    await cluster.create(config_map(namespace))
    made = await cluster.create(workload(namespace, "Deployment", "web"))
    assert await settled(cluster, namespace, Ref.to(made)) == health.Ready()
    async with cluster.watch(namespace) as watch:
        shown = watch.objects()
    assert {one["metadata"]["namespace"] for one in shown} == {namespace}
    assert {one["kind"] for one in shown} <= {watched.kind for watched in health.WATCHED}
    assert {"Deployment", "ReplicaSet", "Pod"} <= {one["kind"] for one in shown}


async def test_what_was_deleted_leaves_the_watch(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(workload(namespace, "Deployment", "web", replicas=0))
    async with cluster.watch(namespace) as watch:
        assert [one for one in watch.objects() if one["kind"] == "Deployment"]
        await cluster.delete(Ref.to(made), uid=made["metadata"]["uid"])
        async with asyncio.timeout(PATIENCE):
            while [one for one in watch.objects() if one["kind"] == "Deployment"]:
                await watch.changed()
