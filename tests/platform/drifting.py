"""Hands that change the platform behind Innkeeper's back, and the eyes that look for drift."""

from __future__ import annotations

from typing import Any

import httpx

from innkeeper.client import FindingRecord, Innkeeper
from innkeeper.embedded.options import Addresses
from innkeeper.gateways.helm import HelmCommand
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model.ports import Manifest, Ref


def web(name: str) -> Ref:
    """The Deployment of an instance of the chart `room`."""
    return Ref("apps/v1", "Deployment", f"{name}-web", f"inn-{name}")


def database_of(name: str) -> Ref:
    return Ref("apps/v1", "StatefulSet", f"{name}-db", f"inn-{name}")


async def drift_of(innkeeper: Innkeeper, name: str) -> dict[str, FindingRecord]:
    """What a look just now finds of an instance, by kind; no kind twice."""
    await innkeeper.reconcile(name)
    items = (await innkeeper.findings(name)).items
    found = {each.what.value: each for each in items}
    assert len(found) == len(items)
    return found


async def explained(innkeeper: Innkeeper, name: str) -> list[str]:
    """What an explanation says there is to do."""
    return (await innkeeper.explain(name)).to_do


class Hands:
    """Somebody with all rights on the cluster and the rows."""

    def __init__(self, cluster: KubernetesCluster, addresses: Addresses) -> None:
        self.cluster = cluster
        self.helm = HelmCommand(kubeconfig=addresses.kubeconfig, context=addresses.context)
        self._addresses = addresses

    async def delete(self, ref: Ref) -> None:
        found = await self.cluster.get(ref)
        assert found is not None, ref
        await self.cluster.delete(ref, uid=found["metadata"]["uid"])

    async def change(self, ref: Ref, patch: Manifest) -> None:
        assert await self.cluster.patch(ref, patch) is not None, ref

    async def set_image(self, ref: Ref, image: str) -> None:
        """Give the first container another image, as `kubectl set image` does."""
        found = await self.cluster.get(ref)
        assert found is not None
        first, *others = found["spec"]["template"]["spec"]["containers"]
        containers = [{**first, "image": image}, *others]
        await self.change(ref, {"spec": {"template": {"spec": {"containers": containers}}}})

    async def write_as(self, manager: str, path: str, patch: Manifest) -> None:
        """A merge patch by another client than Innkeeper."""
        answer = await self.cluster._api.call(
            "PATCH", path, query={"fieldManager": manager}, body=patch, content_type="application/merge-patch+json"
        )
        assert answer.status == 200, answer.body

    async def rows(self, method: str, table: str, *, query: str = "", body: Any = None) -> None:
        """Write rows as nobody should."""
        key = self._addresses.supabase_service_key
        async with httpx.AsyncClient(headers={"apikey": key, "Authorization": f"Bearer {key}"}) as http:
            url = f"{self._addresses.supabase_url}/rest/v1/{table}{query}"
            (await http.request(method, url, json=body)).raise_for_status()
