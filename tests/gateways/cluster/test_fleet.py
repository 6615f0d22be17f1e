"""What a reconcile lists, in memory and on a real API server: chosen by selectors, over all namespaces, in pages."""

from __future__ import annotations

import asyncio

import pytest
from cluster_objects import PATIENCE, config_map, job, pod, stateful_set, workload

from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.gateways.kubernetes_fleet import KubernetesFleet
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_fleet import MemoryFleet
from innkeeper.model.drift_picture import HELMS, LOOKS, NAMESPACES, OURS, Look, Picture
from innkeeper.model.drift_ports import Fleet
from innkeeper.model.errors import Permanent
from innkeeper.model.ports import Cluster, Manifest, Ref


@pytest.fixture
def fleet(cluster: Cluster) -> Fleet:
    if isinstance(cluster, KubernetesCluster):
        return KubernetesFleet(cluster)
    assert isinstance(cluster, MemoryCluster)
    return MemoryFleet(cluster)


def labelled(manifest: Manifest, **labels: str) -> Manifest:
    meta = {**manifest["metadata"], "labels": {name.replace("_", "-"): value for name, value in labels.items()}}
    return {**manifest, "metadata": meta}


async def listed(fleet: Fleet, look: Look, namespace: str | None = None) -> list[Manifest]:
    return [each async for page in fleet.pages(look, namespace=namespace) for each in page]


def names(found: list[Manifest]) -> set[str]:
    return {each["metadata"]["name"] for each in found}


async def test_labels_choose_by_being_equal_and_by_being_another(
    fleet: Fleet, cluster: Cluster, namespace: str
) -> None:
    for name, labels in {"a": {"own": "x", "st": "old"}, "b": {"own": "x", "st": "new"}, "c": {"own": "y"}}.items():
        await cluster.create(labelled(config_map(namespace, name), **labels))
    await cluster.create(labelled(config_map(namespace, "d"), own="x"))
    look = Look("v1", "ConfigMap", "own=x,st!=old")
    assert names(await listed(fleet, look, namespace)) == {"b", "d"}
    assert names(await listed(fleet, look)) >= {"b", "d"}


async def test_a_list_of_one_namespace_holds_that_namespace_alone(
    fleet: Fleet, cluster: Cluster, namespace: str
) -> None:
    await cluster.patch(
        Ref("v1", "Namespace", namespace), {"metadata": {"labels": {"app.kubernetes.io/managed-by": "innkeeper"}}}
    )
    assert OURS == "app.kubernetes.io/managed-by=innkeeper"
    assert names(await listed(fleet, NAMESPACES, namespace)) == {namespace}
    assert names(await listed(fleet, NAMESPACES, f"{namespace}-not")) == set()
    assert namespace in names(await listed(fleet, NAMESPACES))


async def test_pods_that_have_ended_are_left_out_and_of_others_only_the_names_are_read(
    fleet: Fleet, cluster: Cluster, namespace: str
) -> None:
    (look,) = [look for look in LOOKS if look.kind == "Pod"]
    await cluster.create(pod(namespace, "runs"))
    await cluster.create(job(namespace))
    async with asyncio.timeout(PATIENCE):
        while names(found := await listed(fleet, look, namespace)) != {"runs"} or not await ended(cluster, namespace):
            await asyncio.sleep(0.1)
    assert found[0]["kind"] == "Pod"
    assert "spec" not in found[0]
    assert found[0]["metadata"]["namespace"] == namespace


async def ended(cluster: Cluster, namespace: str) -> bool:
    pods = await cluster.list_objects("v1", "Pod", namespace=namespace)
    return any((each.get("status") or {}).get("phase") == "Succeeded" for each in pods)


async def test_pages_together_are_the_whole_list(fleet: Fleet, cluster: Cluster, namespace: str) -> None:
    wanted = {f"settings-{number}" for number in range(5)}
    for name in wanted:
        await cluster.create(config_map(namespace, name))
    found = [each["metadata"]["name"] for each in await listed(fleet, Look("v1", "ConfigMap"), namespace)]
    assert wanted <= set(found)
    assert len(found) == len(set(found))


async def test_every_look_can_be_had_and_a_picture_be_made_of_it(
    fleet: Fleet, cluster: Cluster, namespace: str
) -> None:
    assert HELMS == "app.kubernetes.io/managed-by=Helm"
    helms, ours = {"app.kubernetes.io/managed-by": "Helm"}, {"app.kubernetes.io/managed-by": "innkeeper"}
    for made in (workload(namespace, "Deployment", "web", replicas=2), stateful_set(namespace)):
        made["metadata"]["labels"] = helms
        await cluster.create(made)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "credentials", "namespace": namespace, "labels": ours},
        "stringData": {"password": "not-to-be-kept"},
    }
    await cluster.create(secret)
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    }
    await cluster.create(autoscaler)
    async with asyncio.timeout(PATIENCE):
        while not (picture := await pictured(fleet, namespace)).home(namespace).claims:
            await asyncio.sleep(0.1)
    home = picture.home(namespace)
    assert {key: (each.replicas, each.images) for key, each in home.workloads.items()} == {
        ("Deployment", "web"): (2, (("main", "nginx:1"),)),
        ("StatefulSet", "db"): (1, (("main", "nginx:1"),)),
    }
    assert home.secrets["credentials"].names == {"password"}
    assert home.secrets["credentials"].others == {}
    assert "not-to-be-kept" not in repr(vars(picture))
    assert home.autoscaled == {("Deployment", "web")}
    assert home.claims == ["data-db-0"]


async def pictured(fleet: Fleet, namespace: str) -> Picture:
    picture = Picture()
    for look in LOOKS:
        async for page in fleet.pages(look, namespace=namespace):
            picture.take(page)
    return picture


async def test_a_kind_that_nobody_knows_cannot_be_listed(fleet: Fleet) -> None:
    with pytest.raises(Permanent, match="knows no kind Guest"):
        await listed(fleet, Look("stable.example.com/v1", "Guest"))
