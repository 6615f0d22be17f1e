"""A chart is rendered once for all instances of a plan, whichever of them, and whichever step, asked first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from innkeeper.activities.adoptions import Adoptions
from innkeeper.activities.charts import Charts
from innkeeper.activities.checks import Checks
from innkeeper.activities.fence import Fence
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.model import catalog, names
from innkeeper.model.errors import BadInput
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


def checks_of(cluster: MemoryCluster, charts: Charts, plans: catalog.Catalog) -> Checks:
    """Checks in a cluster without instances."""
    rows = MemoryDatabase()
    adoptions = Adoptions(cluster, rows, plans, Fence(cluster, plans), "operators")
    return Checks(cluster, rows, charts, plans, adoptions, "operators")


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
    checks = checks_of(cluster, charts, PLANS)
    second = Request.of(Kind.PROVISION, "second", request_id="r2", tenant="t1", plan="starter")
    assert (await checks.check(second)).deadlines == PLANS.plan("starter").deadlines


class Rendering(MemoryHelm):
    """Renders what it is told to, whatever the chart."""

    def __init__(self, cluster: MemoryCluster, *rendered: Manifest) -> None:
        super().__init__(cluster)
        self.rendered = list(rendered)

    async def template(
        self, release: Release, *, limit: float, kube_version: str | None = None, api_versions: Sequence[str] = ()
    ) -> list[Manifest]:
        return self.rendered


def rendered(kind: str = "ConfigMap", version: str = "v1", **meta: str) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": meta}


async def checked(plan: str, *objects: Manifest) -> None:
    """Check a provision whose chart renders these objects."""
    cluster = MemoryCluster()
    await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "operators"}})
    await cluster.create(rendered(name="there", namespace="operators"))
    room = {"chart": {"path": "room"}}
    plans = catalog.parse({"plans": {"starter": room, "wide": {**room, "cluster_objects": ["ClusterRole"]}}}, folder="")
    charts = Charts(Rendering(cluster, *objects), cluster)
    request = Request.of(Kind.PROVISION, "acme", request_id="r1", tenant="t1", plan=plan)
    await checks_of(cluster, charts, plans).check(request)


ROLE = rendered("ClusterRole", "rbac.authorization.k8s.io/v1", name="wide")


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([], "renders no object at all"),
        ([rendered(generateName="any-")], "renders a ConfigMap without a name"),
        (
            [rendered("Unheard", "example.com/v1", name="of")],
            "renders Unheard (example.com/v1), which the cluster does",
        ),
        ([ROLE], "renders ClusterRole wide, which belongs to no namespace"),
        ([rendered(name="away", namespace="kube-system")], "renders ConfigMap kube-system/away, outside"),
        ([rendered(name="Not A Name")], "renders ConfigMap Not A Name, which the API server refuses"),
    ],
)
async def test_a_chart_that_cannot_run_is_refused_by_what_it_renders(objects: list[Manifest], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        await checked("starter", *objects)
    assert said in refused.value.cause.message
    assert refused.value.cause.fix


async def test_what_the_operators_namespace_has_already_and_what_a_plan_allows_says_nothing_against_a_chart() -> None:
    await checked("wide", rendered(name="there"), ROLE)
