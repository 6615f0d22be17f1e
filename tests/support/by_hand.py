"""A release that somebody installed by scripts of theirs, in a namespace of theirs: what adoptions begin from."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

from serving import is_serving

from innkeeper.model.catalog import ChartRef
from innkeeper.model.ports import Cluster, Helm, Manifest, Ref, Release

PATIENCE = 300.0
"""Seconds that pods are given on a machine that does other things."""

ROOM = ChartRef(path="room")
CREDENTIALS = "credentials"
PASSWORD = base64.b64encode(b"somebodys-own-password").decode()


async def install(
    cluster: Cluster,
    helm: Helm,
    namespace: str,
    release: str,
    *,
    chart: ChartRef = ROOM,
    values: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """A namespace with a Secret of the plan's name and a release whose pods are up, without any mark of Innkeeper's."""
    space: Manifest = {"name": namespace, **({"labels": dict(labels)} if labels else {})}
    await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": space})
    secret: Manifest = {"name": CREDENTIALS, "namespace": namespace}
    await cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": secret, "data": {"password": PASSWORD}})
    wanted = Release(name=release, namespace=namespace, chart=chart, values=dict(values or {}), mark="")
    await helm.upgrade(wanted, limit=60)
    async with asyncio.timeout(PATIENCE):
        while not await _runs(cluster, namespace):
            await asyncio.sleep(0.1)


async def _runs(cluster: Cluster, namespace: str) -> bool:
    lists = [await cluster.list_objects("apps/v1", kind, namespace=namespace) for kind in ("Deployment", "StatefulSet")]
    wanted: int = sum(each["spec"]["replicas"] for objects in lists for each in objects)
    pods = await cluster.list_objects("v1", "Pod", namespace=namespace)
    return sum(is_serving(pod) for pod in pods) == wanted


async def marks_of(cluster: Cluster, namespace: str) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Labels and annotations of the namespace and of its Secret, by kind: what an adoption marks."""
    found = {}
    for ref in (Ref("v1", "Namespace", namespace), Ref("v1", "Secret", CREDENTIALS, namespace)):
        each = await cluster.get(ref)
        assert each is not None
        meta = each["metadata"]
        found[ref.kind] = (meta.get("labels") or {}, meta.get("annotations") or {})
    return found
