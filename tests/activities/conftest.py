"""Attempts of activities over gateways in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from attempts import OPERATORS, Steps, attempt, work_on

from innkeeper.activities.workloads import Workloads
from innkeeper.gateways.faults import Faults
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.model import catalog, fence, release
from innkeeper.model.manifests import write_yaml
from innkeeper.model.messages import Work
from innkeeper.model.ports import Manifest, Ref
from innkeeper.worker import settle_in

T = TypeVar("T")

CATALOG = {
    "plans": {
        "starter": {"chart": {"path": "room"}, "deadlines": {"release": 600}},
        "bigger": {"chart": {"path": "room"}, "values": {"replicas": 3}},
        "strict": {"chart": {"path": "room"}, "pod_security": "restricted"},
        "wide": {"chart": {"path": "wide"}, "cluster_objects": ["ClusterRole"]},
        "full": {
            "chart": {"path": "room"},
            "quota": {"pods": 9},
            "container_defaults": {"default": {"cpu": "1"}},
            "secrets": [{"name": "made", "generate": {"key": 16}}],
        },
    }
}

WORK = work_on("acme", "starter")


@dataclass
class Bench:
    """One instance's cluster and Helm, and the activities over them."""

    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.cluster = MemoryCluster(faults=self.faults)
        self.world = self.cluster.without_faults()
        self.helm = MemoryHelm(self.world, faults=self.faults)
        self.catalog = catalog.parse(CATALOG, folder="")
        steps = Steps(self.cluster, self.helm, self.catalog)
        self.fence, self.namespaces, self.releases = steps.fence, steps.namespaces, steps.releases
        self.workloads = Workloads(self.cluster, self.catalog, steps.storage)

    async def attempt(
        self, act: Callable[[Work], Awaitable[T]], work: Work = WORK, limit: float = 60, **more: float
    ) -> T:
        """One attempt of an activity; see `attempts.attempt`."""
        return await attempt(act, work, limit=limit, **more)

    async def states(self) -> list[str]:
        """The states of the release's revisions."""
        labels = release.storage_labels("acme")
        found = await self.world.list_objects("v1", "Secret", namespace="inn-acme", labels=labels)
        return [each.state.value for each in release.revisions_of(found)]

    async def stored(self, version: int, state: str, *manifest: Manifest) -> None:
        """Put a revision of these objects into Helm's storage, as somebody's Helm may have left it."""
        record = {
            "name": "acme",
            "namespace": "inn-acme",
            "version": version,
            "manifest": "\n---\n".join(write_yaml(each) for each in manifest),
            "info": {"status": state, "description": "by hand"},
        }
        labels = {**release.storage_labels("acme"), "status": state, "version": str(version)}
        meta = {"name": f"sh.helm.release.v1.acme.v{version}", "namespace": "inn-acme", "labels": labels}
        await self.world.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": release.STORAGE_TYPE,
                "metadata": meta,
                "data": {"release": release.pack(record)},
            }
        )

    async def binding(self) -> Manifest | None:
        """The binding as it is."""
        return await self.world.get(fence.binding_ref("inn-acme"))

    async def epoch(self) -> int:
        """How many attempts have taken the release so far; 0 where nobody has."""
        holder = fence.holder_of(await self.binding() or {})
        return int(holder.split(":")[2]) if holder else 0

    async def remove(self, ref: Ref) -> None:
        """Delete an object by hand."""
        found = await self.world.get(ref)
        assert found is not None
        assert await self.world.delete(ref, uid=found["metadata"]["uid"])

    async def replicas(self) -> int | None:
        """What the web Deployment wants; None where there is none."""
        found = await self.world.get(Ref("apps/v1", "Deployment", "acme-web", "inn-acme"))
        return int(found["spec"]["replicas"]) if found else None


@pytest.fixture
async def bench() -> Bench:
    """An instance whose namespace is prepared."""
    bench = Bench()
    await settle_in(bench.world, OPERATORS)
    await bench.attempt(bench.namespaces.prepare)
    return bench
