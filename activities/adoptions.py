"""The steps that take over somebody's Helm release: looked at before anything is touched, marked, and unmarked again.

Only labels, annotations and what is missing around the release are written. Workloads are read and nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib

from temporalio import activity

from ..model import adoption, marks, release, surroundings
from ..model.adoption import Found
from ..model.catalog import Catalog, Plan
from ..model.claim import refusal
from ..model.errors import AlreadyExists, BadInput, Pending, Permanent
from ..model.instance import TRANSITIONS, Instance, Status
from ..model.messages import Prepared, Request, Work
from ..model.ports import Cluster, Manifest, Ref, Rows
from ..model.preview import Adoption
from ..model.record_messages import Claim, Verdict
from ..model.release import Revision
from .fence import Fence
from .listing import objects_of
from .stopping import workloads_of


class Adoptions:
    """Looks at releases of others, marks them as an instance's and takes the marks off again."""

    def __init__(self, cluster: Cluster, rows: Rows, catalog: Catalog, fence: Fence, operator_namespace: str) -> None:
        self._cluster = cluster
        self._rows = rows
        self._catalog = catalog
        self._fence = fence
        self._operator_namespace = operator_namespace

    @activity.defn(name="preview")
    async def preview(self, request: Request) -> Adoption:
        """What an adoption would do, touching nothing.

        Raises:
            BadInput: it cannot be; says why.
        """
        namespace, name = request.home
        work = Work(
            request_id=request.request_id,
            kind=request.kind,
            instance=request.instance,
            tenant=request.tenant or "",
            plan=request.plan or "",
            namespace=namespace,
            release=name,
            generation=0,
        )
        if await self._rows.operation(request.request_id) is not None:
            told = work.model_dump(include={"instance", "tenant", "plan", "namespace", "release"})
            return Adoption(**told, asked_before=True)
        plan = self._catalog.plan(work.plan)
        _demand_row(await self._rows.instance(request.instance), request)
        found = None if namespace == self._operator_namespace else await self._look(work)
        if found is None:
            raise BadInput(
                "namespace",
                namespace,
                "is not in the cluster, or Innkeeper's own",
                fix="name the namespace that the release is in, as `helm list --all-namespaces` shows it",
            )
        adoption.demand_free(found.namespace, work)
        revision = adoption.deployed(found, work)
        adoption.has_binding(found, work)
        await self._demand_reach(work, plan, revision)
        return adoption.outline(found, work, plan, revision)

    async def _demand_reach(self, work: Work, plan: Plan, revision: Revision) -> None:
        """Pass only a release whose objects the plan lets an instance have."""
        for version, kind in sorted(release.kinds_of([revision])):
            if kind not in plan.cluster_objects and await self._cluster.is_namespaced(version, kind) is False:
                raise BadInput(
                    "release",
                    work.release,
                    f"has a {kind}, which belongs to no namespace",
                    fix=f"list {kind} under the cluster_objects of plan {work.plan}, or take it out of the release",
                )

    async def _look(self, work: Work) -> Found | None:
        """What stands in the namespace; None where that is not there."""
        space = await self._cluster.get(Ref("v1", "Namespace", work.namespace))
        if space is None:
            return None
        kinds = [("v1", "Secret"), ("v1", "Pod"), ("v1", "PersistentVolumeClaim"), *surroundings.KINDS]
        found = await asyncio.gather(*(self._of_kind(version, kind, work) for version, kind in kinds))
        secrets, pods, claims, *around = found
        return Found(
            namespace=space,
            secrets=secrets,
            around=[each for objects in around for each in objects],
            workloads=await workloads_of(self._cluster, work),
            pods=pods,
            claims=claims,
        )

    async def _of_kind(self, version: str, kind: str, work: Work) -> list[Manifest]:
        return await objects_of(self._cluster, work, [(version, kind)])

    @activity.defn(name="mark")
    async def mark(self, work: Work) -> Prepared:
        """Put the instance's marks on namespace and data, and have what is missing around the release.

        Raises:
            BadInput: namespace or release are by now not what was looked at: another instance's, or not settled, or
                not what somebody has confirmed.
            Permanent: the namespace is gone.
            Pending: the namespace, or a Secret, was deleted at this moment.
        """
        plan = self._catalog.plan(work.plan)
        found = await self._look(work)
        if found is None:
            raise Permanent(
                f"Namespace {work.namespace} is not there",
                code="NamespaceMissing",
                object=f"Namespace {work.namespace}",
                fix="see who deleted it; nothing was marked",
            )
        adoption.demand_free(found.namespace, work)
        revision = adoption.deployed(found, work)
        if not adoption.is_begun(found, work):
            adoption.demand_confirmed(adoption.outline(found, work, plan, revision), work.confirmed)
        ref = Ref("v1", "Namespace", work.namespace)
        await self._patch(ref, adoption.mark_patch(found.namespace, work))
        for secret in adoption.secrets_to_mark(found, work, plan):
            await self._patch(Ref.to(secret), adoption.mark_patch(secret, work, data=True))
        for manifest in adoption.missing(found, work, plan):
            with contextlib.suppress(AlreadyExists):
                await self._cluster.create(manifest)
        if not adoption.has_binding(found, work):
            await self._fence.have(work, await self._fence.binding(work))
        return Prepared(former_revision=revision.version)

    async def _patch(self, ref: Ref, patch: Manifest | None) -> None:
        if patch is not None and await self._cluster.patch(ref, patch) is None:
            raise Pending(f"{ref} was deleted a moment ago")

    @activity.defn(name="unmark")
    async def unmark(self, work: Work) -> None:
        """Take back what this very adoption marked and made; what was somebody's is as it was.

        The namespace comes last: as long as it carries the marks, what is in it is known to be this instance's.
        """
        ref = Ref("v1", "Namespace", work.namespace)
        space = await self._cluster.get(ref)
        if space is None or not marks.is_ours(space, work.instance, work.tenant):
            return
        for version, kind in surroundings.KINDS:
            for each in await self._of_kind(version, kind, work):
                if marks.is_ours(each, work.instance, work.tenant) and marks.created_by(each) == work.request_id:
                    await self._cluster.delete(Ref.to(each), uid=each["metadata"]["uid"])
        for secret in await self._of_kind("v1", "Secret", work):
            await self._unmark(Ref.to(secret), adoption.unmark_patch(secret, work))
        await self._unmark(ref, adoption.unmark_patch(space, work))

    async def _unmark(self, ref: Ref, patch: Manifest | None) -> None:
        if patch is not None:
            await self._cluster.patch(ref, patch)


def _demand_row(row: Instance | None, request: Request) -> None:
    """Pass only a name that is free, or this very release's.

    Raises:
        BadInput: it is another tenant's, an instance that stands, or one that has another place.
    """
    if row is None or row.status is Status.PURGED:
        return
    verdict = Verdict.CLAIMED
    if row.tenant != request.tenant:
        verdict = Verdict.FOREIGN
    elif (row.settled or Status.ERROR) not in TRANSITIONS[request.kind].allowed_from:
        verdict = Verdict.ILLEGAL
    refused = refusal(Claim(verdict=verdict, former=row.settled), request)
    if refused is not None:
        raise BadInput.of(refused)
    if (row.namespace, row.release) != request.home:
        raise BadInput(
            "name",
            request.instance,
            f"has release {row.release} in namespace {row.namespace}, and may have data there",
            fix="adopt that one, purge the instance first, or use another name",
        )
