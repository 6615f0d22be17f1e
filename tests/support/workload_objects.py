"""Workloads as a cluster shows them, ready unless told otherwise, for tests of health."""

from __future__ import annotations

from typing import Any

from innkeeper.model.ports import Manifest

NAMESPACE = "inn-acme"


MADE = "2026-01-01T10:00:00Z"


BEFORE, AFTER = "2026-01-01T09:59:59Z", "2026-01-01T10:00:01Z"


VERSIONS = {
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
}


READY_POD: dict[str, Any] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


REVISION = "deployment.kubernetes.io/revision"


def obj(kind: str, name: str, *, owner: Manifest | None = None, **more: Any) -> Manifest:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": f"uid-of-{kind}-{name}",
        "generation": 1,
        "creationTimestamp": MADE,
        **more.pop("metadata", {}),
    }
    if owner is not None:
        metadata["ownerReferences"] = [{"uid": owner["metadata"]["uid"], "kind": owner["kind"], "controller": True}]
    return {"apiVersion": VERSIONS.get(kind, "v1"), "kind": kind, "metadata": metadata, **more}


def deployment(replicas: int = 2, **status: Any) -> Manifest:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    return obj(
        "Deployment",
        "web",
        metadata={"annotations": {REVISION: "2"}},
        spec={"replicas": replicas},
        status={"observedGeneration": 1, **counts, **status},
    )


def replica_set(owner: Manifest, revision: int = 2, replicas: int = 2, **status: Any) -> Manifest:
    counts = dict.fromkeys(("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"), replicas)
    return obj(
        "ReplicaSet",
        f"web-{revision}",
        owner=owner,
        metadata={"annotations": {REVISION: str(revision)}},
        spec={"replicas": replicas},
        status={"observedGeneration": 1, **counts, **status},
    )


def stateful_set(replicas: int = 2, *, spec: dict[str, Any] | None = None, **status: Any) -> Manifest:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    revisions = {"currentRevision": "db-2", "updateRevision": "db-2"}
    return obj(
        "StatefulSet",
        "db",
        spec={"replicas": replicas, **(spec or {})},
        status={"observedGeneration": 1, **counts, **revisions, **status},
    )


def daemon_set(*, spec: dict[str, Any] | None = None, **status: Any) -> Manifest:
    names = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    return obj(
        "DaemonSet",
        "agent",
        metadata={"annotations": {"deprecated.daemonset.template.generation": "2"}},
        spec=spec or {},
        status={"observedGeneration": 1, **dict.fromkeys((*names, "numberReady"), 2), **status},
    )


def job(*, spec: dict[str, Any] | None = None, **status: Any) -> Manifest:
    return obj("Job", "setup", spec=spec or {}, status=status)


def condition(kind: str, status: str = "True", **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, **more}


def pod(
    owner: Manifest | None = None, name: str = "web-2-x", *, labels: dict[str, str] | None = None, **more: Any
) -> Manifest:
    metadata = {"labels": labels or {}, **more.pop("metadata", {})}
    return obj("Pod", name, owner=owner, metadata=metadata, **{"status": READY_POD, "spec": {}, **more})


def waiting(reason: str, message: str = "", *, init: bool = False, **more: Any) -> dict[str, Any]:
    field = "initContainerStatuses" if init else "containerStatuses"
    one = {"name": "main", "image": "shop/web:9", "state": {"waiting": {"reason": reason, "message": message}}, **more}
    return {"phase": "Pending", field: [one]}


def refused(about: Manifest, message: str, seen: str = AFTER, **more: Any) -> Manifest:
    uid = more.pop("uid", about["metadata"]["uid"])
    about = {"kind": about["kind"], "name": about["metadata"]["name"], "uid": uid}
    return obj(
        "Event",
        "told",
        involvedObject=about,
        type="Warning",
        reason="FailedCreate",
        message=message,
        **{"lastTimestamp": seen, **more},
    )


def claim(phase: str | None) -> Manifest:
    return obj("PersistentVolumeClaim", "data", status={"phase": phase} if phase else {})


QUOTA = 'pods "x" is forbidden: exceeded quota: plan, requested: pods=1, used: pods=2, limited: pods=2'


STOPPED = 'pods "x" is forbidden: exceeded quota: stop, requested: pods=1, used: pods=0, limited: pods=0'


def lacking() -> Manifest:
    """A StatefulSet that has none of its pods."""
    return {**stateful_set(), "status": {**stateful_set()["status"], "replicas": 0, "readyReplicas": 0}}


def failing(status: dict[str, Any], **more: Any) -> tuple[Manifest, list[Manifest]]:
    """A Deployment whose newest pod has this status."""
    newest = replica_set(deployment())
    return deployment(readyReplicas=1), [newest, pod(newest, status=status, **more)]


def no_pods(message: str) -> tuple[Manifest, list[Manifest]]:
    """A Deployment whose newest ReplicaSet is refused its pods."""
    failure = condition("ReplicaFailure", reason="FailedCreate", message=message)
    return deployment(readyReplicas=1), [replica_set(deployment(), conditions=[failure])]


def written(manifest: Manifest, spec: str, status: str) -> Manifest:
    """The object with the times of its last writes, and a writer that does not say when."""
    fields = [
        {"manager": "innkeeper", "time": spec},
        {"manager": "controller", "time": status, "subresource": "status"},
        {"manager": "nobody"},
    ]
    return {**manifest, "metadata": {**manifest["metadata"], "managedFields": fields}}


def undated(manifest: Manifest) -> Manifest:
    """The object without any time."""
    meta = {key: value for key, value in manifest["metadata"].items() if key != "creationTimestamp"}
    return {**manifest, "metadata": meta}


def speechless(event: Manifest) -> Manifest:
    """The event without a message."""
    return {key: value for key, value in event.items() if key != "message"}
