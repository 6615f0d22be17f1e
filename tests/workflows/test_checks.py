"""A chart is rendered once for all instances of a plan, whichever of them, and whichever step, asked first."""

from __future__ import annotations

from collections.abc import Sequence

from innkeeper.activities.charts import Charts
from innkeeper.activities.checks import Checks
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.model import catalog, names
from innkeeper.model.instance import Kind
from innkeeper.model.messages import Request, Work
from innkeeper.model.ports import Manifest, Release

PLANS = catalog.parse({"plans": {"starter": {"chart": {"path": "room"}}}}, folder="")


class Naming(MemoryHelm):
    """Renders as most public charts do: with the release's namespace in each object."""

    async def template(
        self, release: Release, *, limit: float, kube_version: str | None = None, api_versions: Sequence[str] = ()
    ) -> list[Manifest]:
        found = await super().template(release, limit=limit, kube_version=kube_version, api_versions=api_versions)
        return [{**each, "metadata": {**each["metadata"], "namespace": release.namespace}} for each in found]


async def test_a_chart_that_names_its_namespace_passes_for_every_instance() -> None:
    cluster = MemoryCluster()
    await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "operators"}})
    charts = Charts(Naming(cluster), cluster)
    first = Work(
        request_id="r1",
        kind=Kind.PROVISION,
        instance="first",
        tenant="t1",
        plan="starter",
        namespace=names.namespace_of("first"),
        release="first",
        generation=1,
    )
    # A worker that was started anew meets the release step of the one before the check of the other.
    await charts.facts(first, PLANS.plan("starter"))
    checks = Checks(cluster, MemoryDatabase(), charts, PLANS, "operators")
    second = Request.of(Kind.PROVISION, "second", request_id="r2", tenant="t1", plan="starter")
    assert (await checks.check(second)).deadlines == PLANS.plan("starter").deadlines
