"""The namespace of an instance and what Innkeeper puts around the release: prepared, undone, purged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from temporalio import activity

from ..model import fence, marks, surroundings
from ..model.catalog import Catalog, Plan
from ..model.errors import AlreadyExists, Pending, Permanent
from ..model.leftovers import leftovers
from ..model.messages import Prepared, Work
from ..model.ports import Cluster, Manifest, Ref
from ..model.release import fallback
from ..model.surroundings import why_it_stays
from .fence import Fence
from .heavy_steps import heavy
from .home import demand_home, has_home
from .listing import objects_of
from .polling import patience, until
from .secrets import Secrets
from .storage import read_revisions
from .telling import waiting_for
from .together import together

_HELD = "remove what holds it, or the finalizers of it; nothing foreign is stripped"


class Namespaces:
    """Makes, undoes and purges namespaces."""

    def __init__(self, cluster: Cluster, catalog: Catalog, secrets: Secrets, fence: Fence) -> None:
        self._cluster = cluster
        self._catalog = catalog
        self._secrets = secrets
        self._fence = fence

    @heavy
    @activity.defn(name="prepare")
    async def prepare(self, work: Work) -> Prepared:
        """Have the namespace, its quota, limits, policy, release rights and secrets as the plan wants them.

        Raises:
            NotOurs: the namespace, or an object of a name that is needed in it, is somebody else's.
            Permanent: the namespace of an instance that ran is gone, with the customer's data.
            Pending: the namespace is being deleted; tried again until it is gone.
        """
        plan = self._catalog.plan(work.plan)
        if await self._namespace(work, plan):
            wanted = [self._have(manifest, None, work) for manifest in surroundings.around(work, plan)]
            # A Helm of a chart with objects outside is fenced by none, and may work in this namespace, too.
            binding = self._fence.have(work, None, fresh=not plan.cluster_objects)
            await together(*wanted, binding)
            # Last, since they are data: a namespace that holds any is not deleted where one of the others is refused.
            await self._secrets.have(work, plan)
            return Prepared(former_revision=fallback([], work.former_revision))
        around = objects_of(self._cluster, work, surroundings.KINDS)
        found, revisions = await asyncio.gather(around, read_revisions(self._cluster, work))
        there = {Ref.to(each): each for each in found}
        await self._surround(work, plan, there)
        await self._fence.have(work, there.get(fence.binding_ref(work.namespace)))
        await self._secrets.have(work, plan)
        return Prepared(former_revision=fallback(revisions, work.former_revision))

    async def _namespace(self, work: Work, plan: Plan) -> bool:
        """Whether the namespace was made here. A create, never an apply: that would adopt a foreign one silently."""
        manifest = surroundings.namespace(work, plan)
        found = await demand_home(self._cluster, work) if work.resident else await self._make(manifest, work)
        if found is None:
            return True
        if found["metadata"].get("deletionTimestamp"):
            raise Pending(
                f"Namespace {work.namespace} is being deleted{why_it_stays(found)}",
                object=f"Namespace {work.namespace}",
                fix="wait, or remove the finalizers that hold it",
                retry_after=1,
            )
        await self._cluster.apply(_keeping_maker(manifest, found))
        return False

    async def _surround(self, work: Work, plan: Plan, there: Mapping[Ref, Manifest]) -> None:
        """Have around the release what the plan asks for, and nothing of what is there that another plan asked for."""
        wanted = {Ref.to(manifest): manifest for manifest in surroundings.around(work, plan)}
        await together(*(self._have(manifest, there.get(ref), work) for ref, manifest in wanted.items()))
        # Neither the release's rights nor the stop's quota are a plan's.
        kept = (fence.BINDING, marks.STOP_QUOTA)
        for ref, item in there.items():
            if ref not in wanted and ref.name not in kept and marks.is_ours(item, work.instance, work.tenant):
                await self._cluster.delete(ref, uid=item["metadata"]["uid"])

    async def _have(self, manifest: Manifest, found: Manifest | None, work: Work) -> None:
        """Make the object, or bring this instance's own to the wanted state.

        Raises:
            NotOurs: an object of that name is there without this instance's mark.
        """
        if found is None:
            found = await self._make(manifest, work)
        else:
            marks.demand_ours(found, work.instance, work.tenant)
        if found is not None:
            await self._cluster.apply(_keeping_maker(manifest, found))

    async def _make(self, manifest: Manifest, work: Work) -> Manifest | None:
        """Create the object; where one of that name, which must be this instance's, is there already, that one.

        Raises:
            NotOurs: it is somebody else's.
            Pending: it was deleted meanwhile.
        """
        try:
            await self._cluster.create(manifest)
        except AlreadyExists:
            found = await self._cluster.get(Ref.to(manifest))
            if found is None:
                raise Pending(f"{Ref.to(manifest)} was deleted a moment ago") from None
            marks.demand_ours(found, work.instance, work.tenant)
            return found
        return None

    @activity.defn(name="undo-prepare")
    async def undo_prepare(self, work: Work) -> None:
        """Delete what this very operation made around the release; the namespace only where it holds no data.

        Where another plan's instance was here before, its namespace gets back what that plan asks for, its Pod Security
        level included. Copied Secrets go, generated ones are data and stay.

        Raises:
            Permanent: the former plan is in the catalog no more, so that what it asks for cannot be told; or something
                holds the namespace that was deleted, named object by object.
        """
        found = await self._cluster.get(Ref("v1", "Namespace", work.namespace))
        if found is None or not marks.is_ours(found, work.instance, work.tenant):
            return
        if found["metadata"].get("deletionTimestamp"):
            # It goes with all that is in it, and nothing can be made in it any more.
            if marks.created_by(found) == work.request_id:
                await self._see_it_go(work, found)
            return
        for version, kind in surroundings.KINDS:
            for item in await self._cluster.list_objects(version, kind, namespace=work.namespace):
                meta = item["metadata"]
                if marks.is_ours(item, work.instance, work.tenant) and marks.created_by(item) == work.request_id:
                    await self._cluster.delete(Ref(version, kind, meta["name"], work.namespace), uid=meta["uid"])
        await self._secrets.take_back(work)
        if marks.created_by(found) != work.request_id:
            if work.former_plan is not None and work.former_plan != work.plan:
                # Made by whoever made the namespace: it is no leftover of this operation's.
                maker = {"request_id": marks.created_by(found) or ""}
                before = work.model_copy(update={"plan": work.former_plan, **maker})
                former = self._former(work)
                await self._cluster.apply(_keeping_maker(surroundings.namespace(before, former), found))
                there = await objects_of(self._cluster, before, surroundings.KINDS)
                await self._surround(before, former, {Ref.to(each): each for each in there})
        elif not await self._holds_data(work):
            await self._cluster.delete(Ref("v1", "Namespace", work.namespace), uid=found["metadata"]["uid"])
            await self._see_it_go(work, found)

    async def _see_it_go(self, work: Work, found: Manifest) -> None:
        """Wait until the namespace that was read is gone; waiting longer than this attempt would not help."""
        held = await self._held(work, found)
        if held is not None:
            raise Permanent(held, code="NamespaceHeld", object=f"Namespace {work.namespace}", fix=_HELD)

    async def _held(self, work: Work, found: Manifest) -> str | None:
        """Wait until the namespace that was read is gone; None, or what holds it at the end of the attempt."""
        ref, uid = Ref("v1", "Namespace", work.namespace), found["metadata"]["uid"]
        why = ""

        async def gone() -> bool:
            nonlocal why
            now = await self._cluster.get(ref)
            if now is None or now["metadata"]["uid"] != uid:
                return True
            why = why_it_stays(now)
            waiting_for(f"Namespace {work.namespace} to go{why}")
            return False

        if await until(gone, at_most=patience()):
            return None
        held_by = [str(Ref.to(item)) for item in await self._cluster.contents(work.namespace)]
        held = ", ".join(held_by[:10]) or "nothing listed"
        return f"Namespace {work.namespace} is still being deleted; it holds {held}{why}"

    def _former(self, work: Work) -> Plan:
        former = self._catalog.plans.get(work.former_plan or "")
        if former is None:
            raise Permanent(
                f"plan {work.former_plan} is in the catalog no more, so namespace {work.namespace} keeps the quota, "
                f"limits, policy and Pod Security level of plan {work.plan}",
                code="FormerPlanGone",
                object=f"Namespace {work.namespace}",
                fix=f"put plan {work.former_plan} back into the catalog, restart the workers, and answer retry",
            )
        return former

    async def _holds_data(self, work: Work) -> bool:
        data = {marks.DATA: "true"}
        return bool(
            await self._cluster.list_objects("v1", "PersistentVolumeClaim", namespace=work.namespace)
            or await self._cluster.list_objects("v1", "Secret", namespace=work.namespace, labels=data)
        )

    @activity.defn(name="survey")
    async def survey(self, work: Work) -> list[str]:
        """What of an operation that could not be undone is still there, object by object."""
        if not await has_home(self._cluster, work):
            return []
        return leftovers(await self._cluster.contents(work.namespace), work)

    @activity.defn(name="delete-namespace")
    async def delete(self, work: Work) -> None:
        """Delete the namespace with the customer's data, and wait until it is gone.

        Raises:
            NotOurs: the namespace is somebody else's.
            Pending: something still holds it when the deadline has come; named object by object.
        """
        ref = Ref("v1", "Namespace", work.namespace)
        found = await self._cluster.get(ref)
        if found is None:
            return
        marks.demand_ours(found, work.instance, work.tenant)
        await self._cluster.delete(ref, uid=found["metadata"]["uid"])
        held = await self._held(work, found)
        if held is not None:
            raise Pending(held, object=f"Namespace {work.namespace}", fix=_HELD)


def _keeping_maker(manifest: Manifest, found: Manifest) -> Manifest:
    """The wanted manifest for the object that was read, with the mark of who made it left as it is."""
    meta = manifest["metadata"]
    annotations = {**meta["annotations"], marks.CREATED_BY: marks.created_by(found) or ""}
    return {**manifest, "metadata": {**meta, "annotations": annotations, "uid": found["metadata"]["uid"]}}
