"""One cell's own worker, whose ways to the three parts lead through proxies, and its own caller behind one of them.

Many rigs stand side by side on one platform, so that each operation meets an outage of its own at a moment of its own.
What is looked at is looked at past the proxies.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from proxy import Proxy
from temporalio.client import Client

from innkeeper.client import OperationHandle, connection
from innkeeper.client.desk import TemporalDesk
from innkeeper.embedded.options import Addresses
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.freeze_rows import SupabaseFreezes
from innkeeper.gateways.helm import HelmCommand
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.gateways.usage_rows import SupabaseUsage
from innkeeper.model import catalog
from innkeeper.model.errors import Unreachable
from innkeeper.model.instance import Instance
from innkeeper.model.messages import OperationResult, Request
from innkeeper.model.names import namespace_of, release_of
from innkeeper.model.ports import Manifest, Ref, Release
from innkeeper.model.record_messages import Claim, ClaimRequest, Ending
from innkeeper.worker import activities, compose, settle_in

from .operations import BIGGER, STARTER, TENANT, WEB, Did
from .outage import Part, Storms, storms_in_front_of

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = "innkeeper-system"

_DEADLINES = {"prepare": 300, "release": 300, "ready": 300, "gone": 300}
"""Seconds: longer than any outage that is played, so that all of them are outlasted."""


def _plan(web: int) -> dict[str, Any]:
    return {
        "chart": {"path": str(ROOT / "charts" / "room")},
        "values": {
            "url": "${instance.url}",
            "existingSecret": "${secret.room-credentials}",
            "web": {"replicas": web},
        },
        "secrets": [{"name": "room-credentials", "generate": {"password": 24}}],
        "quota": {"pods": 10},
        "pod_security": "restricted",
        "url": "https://${instance.name}.rooms.example",
        "deadlines": _DEADLINES,
    }


CATALOG = catalog.parse({"plans": {plan: _plan(WEB[plan]) for plan in (STARTER, BIGGER)}}, folder="")


class Signpost:
    """Holds a write of the worker's until the outage has begun."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._awaited = ""
        self._go = asyncio.Event()

    def wait_for(self, label: str) -> None:
        """The next write of this label is held."""
        self._awaited = label

    def go_on(self) -> None:
        """Let it go."""
        self._go.set()

    async def passing(self, label: str) -> None:
        """A write is about to be made."""
        if label == self._awaited and not self.reached.is_set():
            self.reached.set()
            await self._go.wait()


class Cluster(KubernetesCluster):
    """The real one, which tells of its writes before they are made."""

    signpost: Signpost

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        if not dry_run:
            await self.signpost.passing(f"create {manifest['kind']}")
        return await super().create(manifest, dry_run=dry_run)

    async def apply(self, manifest: Manifest) -> Manifest:
        await self.signpost.passing(f"apply {manifest['kind']}")
        return await super().apply(manifest)

    async def patch(self, ref: Ref, patch: Manifest) -> Manifest | None:
        await self.signpost.passing(f"patch {ref.kind}")
        return await super().patch(ref, patch)

    async def delete(self, ref: Ref, *, uid: str) -> bool:
        await self.signpost.passing(f"delete {ref.kind}")
        return await super().delete(ref, uid=uid)


class Helm(HelmCommand):
    """The real one, which tells of its acts before they begin."""

    signpost: Signpost

    async def upgrade(self, release: Release, **how: Any) -> None:
        await self.signpost.passing("helm upgrade")
        await super().upgrade(release, **how)

    async def uninstall(self, name: str, namespace: str, **how: Any) -> None:
        await self.signpost.passing("helm uninstall")
        await super().uninstall(name, namespace, **how)


class Database(SupabaseDatabase):
    """The real one, which tells of its writes before they are made."""

    signpost: Signpost

    async def claim(self, claim: ClaimRequest) -> Claim:
        await self.signpost.passing("claim")
        return await super().claim(claim)

    async def finish(self, ending: Ending) -> Instance:
        await self.signpost.passing("finish")
        return await super().finish(ending)


