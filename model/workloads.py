"""How a workload is stopped, started and restarted: each a patch decided from the object as it is.

What start must bring back is written into the workload by the same patch that stops it, and never overwritten
while it is there: a stop that is killed and tried again cannot forget what ran.
"""

from __future__ import annotations

import json
from typing import Any

from . import marks
from .manifests import retention

Manifest = dict[str, Any]

SCALED = ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController")
SUSPENDED = ("CronJob", "Job")
ROLLED = ("Deployment", "StatefulSet", "DaemonSet")

KINDS: tuple[tuple[str, str], ...] = (
    ("batch/v1", "CronJob"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("apps/v1", "ReplicaSet"),
    ("v1", "ReplicationController"),
)
"""Everything that makes pods by itself, what starts others first."""

NOWHERE = marks.PREFIX + "nowhere"
"""The node selector no node has: a DaemonSet cannot be scaled, but it can be sent to no node."""


def controlled(manifest: Manifest) -> bool:
    """Whether another object decides over this one (a ReplicaSet of a Deployment, a Job of a CronJob)."""
    return any(owner.get("controller") for owner in manifest["metadata"].get("ownerReferences") or [])


def stop_patch(manifest: Manifest) -> Manifest | None:
    """The patch that stops the workload and remembers what ran; None where nothing is left to do."""
    kind = manifest["kind"]
    if controlled(manifest) and kind != "Job":
        return None
    spec = manifest.get("spec") or {}
    if kind in SCALED:
        was: Any = spec.get("replicas", 1)
        stopped = was == 0
        change: Manifest = {"replicas": 0}
        if "Delete" in retention(manifest).values():
            # In the same write, or the claims of the pods that go would go with them.
            change["persistentVolumeClaimRetentionPolicy"] = dict.fromkeys(retention(manifest), "Retain")
    elif kind in SUSPENDED:
        was = bool(spec.get("suspend"))
        stopped = was or _finished(manifest)
        change = {"suspend": True}
    else:
        was = True
        stopped = NOWHERE in (spec["template"]["spec"].get("nodeSelector") or {})
        change = {"template": {"spec": {"nodeSelector": {NOWHERE: "true"}}}}
    if stopped:
        return None
    meta: Manifest = {"resourceVersion": manifest["metadata"]["resourceVersion"]}
    if _remembered(manifest) is None:
        meta["annotations"] = {marks.STOPPED: json.dumps(was)}
    return {"metadata": meta, "spec": change}


def start_patch(manifest: Manifest) -> Manifest | None:
    """The patch that brings back exactly what ran before the stop; None where the workload was not stopped.

    A Deployment's annotations are copied to its ReplicaSets by Kubernetes: the copy there is no memory of ours, and a
    ReplicaSet scaled behind its Deployment's back would keep that from ever rolling again.
    """
    kind = manifest["kind"]
    was = _remembered(manifest)
    if was is None or (controlled(manifest) and kind != "Job"):
        return None
    if kind in SCALED:
        change: Manifest = {"replicas": was}
    elif kind in SUSPENDED:
        change = {"suspend": was}
    else:
        change = {"template": {"spec": {"nodeSelector": {NOWHERE: None}}}}
    version = manifest["metadata"]["resourceVersion"]
    return {"metadata": {"resourceVersion": version, "annotations": {marks.STOPPED: None}}, "spec": change}


def restart_patch(manifest: Manifest, request_id: str) -> Manifest | None:
    """The patch that rolls the workload's pods once for a request; None where that request has rolled them."""
    if controlled(manifest) or manifest["kind"] not in ROLLED:
        return None
    annotations = manifest["spec"]["template"].get("metadata", {}).get("annotations") or {}
    if annotations.get(marks.RESTARTED_BY) == request_id:
        return None
    template = {"metadata": {"annotations": {marks.RESTARTED_BY: request_id}}}
    version = manifest["metadata"]["resourceVersion"]
    before = {marks.RESTARTED_BEFORE: annotations.get(marks.RESTARTED_BY)}
    return {"metadata": {"resourceVersion": version, "annotations": before}, "spec": {"template": template}}


def unrestart_patch(manifest: Manifest, request_id: str) -> Manifest | None:
    """The patch that takes a request's roll back; None where that request has not rolled the workload."""
    if controlled(manifest) or manifest["kind"] not in ROLLED:
        return None
    annotations = manifest["spec"]["template"].get("metadata", {}).get("annotations") or {}
    if annotations.get(marks.RESTARTED_BY) != request_id:
        return None
    meta = manifest["metadata"]
    before = (meta.get("annotations") or {}).get(marks.RESTARTED_BEFORE)
    return {
        "metadata": {"resourceVersion": meta["resourceVersion"], "annotations": {marks.RESTARTED_BEFORE: None}},
        "spec": {"template": {"metadata": {"annotations": {marks.RESTARTED_BY: before}}}},
    }


def is_gone(wanted: Manifest, live: Manifest | None) -> bool:
    """Whether nothing runs of what a release's manifest wants: the object is missing, or scaled to nothing.

    Any other number of replicas may be an autoscaler's doing.
    """
    if live is None:
        return True
    count, runs = (wanted.get("spec") or {}).get("replicas", 1), (live.get("spec") or {}).get("replicas", 1)
    return wanted["kind"] in SCALED and bool(count) and not runs


def _remembered(manifest: Manifest) -> Any:
    text = (manifest["metadata"].get("annotations") or {}).get(marks.STOPPED)
    return None if text is None else json.loads(text)


def _finished(manifest: Manifest) -> bool:
    conditions = (manifest.get("status") or {}).get("conditions") or []
    return any(item["type"] in ("Complete", "Failed") and item["status"] == "True" for item in conditions)
