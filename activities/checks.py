"""The step before anything is touched: is what is asked possible at all?

The chart is rendered, and each object validated by the API server (a strict dry run in the operator's namespace),
once per chart's content and plan; after that a check is one read of the namespace.
"""

from __future__ import annotations

from temporalio import activity

from ..model import marks
from ..model.adoption import demand_confirmed
from ..model.catalog import Catalog, Deadlines, Plan
from ..model.errors import AlreadyExists, BadInput, Conflict, Forbidden, NotOurs, Permanent
from ..model.instance import Instance, Kind, Status
from ..model.messages import Admission, Request, Work
from ..model.ports import Cluster, Database, Manifest, Ref
from ..model.sizes import storage_asked
from .adoptions import Adoptions
from .charts import Charts, Facts


class Checks:
    """Checks requests against the catalog, the chart and the cluster."""

    def __init__(
        self,
        cluster: Cluster,
        database: Database,
        charts: Charts,
        catalog: Catalog,
        adoptions: Adoptions,
        operator_namespace: str,
    ) -> None:
        self._database = database
        self._adoptions = adoptions
        self._cluster = cluster
        self._charts = charts
        self._catalog = catalog
        self._operator_namespace = operator_namespace
        self._passed: set[str] = set()

    @activity.defn(name="check")
    async def check(self, request: Request) -> Admission:
        """Pass a provision, an adoption or an upgrade that can succeed as far as can be told without touching anything.

        Raises:
            BadInput: unknown plan; a chart that does not render, does not fit its schema or leaves its namespace; a
                release that cannot be adopted, or is not what somebody has confirmed.
            NotOurs: the namespace exists and is somebody else's.
        """
        outset = await self._database.outset(request.request_id, request.instance)
        if outset.operation is not None:
            # Asked before: the claim answers, whatever has become of plan, chart and namespace since.
            known = self._catalog.plans.get(request.plan or "")
            return Admission(deadlines=known.deadlines if known else Deadlines())
        if request.kind is Kind.ADOPT:
            seen = await self._adoptions.preview(request)
            demand_confirmed(seen, request.confirmed)
            return Admission(deadlines=self._catalog.plan(seen.plan).deadlines, storage_mib=seen.storage_mib)
        work = self._foreseen(request, outset.instance)
        if work is None:
            return Admission(deadlines=Deadlines())
        plan = self._catalog.plan(work.plan)
        await self._check_namespace(work)
        facts = await self._charts.facts(work, plan)
        if facts.key not in self._passed:
            await self._check_objects(plan, facts)
            self._passed.add(facts.key)
        limited = plan.limits is not None and plan.limits.storage is not None
        return Admission(deadlines=plan.deadlines, storage_mib=storage_asked(facts.rendered) if limited else 0)

    def _foreseen(self, request: Request, row: Instance | None) -> Work | None:
        """What the operation would work on, were it admitted; None where the claim will refuse it anyway."""
        tenant, plan = request.tenant, request.plan
        namespace, release = request.home
        if request.kind is Kind.UPGRADE:
            if row is None or tenant not in (None, row.tenant):
                return None
            tenant, plan = row.tenant, plan or row.plan
        if row is not None and row.status is not Status.PURGED:
            # What was adopted is where somebody had put it.
            namespace, release = row.namespace, row.release
        return Work(
            request_id=request.request_id,
            kind=request.kind,
            instance=request.instance,
            tenant=tenant or "",
            plan=plan or "",
            namespace=namespace,
            release=release,
            generation=0,
        )

    async def _check_namespace(self, work: Work) -> None:
        found = await self._cluster.get(Ref("v1", "Namespace", work.namespace))
        if found is None:
            return
        try:
            marks.demand_ours(found, work.instance, work.tenant)
        except NotOurs as error:
            raise BadInput(
                "name", work.instance, f"cannot be used: {error.cause.message}", fix=error.cause.fix, code="NotOurs"
            ) from None

    async def _check_objects(self, plan: Plan, facts: Facts) -> None:
        if not facts.rendered:
            raise BadInput("chart", plan.chart.label, "renders no object at all", fix="correct the plan's values")
        for manifest in facts.rendered:
            await self._check_object(facts.namespace, plan, manifest)

    async def _check_object(self, rendered_for: str, plan: Plan, manifest: Manifest) -> None:
        if "name" not in manifest["metadata"]:
            raise BadInput(
                "chart",
                plan.chart.label,
                f"renders a {manifest['kind']} without a name",
                fix="give it a name in the chart's template: what has none cannot be found again",
            )
        ref = Ref.to(manifest)
        namespaced = await self._cluster.is_namespaced(ref.api_version, ref.kind)
        if namespaced is None:
            raise BadInput(
                "chart",
                plan.chart.label,
                f"renders {ref.kind} ({ref.api_version}), which the cluster does not know",
                fix="install what defines it in the cluster, or turn it off by the plan's values",
            )
        if not namespaced:
            if ref.kind not in plan.cluster_objects:
                raise BadInput(
                    "chart",
                    plan.chart.label,
                    f"renders {ref}, which belongs to no namespace",
                    fix=f"turn it off by the plan's values, or list {ref.kind} under the plan's cluster_objects",
                )
            return
        if ref.namespace not in (None, rendered_for):
            raise BadInput(
                "chart",
                plan.chart.label,
                f"renders {ref}, outside the instance's namespace",
                fix="remove the namespace from the chart's template, or turn the object off by the plan's values",
            )
        await self._dry_run(plan, manifest)

    async def _dry_run(self, plan: Plan, manifest: Manifest) -> None:
        """Let the API server validate strictly what Helm will send without validation."""
        ref = Ref.to(manifest)
        probe = {**manifest, "metadata": {**manifest["metadata"], "namespace": self._operator_namespace}}
        try:
            await self._cluster.create(probe, dry_run=True)
        except (AlreadyExists, Conflict, Forbidden):
            # The operator's namespace has objects, quotas and policies of its own, which say nothing of the chart.
            return
        except Permanent as error:
            raise BadInput(
                "chart",
                plan.chart.label,
                f"renders {ref.kind} {ref.name}, which the API server refuses: {error.cause.message}",
                fix="correct the chart or the plan's values",
            ) from None
