"""The same work by bare means: Helm's command line and the API calls that a careful script would make, and no more.

It prepares the namespace as Innkeeper does, runs as many Helms at once, and waits for the same ends by the same watch,
which costs less than `helm --wait`: what is compared is what durability adds.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

from ..gateways.helm import find_helm
from ..gateways.kubernetes import KubernetesCluster
from ..model import health, surroundings
from ..model.catalog import Catalog, Plan
from ..model.instance import Kind
from ..model.messages import Work
from ..model.ports import Manifest, Ref

HELMS_AT_ONCE = 2 * (os.cpu_count() or 1)
"""As many as a worker runs."""


class Bare:
    """Instances without Innkeeper."""

    def __init__(self, cluster: KubernetesCluster, catalog: Catalog, kubeconfig: Path, context: str) -> None:
        self._cluster = cluster
        self._catalog = catalog
        self._where = ["--kubeconfig", str(kubeconfig), "--kube-context", context]
        self._helm = str(find_helm())
        self._places = asyncio.Semaphore(HELMS_AT_ONCE)
        self._replicas: dict[str, int] = {}
        """What each is scaled back to."""

    async def provision(self, name: str) -> None:
        """Namespace, quota, limits, policy and secret, then the release, until it is available."""
        plan, work = self._catalog.plan("bench"), _work(name)
        await self._cluster.create(surroundings.namespace(work, plan))
        for manifest in surroundings.around(work, plan):
            await self._cluster.create(manifest)
        await self._cluster.create(surroundings.secret(work, "credentials", {"password": "c2VjcmV0"}, data=True))
        await self._release(name, plan)

    async def upgrade(self, name: str) -> None:
        """Other values, until they are available; what stands around the release is not looked at again."""
        await self._release(name, self._catalog.plan("bench-more"))

    async def stop(self, name: str) -> None:
        """Scale to nothing, until no pod is left."""
        await self._cluster.patch(_deployment(name), {"spec": {"replicas": 0}})
        await self._until(name, lambda objects: not any(item["kind"] == "Pod" for item in objects))

    async def start(self, name: str) -> None:
        """Scale back, until it is available."""
        await self._cluster.patch(_deployment(name), {"spec": {"replicas": self._replicas[name]}})
        await self._available(name)

    async def restart(self, name: str) -> None:
        """Roll the pods, until the new ones are available."""
        stamp = {"metadata": {"annotations": {"restarted": "now"}}}
        await self._cluster.patch(_deployment(name), {"spec": {"template": stamp}})
        await self._available(name)

    async def uninstall(self, name: str) -> None:
        """Uninstall, until no pod is left."""
        await self._run("uninstall", name, "--namespace", name)
        await self._until(name, lambda objects: not any(item["kind"] == "Pod" for item in objects))

    async def purge(self, name: str) -> None:
        """Delete the namespace, until it is gone."""
        ref = Ref("v1", "Namespace", name)
        found = await self._cluster.get(ref)
        if found is not None:
            await self._cluster.delete(ref, uid=found["metadata"]["uid"])
        while await self._cluster.get(ref) is not None:
            await asyncio.sleep(0.2)

    async def _release(self, name: str, plan: Plan) -> None:
        self._replicas[name] = plan.values.get("replicaCount", 1)
        values = json.dumps(plan.values).encode()
        chart = str(plan.chart.path)
        options = ["--namespace", name, "--disable-openapi-validation", "--values", "-"]
        await self._run("upgrade", "--install", name, chart, *options, stdin=values)
        await self._available(name)

    async def _run(self, *command: str, stdin: bytes = b"") -> None:
        async with self._places:
            child = await asyncio.create_subprocess_exec(
                self._helm,
                *command,
                *self._where,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            _, told = await child.communicate(stdin)
            if child.returncode:
                raise SystemExit(f"bare helm {command[0]} failed: {told.decode()}")

    async def _available(self, name: str) -> None:
        wanted = [_deployment(name)]
        await self._until(name, lambda objects: isinstance(health.assess(wanted, objects), health.Ready))

    async def _until(self, name: str, holds: Callable[[list[Manifest]], bool]) -> None:
        async with self._cluster.watch(name) as watch:
            while not holds(list(watch.objects())):
                await watch.changed()


def _deployment(name: str) -> Ref:
    return Ref("apps/v1", "Deployment", f"{name}-created", name)


def _work(name: str) -> Work:
    return Work(
        request_id=name,
        kind=Kind.PROVISION,
        instance=name,
        tenant="bare",
        plan="bench",
        namespace=name,
        release=name,
        generation=1,
    )
