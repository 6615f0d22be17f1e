"""`make demo`: the main job on real parts, from nothing to nothing, and proof of it.

It has a platform of its own in a directory that is removed at the end, so that it disturbs no other, and it believes
nobody: what operations report is checked against the cluster, the rows and Helm's storage.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ..client import Innkeeper, OperationHandle
from ..gateways.database import SupabaseRows
from ..gateways.kubernetes import KubernetesCluster
from ..model.drift_kinds import What
from ..model.errors import InnkeeperError
from ..model.instance import Kind
from ..model.ports import Ref, Rows
from . import demo_proof as proof
from .demo_board import Board, rows
from .errors import PlatformError
from .options import Addresses, Options
from .platform import Platform

INSTANCES = {"acme": ("starter", 0), "globex": ("team", 0), "initech": ("starter", 1), "hooli": ("team", 1)}
"""Name → plan, and which of the two tenants owns it."""

CATALOG = Path(__file__).parents[1] / "catalog.yaml"
"""The plans that the demo knows: those that are shipped, wherever it is run."""

SETTLING = 30
"""Looks for drift, a second apart, until what was deleted last is gone."""

Ask = Callable[..., Awaitable[OperationHandle]]


@dataclass
class Demo:
    """One run's connections."""

    console: Console
    addresses: Addresses
    innkeeper: Innkeeper
    cluster: KubernetesCluster
    rows: Rows
    operations: int = 0

    async def run(self) -> dict[str, int]:
        """Every scene in turn; what was counted at the end.

        Raises:
            Wrong: the world is not as promised.
            InnkeeperError: an operation failed, or a part does not answer.
        """
        tenants = [await self._sign_up(email) for email in ("ada@example.com", "grace@example.com")]
        await self._provision_four(tenants)
        await self._show(tenants)
        await self._stop_start_restart()
        await self._change_one_by_hand()
        await self._uninstall_and_come_back(tenants)
        self._say("Purge all")
        await self._each(Kind.UNINSTALL, ["acme"])
        await self._each(Kind.PURGE, list(INSTANCES))
        await self._usage()
        counted = await proof.demand_nothing_left(self.cluster, self.rows, list(INSTANCES))
        self._say("Look for drift once more")
        await self._demand_no_drift()
        return counted

    async def _sign_up(self, email: str) -> proof.Tenant:
        return await proof.sign_up(self.addresses.supabase_url, self.addresses.supabase_anon_key, email)

    async def _provision_four(self, tenants: list[proof.Tenant]) -> None:
        self._say("Provision four instances at once, on two plans, for two tenants")

        async def ask(name: str) -> OperationHandle:
            plan, owner = INSTANCES[name]
            return await self.innkeeper.provision(name, tenant=tenants[owner].id, plan=plan, asked_by="demo")

        await self._follow("provision", dict.fromkeys(INSTANCES, ask))
        for name in INSTANCES:
            await proof.demand_running(self.cluster, self.rows, name)

    async def _show(self, tenants: list[proof.Tenant]) -> None:
        url, key = self.addresses.supabase_url, self.addresses.supabase_anon_key
        for number, tenant in enumerate(tenants):
            seen = await proof.seen_by(tenant, url, key)
            self._say(f"As {tenant.email} sees them, through row-level security")
            rows(self.console, ("name", "plan", "status", "url"), ((i.name, i.plan, i.status, i.url) for i in seen))
            own = sorted(name for name, (_, owner) in INSTANCES.items() if owner == number)
            if [instance.name for instance in seen] != own:
                raise proof.Wrong(f"{tenant.email} sees {[instance.name for instance in seen]}, not {own}")
        self._say("As the cluster sees them")
        found = [
            (name, len(await proof.pods(self.cluster, name)), await proof.deployed(self.cluster, name))
            for name in INSTANCES
        ]
        rows(
            self.console,
            ("namespace", "pods", "revisions deployed"),
            ((f"inn-{n}", p, ", ".join(map(str, r))) for n, p, r in found),
        )

    async def _stop_start_restart(self) -> None:
        self._say("Stop one, start it, restart another")
        await self._each(Kind.STOP, ["acme"])
        await proof.demand_stopped(self.cluster, self.rows, "acme")
        await self._each(Kind.START, ["acme"])
        await proof.demand_running(self.cluster, self.rows, "acme")
        before = {pod["metadata"]["uid"] for pod in await proof.pods(self.cluster, "globex")}
        await self._each(Kind.RESTART, ["globex"])
        await proof.demand_running(self.cluster, self.rows, "globex")
        if before & {pod["metadata"]["uid"] for pod in await proof.pods(self.cluster, "globex")}:
            raise proof.Wrong("globex: a pod outlived the restart")

    async def _change_one_by_hand(self) -> None:
        self._say("Scale one by hand: it is found, explained and repaired")
        web = Ref("apps/v1", "Deployment", "globex-web", "inn-globex")
        await self.cluster.patch(web, {"spec": {"replicas": 5}})
        await self.innkeeper.reconcile()
        told = await self.innkeeper.explain("globex")
        if [each.what for each in told.findings] != [What.REPLICAS_CHANGED] or told.to_do != [told.findings[0].mend]:
            raise proof.Wrong(f"globex: found {told.findings}, to do {told.to_do}")
        for each in told.findings:
            self._tell(f"{each.object}: {each.what.meaning}")
            self._tell(f"  - {each.wanted}")
            self._tell(f"  + {each.found}")
            self._tell(f"  what to do: {each.mend}")
        await self._each(Kind.REPAIR, ["globex"])
        await proof.demand_running(self.cluster, self.rows, "globex")
        await self._demand_no_drift()

    async def _demand_no_drift(self) -> None:
        """Pass only if a look just now finds nothing; what is on its way out is given a moment."""
        found = await self.innkeeper.reconcile()
        for _ in range(SETTLING):
            if not found.found and not found.busy:
                break
            await asyncio.sleep(1)
            found = await self.innkeeper.reconcile()
        else:
            raise proof.Wrong(f"drift: {found.named}, {found.busy} at work")
        self._tell(f"no drift: {found.looked_at} instances looked at")

    async def _uninstall_and_come_back(self, tenants: list[proof.Tenant]) -> None:
        self._say("Uninstall all, then provision one again: its volume is the same")
        before = await proof.volumes(self.cluster, "acme")
        await self._each(Kind.UNINSTALL, list(INSTANCES))
        for name in INSTANCES:
            if left := await proof.pods(self.cluster, name):
                raise proof.Wrong(f"{name}: {len(left)} pods outlived the uninstall")

        async def again(name: str) -> OperationHandle:
            return await self.innkeeper.provision(name, tenant=tenants[0].id, plan="starter", asked_by="demo")

        await self._follow("provision", {"acme": again})
        await proof.demand_running(self.cluster, self.rows, "acme")
        after = await proof.volumes(self.cluster, "acme")
        if not before or before != after:
            raise proof.Wrong(f"acme: volumes {before} became {after}")
        for name, uid in after.items():
            self.console.print(f"  volume {name} is still {uid}", highlight=False)

    async def _usage(self) -> None:
        self._say("What they used up to now: seconds running; cores, GiB of memory and GiB of volumes, times seconds")
        await self.innkeeper.meter()
        figures = [figure async for figure in self.innkeeper.usage_all()]
        used = proof.demand_used(figures, INSTANCES, self.operations)
        rows(
            self.console,
            ("instance", "plan", "running", "cores", "memory", "volumes", "operations"),
            ((name, plan, *told) for (name, plan), told in sorted(used.items())),
        )

    async def _each(self, kind: Kind, names: list[str]) -> None:
        ask: Ask = getattr(self.innkeeper, kind.value)
        await self._follow(kind.value, dict.fromkeys(names, ask))

    async def _follow(self, kind: str, asks: dict[str, Ask]) -> None:
        with Board(self.console) as board:

            async def follow(name: str, ask: Ask) -> None:
                line = board.add(name, kind)
                handle = await ask(name)
                async for event in handle.progress():
                    line.take(event)
                await handle.result()
                board.done(line)

            await asyncio.gather(*(follow(name, ask) for name, ask in asks.items()))
        self.operations += len(asks)

    def _tell(self, words: str) -> None:
        self.console.print(f"  {words}", highlight=False, markup=False)

    def _say(self, words: str) -> None:
        self.console.print(f"\n{words}", style="bold", highlight=False)


