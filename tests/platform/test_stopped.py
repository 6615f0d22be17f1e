"""A stopped instance stays stopped, whatever else in the cluster wants its pods, and a start brings back what ran."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from innkeeper.client import Innkeeper
from innkeeper.embedded import demo_proof as proof
from innkeeper.embedded.options import Addresses
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.helm import HelmCommand
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model.instance import Status
from innkeeper.model.ports import Manifest, Ref

# Each of several waits may take its time on a busy machine.
pytestmark = pytest.mark.timeout(900)

NAME = "still"
NAMESPACE = f"inn-{NAME}"
WEB = Ref("apps/v1", "Deployment", f"{NAME}-web", NAMESPACE)

POD = {
    "restartPolicy": "Never",
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "main",
            "image": "example/main:1",
            "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}, "limits": {"cpu": "20m", "memory": "16Mi"}},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}
AUTOSCALER: Manifest = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web", "namespace": NAMESPACE},
    "spec": {
        "minReplicas": 2,
        "maxReplicas": 3,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WEB.name},
    },
}
CRON_JOB: Manifest = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "every-minute", "namespace": NAMESPACE},
    "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": POD}}}},
}
CRON = Ref("batch/v1", "CronJob", "every-minute", NAMESPACE)
JOB: Manifest = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "by-hand", "namespace": NAMESPACE},
    "spec": {"backoffLimit": 0, "template": {"spec": POD}},
}


async def until(holds: Callable[[], Awaitable[bool]], *, within: float = 180.0) -> None:
    async with asyncio.timeout(within):
        while not await holds():
            await asyncio.sleep(0.2)


async def replicas(cluster: KubernetesCluster) -> int:
    found = await cluster.get(WEB)
    assert found is not None
    return int(found["spec"]["replicas"])


@contextlib.asynccontextmanager
async def insisting(cluster: KubernetesCluster, wanted: int) -> AsyncIterator[None]:
    """A controller that brings the replicas back to what it wants, whoever changes them."""

    async def insist() -> None:
        while True:
            await cluster.patch(WEB, {"spec": {"replicas": wanted}})
            await asyncio.sleep(0.1)

    task = asyncio.create_task(insist())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def refused(cluster: KubernetesCluster, kind: str) -> bool:
    """Whether somebody tried to make a pod for an object of the kind, and the quota said no."""
    events = await cluster.list_objects("v1", "Event", namespace=NAMESPACE)
    return any(
        event["involvedObject"]["kind"] == kind and "innkeeper-stopped" in event.get("message", "") for event in events
    )


def scaled_again(cluster: KubernetesCluster) -> Callable[[], Awaitable[bool]]:
    async def scaled() -> bool:
        assert await proof.pods(cluster, NAME) == []
        return await replicas(cluster) == 2

    return scaled


async def test_a_stopped_instance_stays_stopped_whatever_wants_its_pods(
    innkeeper: Innkeeper, cluster: KubernetesCluster, database: SupabaseDatabase, addresses: Addresses
) -> None:
    await (await innkeeper.provision(NAME, tenant="t1", plan="starter")).result()
    for manifest in (AUTOSCALER, CRON_JOB):
        await cluster.create(manifest)

    async def scaled() -> bool:
        return await replicas(cluster) == 2 and len(await proof.pods(cluster, NAME)) >= 3

    await until(scaled)
    await (await innkeeper.stop(NAME)).result()
    await proof.demand_stopped(cluster, database, NAME)

    # Somebody scales it up; the autoscaler, which rests at zero, goes on from there.
    await cluster.patch(WEB, {"spec": {"replicas": 1}})
    await until(scaled_again(cluster))
    # What somebody starts, and what the schedule would.
    await cluster.patch(CRON, {"spec": {"suspend": False}})
    await cluster.create(JOB)

    async def job_refused() -> bool:
        return await refused(cluster, "Job")

    async def replica_set_refused() -> bool:
        return await refused(cluster, "ReplicaSet")

    await until(job_refused)
    # An upgrade of ours is remembered; one by hand brings the chart's replicas back, and no pod.
    await (await innkeeper.upgrade(NAME)).result()
    helm = HelmCommand(kubeconfig=addresses.kubeconfig, context=addresses.context)
    await helm.rollback(NAME, NAMESPACE, 1, limit=60)
    async with insisting(cluster, 3):
        await asyncio.sleep(2)
        await until(replica_set_refused)
        await proof.demand_stopped(cluster, database, NAME)
        # Asked again it stops what was scaled up since, and remembers what ran before the first stop.
        await (await innkeeper.stop(NAME)).result()
    await proof.demand_stopped(cluster, database, NAME)

    assert (await (await innkeeper.start(NAME)).result()).status is Status.RUNNING
    await proof.demand_running(cluster, database, NAME)
    found = await cluster.get(CRON)
    assert (await replicas(cluster), found and found["spec"]["suspend"]) == (2, False)
