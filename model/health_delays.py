"""What keeps pods from coming up and may pass by itself: a node with room, a volume that is bound.

An autoscaler adds nodes, a drain ends, a provisioner comes back: none of this fails a workload before its deadline has
come. It is named while it is waited for, and it is the cause where it did not pass in time. The reasons are those of
the scheduler (condition PodScheduled), of claims and of the events about them.
"""

from __future__ import annotations

import re

from .errors import Cause
from .health_causes import condition, explained, finished
from .health_world import World, is_leaving
from .ports import Manifest, Ref

UNBOUND = "not bound to a volume yet"

_CLAIM = "PersistentVolumeClaim"
_NOTHING_BOUND = re.compile(r"unbound immediate PersistentVolumeClaims|persistentvolumeclaim .* not found")


def delay(obj: Manifest, world: World) -> Cause | None:
    """What keeps the pods of a workload, or a volume claim, waiting; None where the cluster does not say."""
    if obj["kind"] == _CLAIM:
        return _unbound(obj, obj, world)
    pods = (pod for pod in world.pods_of(obj) if not finished(pod) and not is_leaving(pod))
    return next((cause for cause in (_pod_delay(pod, world) for pod in pods) if cause is not None), None)


def _pod_delay(pod: Manifest, world: World) -> Cause | None:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "True":
        return None
    refused = scheduled.get("reason") == "Unschedulable"
    message = scheduled.get("message", "")
    # A claim that binds with its first consumer waits for the node, and not the node for it.
    claim = None if refused and not _NOTHING_BOUND.search(message) else _claim_delay(pod, world)
    # With a node nominated room is being made.
    if claim is not None or not refused or pod["status"].get("nominatedNodeName"):
        return claim
    return explained(
        "Unschedulable",
        pod,
        "no node can take it",
        message,
        "add nodes, or ask for less (requests, node selectors, affinity, tolerations) in the plan's values",
    )


def _claim_delay(pod: Manifest, world: World) -> Cause | None:
    for volume in pod.get("spec", {}).get("volumes") or ():
        name = volume.get("persistentVolumeClaim", {}).get("claimName")
        if name is None:
            continue
        ref = Ref("v1", _CLAIM, name, pod["metadata"].get("namespace"))
        claim = world.find(ref)
        if claim is None:
            what, fix = f"waits for {_CLAIM} {name}, which is not there", "make it, or correct the plan's values"
            return explained("VolumeMissing", pod, what, "", fix).model_copy(update={"object": str(ref)})
        cause = _unbound(claim, pod, world)
        if cause is not None:
            return cause
    return None


def _unbound(claim: Manifest, who: Manifest, world: World) -> Cause | None:
    """That the claim which `who` waits for is not bound, and why, by the newest event about it."""
    if claim.get("status", {}).get("phase") in ("Bound", "Lost"):
        return None
    ref = Ref.to(claim)
    what = UNBOUND if who is claim else f"waits for {_CLAIM} {ref.name}, which is {UNBOUND}"
    fix = (
        "see that its storage class is one of the cluster's and provisions volumes (kubectl get storageclass); a claim "
        "keeps the class that it was made with: one that was never bound holds no data, so that "
        f"`kubectl delete persistentvolumeclaim {ref.name} --namespace {ref.namespace}` lets it be made anew"
    )
    return explained("VolumeUnbound", who, what, world.told_last(claim), fix).model_copy(update={"object": str(ref)})
