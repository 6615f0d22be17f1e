"""Attempts of activities over gateways in memory, without Temporal: several of one step at once, as zombies are."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import pytest
from temporalio.testing import ActivityEnvironment

from innkeeper.activities.charts import Charts
from innkeeper.activities.fence import Fence
from innkeeper.activities.namespaces import Namespaces
from innkeeper.activities.releases import Releases
from innkeeper.activities.secrets import Secrets
from innkeeper.gateways.faults import Faults
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.model import catalog, fence, release
from innkeeper.model.instance import Kind
from innkeeper.model.messages import Work
from innkeeper.model.ports import Manifest, Ref
from innkeeper.worker import settle_in

T = TypeVar("T")

CATALOG = {
    "plans": {
        "starter": {"chart": {"path": "room"}, "deadlines": {"release": 600}},
        "bigger": {"chart": {"path": "room"}, "values": {"replicas": 3}},
        "wide": {"chart": {"path": "wide"}, "cluster_objects": ["ClusterRole"]},
    }
}

WORK = Work(
    request_id="r1",
    kind=Kind.PROVISION,
    instance="acme",
    tenant="t1",
    plan="starter",
    namespace="inn-acme",
    release="acme",
    generation=1,
)


@dataclass
class Bench:
    """One instance's cluster and Helm, and the activities over them."""

    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.cluster = MemoryCluster(faults=self.faults)
        self.world = self.cluster.without_faults()
        self.helm = MemoryHelm(self.world, faults=self.faults)
        self.catalog = catalog.parse(CATALOG, folder="")
        self.fence = Fence(self.cluster, self.catalog)
        secrets = Secrets(self.cluster, "innkeeper-system")
        charts = Charts(self.helm, self.cluster)
        self.namespaces = Namespaces(self.cluster, self.catalog, secrets, self.fence)
        self.releases = Releases(self.cluster, self.helm, self.catalog, charts, secrets, self.fence)

    async def attempt(self, act: Callable[[Work], Awaitable[T]], work: Work = WORK, limit: float = 60) -> T:
        """One attempt of an activity."""
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, start_to_close_timeout=timedelta(seconds=limit))
        return await environment.run(act, work)

    async def states(self) -> list[str]:
        """The states of the release's revisions."""
        labels = release.storage_labels("acme")
        found = await self.world.list_objects("v1", "Secret", namespace="inn-acme", labels=labels)
        return [each.state.value for each in release.revisions_of(found)]

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
    await settle_in(bench.world, "innkeeper-system")
    await bench.attempt(bench.namespaces.prepare)
    return bench
