"""What a reconcile costs: a whole fleet looked at, from nothing and once more, and with drift made by hand.

Instances are made without operations: their rows, namespaces, surroundings, workloads, claims, and one stored revision
each, which is a real one of the chart `room` with another name. A scheduling gate holds their pods back, so that
neither scheduler nor nodes take part: those of older instances are found not to be ready, which they are not. Prints a
Markdown table of seconds, calls to the API server by verb, calls to the database and memory, and writes the figures to
benchmarks/results/reconcile.json. Timings are told here and nowhere asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from temporalio.testing import ActivityEnvironment

from innkeeper.activities.reconciling import Reconciling
from innkeeper.benchmarks.machine import ROOT, Report
from innkeeper.embedded.options import Addresses, Options
from innkeeper.embedded.platform import Platform
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.finding_rows import SupabaseFindings
from innkeeper.gateways.freeze_rows import SupabaseFreezes
from innkeeper.gateways.helm import HelmCommand
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.gateways.kubernetes_api import Answer, Api
from innkeeper.gateways.kubernetes_fleet import KubernetesFleet
from innkeeper.model import surroundings
from innkeeper.model.catalog import Catalog, Plan
from innkeeper.model.errors import Transient
from innkeeper.model.findings import Looking, Reconciled
from innkeeper.model.instance import Kind
from innkeeper.model.messages import Request, Work
from innkeeper.model.ports import Manifest, Ref
from innkeeper.model.release import Revision, described, pack
from innkeeper.model.wishes import wanted_release
from innkeeper.settings import load_catalog

PLAN = "starter"
AT_ONCE = 20
"""Instances that are made side by side."""

PODS = 2
"""Of one instance."""

CALLS: Counter[str] = Counter()
"""Calls to the API server by verb, and to the database."""


def _pod(name: str, image: str) -> Manifest:
    little = {"cpu": "1m", "memory": "1Mi"}
    container = {
        "name": name,
        "image": image,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": little, "limits": little},
    }
    return {
        "containers": [container],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        # Neither scheduler nor nodes spend time on it.
        "schedulingGates": [{"name": "example.com/never"}],
    }


class CountingApi(Api):
    """Counts what is asked of the API server."""

    async def call(self, method: str, path: str, **more: Any) -> Answer:
        """One request."""
        CALLS[method] += 1
        return await super().call(method, path, **more)


class Counting(SupabaseDatabase):
    """Counts what is asked of the database."""

    async def _send(self, query: Any) -> Any:
        CALLS["database"] += 1
        return await super()._send(query)


class CountingFindings(SupabaseFindings):
    """The same of findings."""

    async def _send(self, query: Any) -> Any:
        CALLS["database"] += 1
        return await super()._send(query)


class NobodyAtWork:
    """A desk at which nothing happens: no row is in transition."""

    async def deliver(self, request: Request) -> str:
        """Nothing is asked for."""
        raise NotImplementedError(request.instance)

    async def is_running(self, instance: str) -> bool:  # noqa: ARG002  # nobody's
        """Nothing runs."""
        return False


def work_on(name: str) -> Work:
    """The provision that would have made the instance."""
    return Work(
        request_id="bench",
        kind=Kind.PROVISION,
        instance=name,
        tenant="t1",
        plan=PLAN,
        namespace=f"inn-{name}",
        release=name,
        generation=1,
    )


class Fleet:
    """Instances, made by their objects."""

    def __init__(self, cluster: KubernetesCluster, helm: HelmCommand, database: Counting, catalog: Catalog) -> None:
        self._cluster = cluster
        self._helm = helm
        self._database = database
        self.plan: Plan = catalog.plan(PLAN)
        self._record: dict[str, Any] = {}
        self._digest = ""

    async def model(self) -> None:
        """Install one release for real, and keep its record."""
        self._digest = await self._helm.chart_digest(self.plan.chart)
        work = work_on("model")
        await self._cluster.create(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": work.namespace, "labels": {"bench": "model"}},
            }
        )
        release = wanted_release(work, self.plan, chart_digest=self._digest, secret_values={})
        await self._helm.upgrade(release, limit=60)
        found = await self._cluster.list_objects("v1", "Secret", namespace=work.namespace, labels={"owner": "helm"})
        self._record = Revision.of(found[0]).record
        namespace = await self._cluster.get(Ref("v1", "Namespace", work.namespace))
        assert namespace is not None
        await self._helm.uninstall("model", work.namespace, limit=60)
        await self._cluster.delete(Ref.to(namespace), uid=namespace["metadata"]["uid"])

    async def make(self, names: list[str]) -> None:
        """Make instances with all that belongs to them."""
        rows = [
            {"name": name, "tenant": "t1", "plan": PLAN, "namespace": f"inn-{name}", "release": name}
            | {"status": "running", "settled": "running", "generation": 1, "revision": 1}
            for name in names
        ]
        for start in range(0, len(rows), 200):
            table = self._database._client.table("instances")  # noqa: SLF001  # nobody else may write rows
            await self._database._send(table.insert(rows[start : start + 200]))  # noqa: SLF001  # the same
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with slots:
                for manifest in self._objects(name):
                    await self._create(manifest)

        await asyncio.gather(*(one(name) for name in names))
        for name in names:
            while len(await self._cluster.list_objects("v1", "Pod", namespace=f"inn-{name}")) < PODS:
                await asyncio.sleep(0.2)

    async def _create(self, manifest: Manifest) -> None:
        """The namespace's service account takes a moment, and so does a busy API server."""
        for pause in (0.2, 0.5, 1, 2, 4):
            try:
                await self._cluster.create(manifest)
            except Exception as error:  # each of them passes
                if not isinstance(error, Transient) and "serviceaccount" not in str(error):
                    raise
                await asyncio.sleep(pause)
            else:
                return
        await self._cluster.create(manifest)

    def _objects(self, name: str) -> list[Manifest]:
        work = work_on(name)
        return [
            surroundings.namespace(work, self.plan),
            surroundings.secret(work, "room-credentials", {"password": "cGFzc3dvcmQ="}, data=True),
            self._stored(work),
            *(workload(work, kind, part) for kind, part in (("Deployment", "web"), ("StatefulSet", "db"))),
            claim(work),
            *surroundings.around(work, self.plan),
        ]

    def _stored(self, work: Work) -> Manifest:
        mark = wanted_release(work, self.plan, chart_digest=self._digest, secret_values={}).mark
        text = json.dumps(self._record).replace("model-", f"{work.instance}-")
        record = json.loads(text) | {"name": work.release, "namespace": work.namespace}
        record["info"]["description"] = described(mark)
        labels = {"owner": "helm", "name": work.release, "version": "1", "status": "deployed", "innkeeper-mark": mark}
        meta = {"name": f"sh.helm.release.v1.{work.release}.v1", "namespace": work.namespace, "labels": labels}
        data = {"release": pack(record)}
        return {"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": meta, "data": data}


