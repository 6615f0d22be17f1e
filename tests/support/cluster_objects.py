"""Small Kubernetes objects for tests, and waiting for what becomes of them."""

from __future__ import annotations

import asyncio
from typing import Any

from innkeeper.model import health
from innkeeper.model.errors import Forbidden
from innkeeper.model.ports import Cluster, Manifest, Ref

PATIENCE = 90.0
"""Seconds that controllers are given on a machine that does other things."""

FAULT = "kwok.innkeeper.dev/fault"


def config_map(namespace: str, name: str = "settings", **data: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


def pod(namespace: str, name: str = "one", **spec: Any) -> Manifest:
    containers = [{"name": "main", "image": "nginx:1"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": containers, **spec},
    }


def workload(
    namespace: str, kind: str, name: str, *, fault: str = "", replicas: int | None = 1, **spec: Any
) -> Manifest:
    labels = {"app": name}
    annotations = {FAULT: fault} if fault else {}
    asked: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": {"containers": [{"name": "main", "image": "nginx:1"}]},
        },
        **spec,
    }
    if replicas is not None:
        asked["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": asked,
    }


def stateful_set(namespace: str, name: str = "db", replicas: int = 1) -> Manifest:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    made = workload(namespace, "StatefulSet", name, replicas=replicas, serviceName=name, volumeClaimTemplates=[claim])
    made["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return made


def job(namespace: str, name: str = "setup", *, fault: str = "") -> Manifest:
    made = workload(namespace, "Job", name, fault=fault, replicas=None, backoffLimit=0)
    made["apiVersion"] = "batch/v1"
    del made["spec"]["selector"]
    made["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    return made


async def settled(cluster: Cluster, namespace: str, *wanted: Ref) -> health.Health:
    """Ready or Failed, or whatever it is when patience ends."""
    found: health.Health = health.Progressing("nothing yet")
    try:
        async with asyncio.timeout(PATIENCE), cluster.watch(namespace) as watch:
            while isinstance(found := health.assess(wanted, watch.objects()), health.Progressing):
                await watch.changed()
    except TimeoutError:
        pass
    return found


async def gone(cluster: Cluster, ref: Ref) -> bool:
    async with asyncio.timeout(PATIENCE):
        while await cluster.get(ref) is not None:
            await asyncio.sleep(0.05)
    return True


def quota(namespace: str, pods: int) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "plan", "namespace": namespace},
        "spec": {"hard": {"pods": str(pods)}},
    }


async def enforced(cluster: Cluster, namespace: str) -> Forbidden:
    """The refusal of a pod, once the API server enforces the quota."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await cluster.create(pod(namespace), dry_run=True)
            except Forbidden as refused:
                if "used: pods=0, limited: pods=0" in str(refused):
                    return refused
            await asyncio.sleep(0.05)


def serving(kind: str) -> dict[str, str]:
    return {"serviceName": "web"} if kind == "StatefulSet" else {}


async def service_account(cluster: Cluster, namespace: str) -> None:
    """A pod without a controller needs its service account at once; a real cluster makes it in a moment."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
    await cluster.apply(account)


async def pod_names(cluster: Cluster, namespace: str) -> set[str]:
    return {one["metadata"]["name"] for one in await cluster.list_objects("v1", "Pod", namespace=namespace)}


async def quiet(watch: Any) -> None:
    """Return once nothing has changed for a while."""
    while True:
        watch.objects()
        try:
            await asyncio.wait_for(watch.changed(), 0.5)
        except TimeoutError:
            return
