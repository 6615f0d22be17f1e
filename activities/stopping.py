"""What stop, start and every step between them share: the quota of no pods, and the workloads' memory of what ran."""

from __future__ import annotations

from ..model import marks, surroundings, workloads
from ..model.errors import Conflict, Pending, Permanent
from ..model.messages import Work
from ..model.ports import Cluster, Manifest, Ref
from ..model.release import Revision
from .listing import objects_of
from .polling import patience, until


async def workloads_of(cluster: Cluster, work: Work) -> list[Manifest]:
    """Everything in the namespace that makes pods, what starts others first."""
    return await objects_of(cluster, work, workloads.KINDS)


async def patch_workload(cluster: Cluster, manifest: Manifest, patch: Manifest | None) -> None:
    """Apply what was decided, if anything was."""
    if patch is not None:
        await cluster.patch(Ref.to(manifest), patch)


async def resume(cluster: Cluster, work: Work, revision: Revision | None) -> None:
    """Bring back what a stop took: replicas, suspensions, and pods that only the release's manifest knows."""
    for manifest in await workloads_of(cluster, work):
        await patch_workload(cluster, manifest, workloads.start_patch(manifest))
    for manifest in revision.manifest if revision else ():
        if manifest["kind"] == "Pod":
            placed = {**manifest, "metadata": {**manifest["metadata"], "namespace": work.namespace}}
            found = await cluster.get(Ref.to(placed))
            if found is None:
                await cluster.create(placed)
            elif found["metadata"].get("deletionTimestamp"):
                raise Pending(f"{Ref.to(placed)} is still being deleted", fix="look at what holds it, then ask again")


async def lift_stop(cluster: Cluster, work: Work) -> bool:
    """Remove the quota of no pods, and wait until the API server no longer enforces it; whether there was one.

    Admission reads quotas from a cache: a pod made too early is refused, and the refusal would be read as a failure.

    Raises:
        Pending: it is still enforced at the deadline.
    """
    ref = Ref("v1", "ResourceQuota", marks.STOP_QUOTA, work.namespace)
    found = await cluster.get(ref)
    if found is None:
        return False
    marks.demand_ours(found, work.instance, work.tenant)
    await cluster.delete(ref, uid=found["metadata"]["uid"])
    probe = surroundings.probe_pod(work)

    async def lifted() -> bool:
        try:
            await cluster.create(probe, dry_run=True)
        except (Permanent, Conflict) as refusal:
            return marks.STOP_QUOTA not in refusal.cause.message
        return True

    if not await until(lifted, at_most=patience()):
        raise Pending(f"the API server still enforces ResourceQuota {work.namespace}/{marks.STOP_QUOTA}")
    return True