class Site:
    """The platform that all rigs share, read past every proxy."""

    def __init__(
        self,
        addresses: Addresses,
        folder: Path,
        cluster: KubernetesCluster,
        database: SupabaseDatabase,
        client: Client,
        storms: Storms,
    ) -> None:
        self.addresses = addresses
        self.cluster = cluster
        self.database = database
        self.client = client
        self.desk = TemporalDesk(client, "nobody-listens")
        self.storms = storms
        self._folder = folder

    @asynccontextmanager
    async def rig(self, name: str) -> AsyncIterator[Rig]:
        """A worker of one's own for the instance of this name."""
        addresses, signpost = self.addresses, Signpost()
        async with AsyncExitStack() as stack:
            server = _server_of(addresses)
            proxies = {
                part: await stack.enter_async_context(Proxy.to(address))
                for part, address in (
                    (Part.API_SERVER, server),
                    (Part.SUPABASE, addresses.supabase_url),
                    (Part.TEMPORAL, addresses.temporal_address),
                )
            }
            kubeconfig = self._kubeconfig(name, proxies[Part.API_SERVER])
            cluster = await stack.enter_async_context(await Cluster.connect(kubeconfig, addresses.context))
            database = await stack.enter_async_context(
                await Database.connect(f"http://{proxies[Part.SUPABASE].address}", addresses.supabase_service_key)
            )
            helm = Helm(kubeconfig=kubeconfig, context=addresses.context, slots=1)
            cluster.signpost = helm.signpost = database.signpost = signpost
            client = await connection.connect(proxies[Part.TEMPORAL].address)
            steps = activities(
                cluster=cluster,
                helm=helm,
                database=database,
                meters=SupabaseUsage(database),
                freezes=database.sharing(SupabaseFreezes),
                desk=TemporalDesk(client, name),
                catalog=CATALOG,
                operator_namespace=OPERATORS,
            )
            async with compose(client, steps, task_queue=name):
                # A backend has a connection of its own.
                caller = await connection.connect(proxies[Part.TEMPORAL].address)
                yield Rig(self, name, proxies, signpost, caller)

    def _kubeconfig(self, name: str, proxy: Proxy) -> Path:
        assert self.addresses.kubeconfig is not None
        content = yaml.safe_load(self.addresses.kubeconfig.read_text())
        content["clusters"][0]["cluster"]["server"] = f"https://{proxy.address}"
        file = self._folder / f"{name}.kubeconfig"
        file.write_text(yaml.safe_dump(content))
        return file


class Rig:
    """What a cell is played on."""

    def __init__(
        self, site: Site, name: str, proxies: Mapping[Part, Proxy], signpost: Signpost, caller: Client
    ) -> None:
        self.site = site
        self.name = name
        self.proxies = proxies
        self.signpost = signpost
        self.silences = 0
        """How often the caller was told that Temporal does not answer."""
        self._caller = caller

    async def do(self, did: Did) -> None:
        """Do an operation, or lose it, before any outage."""
        request = self.request(did)
        if not did.lost:
            await self.ask(request)
            return
        claim = ClaimRequest(
            request=request,
            workflow_id="lost",
            run_id="lost",
            namespace=namespace_of(self.name),
            release=release_of(self.name),
        )
        await self.site.database.claim(claim)

    def request(self, did: Did) -> Request:
        """A request of its own."""
        tenant = TENANT if did.plan == STARTER else None
        return Request.of(did.kind, self.name, request_id=uuid.uuid4().hex, tenant=tenant, plan=did.plan)

    async def ask(self, request: Request) -> OperationResult:
        """Ask as a backend does, and again whenever Temporal has been silent for too long."""
        while True:
            try:
                run_id = await TemporalDesk(self._caller, self.name).deliver(request)
                return await OperationHandle(self._caller, self.name, run_id).result()
            except Unreachable:
                self.silences += 1


def _server_of(addresses: Addresses) -> str:
    assert addresses.kubeconfig is not None
    content = yaml.safe_load(addresses.kubeconfig.read_text())
    return urlsplit(str(content["clusters"][0]["cluster"]["server"])).netloc


@asynccontextmanager
async def site_of(addresses: Addresses, folder: Path) -> AsyncIterator[Site]:
    """The site on a platform that runs."""
    assert addresses.kubeconfig is not None
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(
            await KubernetesCluster.connect(addresses.kubeconfig, addresses.context)
        )
        database = await stack.enter_async_context(
            await SupabaseDatabase.connect(addresses.supabase_url, addresses.supabase_service_key)
        )
        client = await connection.connect(addresses.temporal_address)
        storms = await stack.enter_async_context(storms_in_front_of(addresses))
        await settle_in(cluster, OPERATORS)
        yield Site(addresses, folder, cluster, database, client, storms)
