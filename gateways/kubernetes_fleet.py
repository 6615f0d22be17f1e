"""The fleet made real: `drift_ports.Fleet` by lists over all namespaces of a Kubernetes cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..model.drift_picture import Look
from ..model.ports import Manifest
from .kubernetes import KubernetesCluster

_NAMES = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class KubernetesFleet:
    """All instances of one cluster, over the cluster's connections."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        self._cluster = cluster

    async def pages(self, look: Look, *, namespace: str | None = None) -> AsyncIterator[list[Manifest]]:
        """See `drift_ports.Fleet.pages`."""
        fields = look.fields
        if look.kind == "Namespace" and namespace is not None:
            fields = f"metadata.name={namespace}"
        query = {name: value for name, value in (("labelSelector", look.labels), ("fieldSelector", fields)) if value}
        accept = _NAMES if look.names_only else "application/json"
        async for page in self._cluster.pages(
            look.api_version, look.kind, namespace=namespace, query=query, accept=accept
        ):
            yield page
