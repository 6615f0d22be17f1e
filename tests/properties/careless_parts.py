"""Parts with a defect each, of the sort that no step notices: the sequences must find it in the world."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.model.errors import Unreachable
from innkeeper.model.instance import Instance, Status
from innkeeper.model.manifests import Manifest
from innkeeper.model.ports import Ref, Release
from innkeeper.model.record_messages import Ending

from .stage import LaterCluster


class Reckless(MemoryHelm):
    """A Helm that takes the volumes along when it uninstalls."""

    async def uninstall(
        self, name: str, namespace: str, *, limit: float, acting_as: str | None = None, **withheld: Sequence[str]
    ) -> None:
        """See `ports.Helm.uninstall`."""
        await super().uninstall(name, namespace, limit=limit, acting_as=acting_as, **withheld)
        for each in await self._cluster.list_objects("v1", "PersistentVolumeClaim", namespace=namespace):
            await self._cluster.delete(Ref.to(each), uid=each["metadata"]["uid"])


class Littering(MemoryHelm):
    """A Helm that leaves something of its own behind."""

    async def upgrade(self, release: Release, *, limit: float, acting_as: str | None = None) -> None:
        """See `ports.Helm.upgrade`."""
        await super().upgrade(release, limit=limit, acting_as=acting_as)
        metadata = {"name": f"litter-{release.mark}", "namespace": release.namespace}
        await self._cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


class Forgetful(MemoryDatabase):
    """A database that says that an end is written, and forgets it."""

    async def finish(self, ending: Ending) -> Instance:
        """See `ports.Database.finish`."""
        rows, records = dict(self.rows), dict(self.records)
        row = await super().finish(ending)
        if row.status is Status.RUNNING:
            self.rows.update(rows)
            self.records.update(records)
        return row


class Talkative(LaterCluster):
    """A cluster that repeats what it was sent when it fails to answer."""

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """See `ports.Cluster.create`."""
        created = await super().create(manifest, dry_run=dry_run)
        if manifest.get("type") == "Opaque" and not dry_run:
            raise Unreachable(f"no answer to {manifest['data']}")
        return created


class Lagging(LaterCluster):
    """A cluster in which a change goes on after it was answered."""

    late: set[asyncio.Task[None]]

    async def patch(self, ref: Ref, patch: Manifest) -> Manifest | None:
        """See `ports.Cluster.patch`."""
        found = await super().patch(ref, patch)
        self.late = {asyncio.create_task(self._go_on())}
        return found

    async def _go_on(self) -> None:
        async with self.faults.around("cluster.patch"):
            await asyncio.sleep(10)
