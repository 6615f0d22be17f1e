"""What becomes of workloads, in memory and on a real control plane."""

from __future__ import annotations

import asyncio

import pytest
from cluster_objects import (
    FAULT,
    PATIENCE,
    enforced,
    gone,
    job,
    pod,
    pod_names,
    quota,
    service_account,
    serving,
    settled,
    stateful_set,
    workload,
)

from innkeeper.gateways.memory_nodes import READY_AFTER
from innkeeper.model import health
from innkeeper.model.errors import Cause, Permanent
from innkeeper.model.ports import Cluster, Ref

STOPS_AFTER = "kwok.innkeeper.dev/stops-after"


async def test_a_quota_refuses_pods_by_name(cluster: Cluster, namespace: str) -> None:
    await cluster.create(quota(namespace, 0))
    refused = await enforced(cluster, namespace)
    assert refused.cause.code == "QuotaExceeded"
    assert "exceeded quota: plan, requested: pods=1" in refused.cause.message
    assert refused.cause.fix


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
async def test_a_workload_that_a_quota_refuses_pods_fails_by_the_quotas_name(
    cluster: Cluster, namespace: str, kind: str
) -> None:
    await cluster.create(quota(namespace, 0))
    await enforced(cluster, namespace)
    await cluster.patch(Ref("v1", "ResourceQuota", "plan", namespace), {"spec": {"hard": {"pods": "1"}}})
    made = await cluster.create(workload(namespace, kind, "web", replicas=2, **serving(kind)))
    found = await settled(cluster, namespace, Ref.to(made))
    assert isinstance(found, health.Failed)
    assert (found.cause.code, "quota plan" in found.cause.message) == ("QuotaExceeded", True)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "Pod"])
async def test_a_healthy_workload_becomes_ready(cluster: Cluster, namespace: str, kind: str) -> None:
    manifests = {
        "Deployment": workload(namespace, "Deployment", "web", replicas=2),
        "StatefulSet": stateful_set(namespace, replicas=2),
        "DaemonSet": workload(namespace, "DaemonSet", "agent", replicas=None),
        "Job": job(namespace),
        "Pod": pod(namespace),
    }
    await service_account(cluster, namespace)
    made = await cluster.create(manifests[kind])
    assert await settled(cluster, namespace, Ref.to(made)) == health.Ready()


@pytest.mark.parametrize(
    ("fault", "code"), [("image", "ImagePull"), ("crash", "CrashLoop"), ("config", "ContainerConfig")]
)
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
async def test_a_faulty_workload_fails_with_its_reason_and_its_pods_name(
    cluster: Cluster, namespace: str, kind: str, fault: str, code: str
) -> None:
    replicas = None if kind == "DaemonSet" else 1
    made = await cluster.create(workload(namespace, kind, "web", fault=fault, replicas=replicas, **serving(kind)))
    found = await settled(cluster, namespace, Ref.to(made))
    assert isinstance(found, health.Failed)
    assert found.cause.code == code
    assert found.cause.object.startswith(f"Pod {namespace}/web-")


async def test_a_crash_in_an_init_container_fails_its_workload(cluster: Cluster, namespace: str) -> None:
    manifest = workload(namespace, "Deployment", "web", fault="init")
    manifest["spec"]["template"]["spec"]["initContainers"] = [{"name": "prepare", "image": "busybox:1"}]
    made = await cluster.create(manifest)
    found = await settled(cluster, namespace, Ref.to(made))
    assert isinstance(found, health.Failed)
    assert (found.cause.code, "container prepare" in found.cause.message) == ("CrashLoop", True)


