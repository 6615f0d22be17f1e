"""What is in the cluster and in no row, on real parts: found, and gone once it is gone."""

from __future__ import annotations

import asyncio

import pytest

from innkeeper.client import Innkeeper
from innkeeper.embedded.options import Addresses
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model import marks
from innkeeper.model.ports import Ref, Release
from innkeeper.settings import Settings

from .drifting import Hands, drift_of
from .scripts import Scripts

# Each of several waits may take its time on a busy machine.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def hands(cluster: KubernetesCluster, addresses: Addresses) -> Hands:
    return Hands(cluster, addresses)


async def test_what_no_row_knows_is_found_and_gone_with_it(
    innkeeper: Innkeeper, hands: Hands, settings: Settings
) -> None:
    name, plan = "ownerless", settings.load_catalog().plan("starter")
    labels = marks.labels(instance=name, tenant="t1", plan="starter")
    await hands.cluster.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"inn-{name}", "labels": labels}}
    )
    values = {"url": "", "existingSecret": "none"}
    release = Release(name=name, namespace=f"inn-{name}", chart=plan.chart, values=values, mark="of-a-lost-row")
    await hands.helm.upgrade(release, limit=60)
    async with asyncio.timeout(120):
        while not (await innkeeper.reconcile()).found.get("volume-unowned"):
            await asyncio.sleep(0.5)
    found = (await innkeeper.findings(name)).items
    assert {(each.what.value, each.object) for each in found} == {
        ("release-unowned", f"Release inn-{name}/{name}"),
        ("volume-unowned", f"PersistentVolumeClaim inn-{name}/data-{name}-db-0"),
    }
    await hands.helm.uninstall(name, f"inn-{name}", limit=60)
    await hands.delete(Ref("v1", "PersistentVolumeClaim", f"data-{name}-db-0", f"inn-{name}"))
    async with asyncio.timeout(120):
        while set(await drift_of(innkeeper, name)) != {"namespace-unowned"}:
            await asyncio.sleep(0.5)
    await hands.delete(Ref("v1", "Namespace", f"inn-{name}"))
    assert await drift_of(innkeeper, name) == {}
    await innkeeper.reconcile()
    assert (await innkeeper.findings(name)).items == []


async def test_a_deleted_namespace_and_what_comes_back_after_a_purge_are_found(
    innkeeper: Innkeeper, hands: Hands
) -> None:
    name, namespace = "deleted", Ref("v1", "Namespace", "inn-deleted")
    await (await innkeeper.provision(name, tenant="t1", plan="suite")).result()
    await hands.delete(namespace)
    async with asyncio.timeout(120):
        while await hands.cluster.get(namespace) is not None:
            await asyncio.sleep(0.2)
    assert set(await drift_of(innkeeper, name)) == {"namespace-missing"}
    await (await innkeeper.uninstall(name)).result()
    await (await innkeeper.purge(name)).result()
    assert await drift_of(innkeeper, name) == {}
    labels = marks.labels(instance=name, tenant="t1", plan="suite")
    await hands.cluster.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.name, "labels": labels}}
    )
    assert set(await drift_of(innkeeper, name)) == {"status-wrong"}
    await hands.delete(namespace)


async def released(hands: Hands, name: str, namespace: str) -> Ref:
    """A volume with data whose claim, of this namespace, is gone."""
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": "/tmp/retained"},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "by-hand",
            "claimRef": {"namespace": namespace, "name": "data", "uid": "0f0f"},
        },
    }
    made = Ref.to(await hands.cluster.create(volume))
    async with asyncio.timeout(120):
        while ((await hands.cluster.get(made)) or {}).get("status", {}).get("phase") != "Released":
            await asyncio.sleep(0.2)
    return made


async def test_a_retained_volume_whose_claim_is_gone_is_found(innkeeper: Innkeeper, hands: Hands) -> None:
    volume = await released(hands, "retained", "inn-long-gone")
    await innkeeper.reconcile()
    (found,) = (await innkeeper.findings("long-gone")).items
    assert (found.what.value, found.object) == ("volume-unowned", "PersistentVolume retained")
    await hands.delete(volume)
    await innkeeper.reconcile()
    assert (await innkeeper.findings("long-gone")).items == []


async def test_a_retained_volume_of_what_was_adopted_is_found_in_the_namespace_that_it_came_with(
    innkeeper: Innkeeper, hands: Hands, addresses: Addresses
) -> None:
    name, namespace = "lent", "lent-shop"
    await Scripts(hands.cluster, addresses, namespace).install("web")
    await (await innkeeper.adopt(name, namespace=namespace, release="web", tenant="t1", plan="starter")).result()
    volume = await released(hands, "retained-of-lent", namespace)
    found = (await drift_of(innkeeper, name))["volume-unowned"]
    assert (found.instance, found.object) == (name, "PersistentVolume retained-of-lent")
    await (await innkeeper.uninstall(name)).result()
    await (await innkeeper.purge(name)).result()
    assert set(await drift_of(innkeeper, name)) == {"volume-unowned"}
    await hands.delete(volume)
    assert await drift_of(innkeeper, name) == {}
