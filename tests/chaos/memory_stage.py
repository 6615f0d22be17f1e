"""The stage in memory: one world for each instance, and workers that are cut off from Temporal when they are killed.

A killed worker's connection to Temporal is reset and refused from then on, so that neither an answer nor a heartbeat of
its steps arrives, as if its process were gone; and its calls reach no world any more. What is left of it is thrown
away in the background, where the SDK wants some seconds to give up its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import by_hand
from proxy import Proxy
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner

from innkeeper.client.desk import TemporalDesk
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_freezes import MemoryFreezes
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.gateways.memory_usage import MemoryUsage
from innkeeper.model import catalog
from innkeeper.model.fence import widest_role
from innkeeper.model.names import namespace_of, release_of
from innkeeper.model.ports import Manifest, Ref
from innkeeper.worker import Workers, activities, compose

from .effects import Play
from .played import Cast, PlayedCluster, PlayedDatabase, PlayedHelm, label_of
from .scenarios import CATALOG, STARTER
from .start import Hand

OPERATORS = "innkeeper-system"

PLANS = {
    name: {
        "chart": {"path": "room"},
        "values": {"replicas": plan.web},
        "secrets": [{"name": "credentials", "generate": {"password": 24}}],
        "quota": {"pods": plan.pods},
        "container_defaults": plan.container_defaults,
        "pod_security": plan.pod_security,
        "url": "https://${instance.name}.rooms.example",
        "deadlines": {"prepare": 60, "release": 60, "ready": 60, "gone": 60, "decision": 600},
    }
    for name, plan in CATALOG.items()
}


class HelmsCluster(MemoryCluster):
    """The cluster as Helm writes to it: each write an inner effect of the act that is under way."""

    def __init__(self, cluster: MemoryCluster, play: Play) -> None:
        vars(self).update(vars(cluster))
        self._play = play

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        async with self._play.inner_effect(_helms("create", Ref.to(manifest))):
            return await super().create(manifest, dry_run=dry_run)

    async def patch(self, ref: Ref, patch: Manifest) -> Manifest | None:
        async with self._play.inner_effect(_helms("patch", ref)):
            return await super().patch(ref, patch)

    async def delete(self, ref: Ref, *, uid: str) -> bool:
        async with self._play.inner_effect(_helms("delete", ref)):
            return await super().delete(ref, uid=uid)


def _helms(verb: str, ref: Ref) -> str:
    return label_of(verb, ref).replace("cluster.", "helm's ")


class MemoryStage:
    """See `runner.Stage`."""

    settles_within = 10.0
    ends_within = 120.0

    def __init__(self, environment: WorkflowEnvironment) -> None:
        self.client = environment.client
        self.rows = MemoryDatabase()
        self.clusters: dict[str, MemoryCluster] = {}
        self.plans = catalog.parse({"plans": PLANS}, folder="")
        self.hand = Hand(self._steps(Cast(), self.client, "by-hand"), self.cluster_of, self.rows, self._install)
        self._funerals: set[asyncio.Task[None]] = set()

    async def _install(self, instance: str) -> None:
        cluster = self.cluster_of(instance)
        values = {"replicas": CATALOG[STARTER].web}
        home = namespace_of(instance)
        await by_hand.install(cluster, MemoryHelm(cluster), home, release_of(instance), values=values)

    def cluster_of(self, instance: str) -> MemoryCluster:
        if instance not in self.clusters:
            self.clusters[instance] = made = MemoryCluster()
            # What a worker has there before it begins (`worker.settle_in`).
            for shared in ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATORS}}, widest_role()):
                made._store.add(shared)
        return self.clusters[instance]

    async def leave(self, instance: str) -> None:
        """See `runner.Stage.leave`."""
        del self.clusters[instance]

    @asynccontextmanager
    async def worker(self, queue: str, plays: Sequence[Play]) -> AsyncIterator[None]:
        """See `runner.Stage.worker`."""
        if not any(play.deadly for play in plays):
            async with self._composed(self.client, queue, plays):
                yield
            return
        proxy = Proxy.to(self.client.service_client.config.target_host)
        await proxy.accept()
        client = await Client.connect(proxy.address, data_converter=pydantic_data_converter)
        worker = self._composed(client, queue, plays)
        running = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            await proxy.refuse()
            for play in plays:
                play.bury()
            self._funerals.add(asyncio.create_task(_buried(worker, running, proxy)))

    async def aclose(self) -> None:
        """Wait until nothing is left of those who were killed."""
        await asyncio.gather(*self._funerals)

    def _composed(self, client: Client, queue: str, plays: Sequence[Play]) -> Workers:
        steps = self._steps(Cast(plays), client, queue)
        # Whether workflows are deterministic is others' to see: the sandbox is a third of the processor's time here.
        return compose(client, steps, task_queue=queue, workflow_runner=UnsandboxedWorkflowRunner())

    def _steps(self, cast: Cast, client: Client, queue: str) -> list[Callable[..., Any]]:
        def helm_of(instance: str) -> MemoryHelm:
            return MemoryHelm(HelmsCluster(self.cluster_of(instance), cast.of(instance)))

        return activities(
            cluster=PlayedCluster(self.cluster_of, cast),
            helm=PlayedHelm(helm_of, cast),
            database=PlayedDatabase(self.rows, cast),
            meters=MemoryUsage(self.rows),
            freezes=MemoryFreezes(self.rows),
            desk=TemporalDesk(client, queue),
            catalog=self.plans,
            operator_namespace=OPERATORS,
        )


async def _buried(worker: Workers, running: asyncio.Task[None], proxy: Proxy) -> None:
    with contextlib.suppress(asyncio.CancelledError, TimeoutError, RuntimeError):
        async with asyncio.timeout(60):
            await worker.shutdown()
            await running
    # Only now: whoever got its port would be taken for Temporal.
    await proxy.aclose()