def _meta(work: Work, name: str) -> Manifest:
    return {"name": name, "namespace": work.namespace, "labels": {"app.kubernetes.io/managed-by": "Helm", "app": name}}


def workload(work: Work, kind: str, part: str) -> Manifest:
    """A workload whose pods are pending, as its controller makes them."""
    images = {
        "web": ("web", "nginxinc/nginx-unprivileged:1.27-alpine"),
        "db": ("postgres", "postgres:17-alpine"),
    }
    container, image = images[part]
    name = f"{work.instance}-{part}"
    template = {"metadata": {"labels": {"app": name}}, "spec": _pod(container, image)}
    spec: Manifest = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": _meta(work, name), "spec": spec}


def claim(work: Work) -> Manifest:
    """A claim that nobody binds."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "none",
    }
    meta = _meta(work, f"data-{work.instance}-db-0")
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


async def look(looks: Reconciling) -> dict[str, Any]:
    """One reconcile."""
    CALLS.clear()
    begun, used = time.perf_counter(), time.process_time()
    told: Reconciled = await ActivityEnvironment().run(looks.reconcile, Looking())
    return {
        "seconds": time.perf_counter() - begun,
        "processor": time.process_time() - used,
        "api": {verb: count for verb, count in sorted(CALLS.items()) if verb != "database"},
        "database": CALLS["database"],
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "looked at": told.looked_at,
        "found": told.found,
    }


async def drift(cluster: KubernetesCluster, names: list[str]) -> None:
    """Scale every tenth instance's web by hand."""
    for name in names[::10]:
        await cluster.patch(Ref("apps/v1", "Deployment", f"{name}-web", f"inn-{name}"), {"spec": {"replicas": 2}})


async def measured(sizes: list[int], addresses: Addresses) -> dict[str, Any]:
    """The figures of each size, the smaller first: what was made stays."""
    assert addresses.kubeconfig is not None
    figures: dict[str, Any] = {}
    catalog = load_catalog(ROOT / "catalog.yaml")
    helm = HelmCommand(kubeconfig=addresses.kubeconfig, context=addresses.context)
    api = await CountingApi.from_kubeconfig(addresses.kubeconfig, addresses.context, timeout=30)
    async with (
        KubernetesCluster(api) as cluster,
        await Counting.connect(addresses.supabase_url, addresses.supabase_service_key) as database,
    ):
        fleet, names = Fleet(cluster, helm, database, catalog), list[str]()
        await fleet.model()
        for size in sorted(sizes):
            fresh = [f"room-{number:05}" for number in range(len(names), size)]
            begun = time.perf_counter()
            await fleet.make(fresh)
            names += fresh
            print(f"{size} instances are there after {time.perf_counter() - begun:.0f} s", file=sys.stderr)
            findings, freezes = database.sharing(CountingFindings), database.sharing(SupabaseFreezes)
            looks = Reconciling(database, findings, freezes, KubernetesFleet(cluster), NobodyAtWork(), helm, catalog)
            told = {"first": await look(looks), "again": await look(looks)}
            await drift(cluster, fresh)
            figures[str(size)] = {**told, "a tenth scaled by hand": await look(looks)}
    return figures


async def measure(sizes: list[int]) -> dict[str, Any]:
    """All figures of one run."""
    with tempfile.TemporaryDirectory(prefix="innkeeper-bench-") as folder:
        parts = frozenset({"supabase", "kubernetes"})
        async with Platform(Options(state_dir=Path(folder), parts=parts)) as platform:
            return {"instances": await measured(sizes, platform.addresses)}


def show(told: dict[str, Any]) -> None:
    """The Markdown table."""
    print("| instances | reconcile | seconds | processor | API calls | database calls | peak MiB | found |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for size, figures in told["instances"].items():
        for what, each in figures.items():
            calls = ", ".join(f"{count} {verb}" for verb, count in each["api"].items())
            found = ", ".join(f"{count} {kind}" for kind, count in each["found"].items()) or "nothing"
            spent = f"{each['seconds']:.2f} | {each['processor']:.2f} | {calls} | {each['database']}"
            print(f"| {size} | {what} | {spent} | {each['peak MiB']:.0f} | {found} |")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, nargs="+", default=[100, 1000])
    wanted, report = parser.parse_args().instances, Report("reconcile")
    told = report.leave(asyncio.run(measure(wanted)))
    show(told)


if __name__ == "__main__":
    main()