async def test_a_job_whose_pod_fails_has_failed(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(job(namespace, fault="fail"))
    found = await settled(cluster, namespace, Ref.to(made))
    assert isinstance(found, health.Failed)
    assert (found.cause.code, found.cause.object) == ("JobFailed", f"Job {namespace}/setup")


async def waits(cluster: Cluster, namespace: str, ref: Ref) -> Cause:
    """Why it is not ready, as soon as the cluster says so."""
    async with asyncio.timeout(PATIENCE), cluster.watch(namespace) as watch:
        while True:
            found = health.assess([ref], watch.objects())
            assert isinstance(found, health.Progressing)
            if found.cause is not None and "(" in found.cause.message:
                return found.cause
            await watch.changed()


async def test_a_pod_that_no_node_takes_is_waited_for_and_named(cluster: Cluster, namespace: str) -> None:
    manifest = workload(namespace, "Deployment", "web")
    manifest["spec"]["template"]["spec"]["nodeSelector"] = {"moon": "full"}
    made = await cluster.create(manifest)
    cause = await waits(cluster, namespace, Ref.to(made))
    assert (cause.code, "didn't match Pod's node affinity/selector" in cause.message) == ("Unschedulable", True)


async def test_a_claim_that_is_not_bound_is_named_with_its_reason(cluster: Cluster, namespace: str) -> None:
    manifest = stateful_set(namespace)
    manifest["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = "nowhere"
    made = await cluster.create(manifest)
    cause = await waits(cluster, namespace, Ref.to(made))
    assert (cause.code, cause.object) == ("VolumeUnbound", f"PersistentVolumeClaim {namespace}/data-db-0")
    assert cause.message == (
        "Pod db-0: waits for PersistentVolumeClaim data-db-0, which is not bound to a volume yet "
        '(storageclass.storage.k8s.io "nowhere" not found).'
    )


async def test_a_rollout_replaces_the_pods_and_a_broken_one_leaves_the_old_ones(
    cluster: Cluster, namespace: str
) -> None:
    made = await cluster.create(workload(namespace, "Deployment", "web"))
    ref = Ref.to(made)
    assert await settled(cluster, namespace, ref) == health.Ready()
    before = await pod_names(cluster, namespace)
    template = {"metadata": {"annotations": {"rolled": "once"}}}
    await cluster.patch(ref, {"spec": {"template": template}})
    assert await settled(cluster, namespace, ref) == health.Ready()
    async with asyncio.timeout(PATIENCE):
        while before & await pod_names(cluster, namespace):
            await asyncio.sleep(0.05)
    rolled = await pod_names(cluster, namespace)
    assert len(rolled) == 1
    await cluster.patch(ref, {"spec": {"template": {"metadata": {"annotations": {FAULT: "image"}}}}})
    assert isinstance(await settled(cluster, namespace, ref), health.Failed)
    assert rolled < await pod_names(cluster, namespace)
    await cluster.patch(ref, {"spec": {"template": {"metadata": {"annotations": {FAULT: None}}}}})
    assert await settled(cluster, namespace, ref) == health.Ready()


async def test_a_stateful_sets_volumes_outlive_it_and_are_found_again(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(stateful_set(namespace))
    claim = Ref("v1", "PersistentVolumeClaim", "data-db-0", namespace)
    assert await settled(cluster, namespace, Ref.to(made), claim) == health.Ready()
    before = await cluster.get(claim)
    await cluster.delete(Ref.to(made), uid=made["metadata"]["uid"])
    assert await gone(cluster, Ref("v1", "Pod", "db-0", namespace))
    again = await cluster.create(stateful_set(namespace))
    assert await settled(cluster, namespace, Ref.to(again), claim) == health.Ready()
    after = await cluster.get(claim)
    assert before is not None
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["volumeName"] == before["spec"]["volumeName"]


async def test_a_workload_scaled_to_nothing_is_stopped_and_comes_back(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(stateful_set(namespace, replicas=2))
    ref = Ref.to(made)
    assert await settled(cluster, namespace, ref) == health.Ready()
    await cluster.patch(ref, {"spec": {"replicas": 0}})
    async with asyncio.timeout(PATIENCE), cluster.watch(namespace) as watch:
        while not health.is_stopped(watch.objects()):
            await watch.changed()
    await cluster.patch(ref, {"spec": {"replicas": 2}})
    assert await settled(cluster, namespace, ref) == health.Ready()
    assert await pod_names(cluster, namespace) == {"db-0", "db-1"}


async def test_a_pod_that_takes_its_time_runs_before_it_is_ready(cluster: Cluster, namespace: str) -> None:
    await service_account(cluster, namespace)
    slow = pod(namespace)
    slow["metadata"]["annotations"] = {READY_AFTER: "1s"}
    made = await cluster.create(slow)
    async with asyncio.timeout(PATIENCE), cluster.watch(namespace) as watch:
        while not isinstance(found := health.assess([Ref.to(made)], watch.objects()), health.Ready):
            assert isinstance(found, health.Progressing)
            await watch.changed()
    live = await cluster.get(Ref.to(made))
    assert live is not None
    assert live["status"]["phase"] == "Running"


async def test_a_pod_that_is_deleted_before_it_is_ready_does_not_come_back(cluster: Cluster, namespace: str) -> None:
    await service_account(cluster, namespace)
    slow = pod(namespace)
    slow["metadata"]["annotations"] = {READY_AFTER: "300ms"}
    made = await cluster.create(slow)
    assert await cluster.delete(Ref.to(made), uid=made["metadata"]["uid"])
    assert await gone(cluster, Ref.to(made))
    await asyncio.sleep(0.5)
    assert await cluster.get(Ref.to(made)) is None


async def test_a_pod_that_takes_its_time_to_stop_is_there_until_then(cluster: Cluster, namespace: str) -> None:
    await service_account(cluster, namespace)
    lingering = pod(namespace)
    # Longer than what comes between the deletion and the look at it.
    lingering["metadata"]["annotations"] = {STOPS_AFTER: "6s"}
    made = await cluster.create(lingering)
    assert await settled(cluster, namespace, Ref.to(made)) == health.Ready()
    await cluster.delete(Ref.to(made), uid=made["metadata"]["uid"])
    live = await cluster.get(Ref.to(made))
    assert live is not None
    assert live["metadata"]["deletionTimestamp"]
    assert await gone(cluster, Ref.to(made))


async def test_a_job_that_is_suspended_loses_the_pods_that_have_not_ended(cluster: Cluster, namespace: str) -> None:
    manifest = job(namespace)
    manifest["spec"]["template"]["metadata"]["annotations"] = {READY_AFTER: "10m"}
    made = await cluster.create(manifest)
    async with asyncio.timeout(PATIENCE):
        while not await pod_names(cluster, namespace):
            await asyncio.sleep(0.05)
    await cluster.patch(Ref.to(made), {"spec": {"suspend": True}})
    async with asyncio.timeout(PATIENCE):
        while await pod_names(cluster, namespace):
            await asyncio.sleep(0.05)


async def test_a_daemon_set_replaces_its_pods_when_its_template_changes(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(workload(namespace, "DaemonSet", "agent", replicas=None))
    assert await settled(cluster, namespace, Ref.to(made)) == health.Ready()
    before = await pod_names(cluster, namespace)
    await cluster.patch(Ref.to(made), {"spec": {"template": {"metadata": {"annotations": {"rolled": "once"}}}}})
    async with asyncio.timeout(PATIENCE):
        while before & await pod_names(cluster, namespace):
            await asyncio.sleep(0.05)
    assert await settled(cluster, namespace, Ref.to(made)) == health.Ready()


async def test_a_workload_without_a_selector_and_a_pod_without_containers_are_refused(
    cluster: Cluster, namespace: str
) -> None:
    unselecting = workload(namespace, "Deployment", "web")
    del unselecting["spec"]["selector"]
    for manifest, said in ((unselecting, "spec.selector"), (pod(namespace, containers=[]), "spec.containers")):
        with pytest.raises(Permanent, match=said):
            await cluster.create(manifest)