@asynccontextmanager
async def _connected(console: Console, addresses: Addresses) -> AsyncIterator[Demo]:
    rows_gateway = await SupabaseRows.connect(addresses.supabase_url, addresses.supabase_service_key)
    cluster = await KubernetesCluster.connect(addresses.kubeconfig, addresses.context)
    try:
        async with rows_gateway:
            innkeeper = await Innkeeper.connect(
                addresses.temporal_address,
                supabase_url=addresses.supabase_url,
                supabase_key=addresses.supabase_service_key,
            )
            async with innkeeper:
                yield Demo(console, addresses, innkeeper, cluster, rows_gateway)
    finally:
        await cluster.close()


async def _run(console: Console) -> str:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="innkeeper-demo-") as directory:
        console.print(
            "Start Temporal, Supabase, a Kubernetes control plane with simulated nodes, and a worker",
            style="bold",
            highlight=False,
        )
        options = Options(state_dir=Path(directory), worker=True, catalog=CATALOG)
        async with Platform(options, progress=console.print) as platform:
            addresses = platform.addresses
            console.print(f"  ready in {time.monotonic() - begun:.1f} s; Temporal's UI is {addresses.temporal_ui}")
            async with _connected(console, addresses) as demo:
                counted = await demo.run()
    told = ", ".join(f"{number} {what}" for what, number in counted.items())
    return f"demo: ok ({demo.operations} operations, {told}) in {time.monotonic() - begun:.1f} s"


def main(console: Console | None = None) -> int:
    """Run the demo; 0 only if all was as promised, 1 where it was not, 4 where a part could not be had."""
    # A line stays a line where the output is piped.
    console = console or Console(soft_wrap=True)
    try:
        told = asyncio.run(_run(console))
    except PlatformError as error:
        console.print(f"demo: no platform: {error}", style="red", highlight=False)
        return 4
    except (proof.Wrong, InnkeeperError) as error:
        console.print(f"demo: failed: {error}", style="red", highlight=False)
        return 1
    console.print(told, style="green", highlight=False)
    return 0
