"""The steps on an instance's workloads: readiness, stop, start and restart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from temporalio import activity

from ..model import health, marks, surroundings, workloads
from ..model.catalog import Catalog
from ..model.errors import AlreadyExists, NeverReady, Pending, Permanent
from ..model.instance import Kind
from ..model.messages import Ready, Work
from ..model.ports import Cluster, Manifest, Ref
from ..model.release import Revision, objects_of
from ..model.sizes import sizes_of
from ..model.wishes import url_of
from .home import demand_home, has_home
from .polling import patience
from .stopping import lift_stop, patch_workload, resume, workloads_of
from .storage import Storage
from .telling import waiting_for

REFUSALS = frozenset({"QuotaExceeded", "PodSecurity", "PodRefused"})
"""Codes of what a controller was told about its pods, which it tries again by itself, more and more seldom."""


class Workloads:
    """Watches, stops, starts and restarts what runs."""

    def __init__(self, cluster: Cluster, catalog: Catalog, storage: Storage) -> None:
        self._cluster = cluster
        self._catalog = catalog
        self._storage = storage

    @activity.defn(name="ready")
    async def ready(self, work: Work) -> Ready:
        """Wait until all of the release is ready, then reread Helm's storage.

        Raises:
            NeverReady: at once where something failed for good, else at the deadline; names the object and reason.
        """
        revision = await self._running(work)
        wanted = objects_of(revision)
        found: health.Health = health.Ready()
        seen: Sequence[Manifest] = ()
        try:
            async with asyncio.timeout(patience()), self._cluster.watch(work.namespace) as watch:
                while True:
                    seen = watch.objects()
                    found = health.assess(wanted, seen)
                    if isinstance(found, health.Ready):
                        break
                    if isinstance(found, health.Failed):
                        raise NeverReady.of(found.cause)
                    waiting_for(found.waiting_for)
                    await watch.changed()
        except TimeoutError:
            raise _too_late(work, found) from None
        running, _ = await asyncio.gather(self._running(work), self._demand_open(work))
        plan = self._catalog.plans.get(work.plan)
        url = url_of(work, plan) if plan else None
        return Ready(revision=running.version, url=url, sizes=sizes_of(seen))

    @activity.defn(name="settle")
    async def settle(self, work: Work) -> Ready:
        """Wait for what an undo brought back, as `ready` does.

        Raises:
            Pending: the cluster refused its pods, maybe by what the operation had set and took back only now.
            NeverReady: it failed for good, or is not ready at the deadline.
        """
        try:
            return await self.ready(work)
        except NeverReady as error:
            if error.cause.code not in REFUSALS:
                raise
            raise Pending.of(error.cause) from None

    async def _demand_open(self, work: Work) -> None:
        """Pass only where no quota of no pods stands: what is ready under one is gone when its pods have to move."""
        quota = Ref("v1", "ResourceQuota", marks.STOP_QUOTA, work.namespace)
        if await self._cluster.get(quota) is not None:
            raise NeverReady(
                f"all of release {work.release} is ready, but {quota} lets no pod be made any more",
                code="StillStopped",
                object=str(quota),
                fix="ask for a start; a stop that was given up may have written it late",
            )

    async def _running(self, work: Work) -> Revision:
        found = await self._storage.running(work)
        if found is None:
            await demand_home(self._cluster, work)
            raise Permanent(
                f"release {work.release} is not deployed in namespace {work.namespace}",
                code="ReleaseMissing",
                object=f"Release {work.namespace}/{work.release}",
                fix="repair the instance, or provision it again; kept data is used",
            )
        return found

    @activity.defn(name="scale-down")
    async def scale_down(self, work: Work) -> bool:
        """Let no pod run any more, and remember in each workload what ran; whether there is a release to bring back.

        Raises:
            NotOurs: the namespace is somebody else's by now.
            Permanent: the namespace is not there.
        """
        await demand_home(self._cluster, work)
        revision = await self._storage.running(work)
        try:
            await self._cluster.create(surroundings.no_pods(work))
        except AlreadyExists:
            found = await self._cluster.get(Ref("v1", "ResourceQuota", marks.STOP_QUOTA, work.namespace))
            if found is not None:
                marks.demand_ours(found, work.instance, work.tenant)
        for manifest in await workloads_of(self._cluster, work):
            await patch_workload(self._cluster, manifest, workloads.stop_patch(manifest))
        return revision is not None

    @activity.defn(name="gone")
    async def gone(self, work: Work) -> None:
        """Wait until no pod is left; a pod of the release that nothing controls is deleted, and made again by start.

        Raises:
            Pending: pods are left at the deadline; names them.
        """
        if not await has_home(self._cluster, work):
            return
        left: list[str] = []
        try:
            async with asyncio.timeout(patience()), self._cluster.watch(work.namespace) as watch:
                while left := _still_running(seen := watch.objects(), work):
                    await self._delete_bare_pods(work, seen)
                    waiting_for(f"pods to end: {', '.join(left[:10])}")
                    await watch.changed()
        except TimeoutError:
            raise Pending(
                f"pods are still there after {patience():g} s: {', '.join(left[:10])}",
                code="PodsLeft",
                object=left[0] if left else "",
                fix="look at what runs or holds the pod: nothing foreign is deleted",
            ) from None

    async def _delete_bare_pods(self, work: Work, seen: Sequence[Manifest]) -> None:
        """Only the release's own, and none that has done its work: start makes again what was deleted here."""
        pods = [item for item in seen if item["kind"] == "Pod" and not health.is_stopped([item])]
        left = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        bare = {pod["metadata"]["name"]: pod for pod in left if not workloads.controlled(pod)}
        revision = await self._storage.running(work) if bare else None
        for manifest in revision.manifest if revision else ():
            pod = bare.get(manifest["metadata"].get("name")) if manifest["kind"] == "Pod" else None
            if pod is not None:
                await self._cluster.delete(Ref.to(pod), uid=pod["metadata"]["uid"])

    @activity.defn(name="halt")
    async def halt(self, work: Work) -> None:
        """Stop again what a start brought up, to the last pod: the undo of `scale_up`."""
        await self.scale_down(work)
        await self.gone(work)

    @activity.defn(name="scale-up")
    async def scale_up(self, work: Work) -> bool:
        """Bring back exactly what ran before the stop; whether there is a release that it ran from.

        Where nothing was stopped, nothing is done.

        Raises:
            NotOurs: the namespace is somebody else's by now.
            Permanent: the namespace is not there.
            Pending: the API server still enforces the quota of no pods at the deadline.
        """
        await demand_home(self._cluster, work)
        await lift_stop(self._cluster, work)
        revision = await self._storage.running(work)
        await resume(self._cluster, work, revision)
        return revision is not None

    @activity.defn(name="roll")
    async def roll(self, work: Work) -> bool:
        """Roll all pods once for this request; whether there is a release that they run from.

        Raises:
            NotOurs: the namespace is somebody else's by now.
            Permanent: the namespace is not there.
        """
        await demand_home(self._cluster, work)
        for manifest in await workloads_of(self._cluster, work):
            await patch_workload(self._cluster, manifest, workloads.restart_patch(manifest, work.request_id))
        return await self._storage.running(work) is not None

    @activity.defn(name="roll-back")
    async def roll_back(self, work: Work) -> None:
        """Take this request's roll back: pods of before that still run go on, and no more are replaced."""
        if not await has_home(self._cluster, work):
            return
        for manifest in await workloads_of(self._cluster, work):
            await patch_workload(self._cluster, manifest, workloads.unrestart_patch(manifest, work.request_id))


def _too_late(work: Work, found: health.Health) -> NeverReady:
    """That the deadline has come, with what was still waited for, and why where the cluster says so."""
    what, why = (found.waiting_for, found.cause) if isinstance(found, health.Progressing) else ("the cluster", None)
    return NeverReady(
        f"not ready within {patience():g} s; still waiting for {what}",
        code=why.code if why else "ReadyTimeout",
        object=why.object if why else f"Release {work.namespace}/{work.release}",
        fix=why.fix if why else "look at the object named, or raise the plan's deadlines.ready",
    )


def _still_running(objects: Sequence[Manifest], work: Work) -> list[str]:
    """The pods that are waited for. After an uninstall those are its own: what others put there is theirs."""
    pods = [item for item in objects if item["kind"] == "Pod" and not health.is_stopped([item])]
    if work.kind in (Kind.UNINSTALL, Kind.PURGE):
        pods = [pod for pod in pods if workloads.controlled(pod)]
    return [str(Ref.to(pod)) for pod in pods]
