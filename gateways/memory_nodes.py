"""The nodes of the cluster in memory: they run pods, or play what goes wrong with them, and bind volume claims.

Faults are the ones that the embedded platform's nodes play (`embedded/stages.py`), by the same annotation or image.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from ..model.ports import Manifest, Ref
from .memory_store import Store, seconds, timestamp

FAULT = "kwok.innkeeper.dev/fault"
READY_AFTER = "kwok.innkeeper.dev/ready-after"
SLOW = "20s"
NODES = ("node-1", "node-2")
CLASSES = (None, "standard")
"""The storage classes that there are, the default one by either name."""

_FAULTY_IMAGE = re.compile(r"faults[.]innkeeper[.]dev/([a-z]+)")
_STARTS = frozenset({"", "slow", "fail"})
"""Faults with which a container starts all the same."""


class Nodes:
    """All nodes, over one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def run(self, pod: Manifest) -> None:
        """Play a pod's node, once: what a pod comes to does not change by itself, except that a slow one gets ready."""
        if pod.get("status", {}).get("phase") not in (None, "Pending") or pod.get("status", {}).get("conditions"):
            return
        message = self._unschedulable(pod)
        if message:
            scheduled = condition_of("PodScheduled", met=False, reason="Unschedulable", message=message)
            self._store.set_status(pod, phase="Pending", conditions=[scheduled])
            return
        fault = fault_of(pod)
        annotations = pod["metadata"].get("annotations") or {}
        if fault == "slow" or READY_AFTER in annotations:
            self._store.set_status(pod, phase="Running", conditions=_pod_conditions(ready=False))
            delay = seconds(annotations.get(READY_AFTER, SLOW))
            asyncio.get_running_loop().call_later(delay, self._serve, pod)
        elif fault in _STARTS:
            self._serve(pod)
        else:
            states = _failing(pod, fault)
            phase = "Running" if fault == "crash" else "Pending"
            self._store.set_status(pod, phase=phase, conditions=_pod_conditions(ready=False), **states)

    def _unschedulable(self, pod: Manifest) -> str:
        """Why no node takes the pod, in the scheduler's words; empty where one does."""
        counted = f"0/{len(NODES)} nodes are available: "
        if not nodes_for(pod.get("spec", {})):
            return f"{counted}{len(NODES)} node(s) didn't match Pod's node affinity/selector."
        for volume in pod.get("spec", {}).get("volumes") or ():
            name = volume.get("persistentVolumeClaim", {}).get("claimName")
            claim = name and self._store.get(Ref("v1", "PersistentVolumeClaim", name, pod["metadata"]["namespace"]))
            if claim and not _has_class(claim):
                return f"{counted}pod has unbound immediate PersistentVolumeClaims."
        return ""

    def _serve(self, pod: Manifest) -> None:
        """The pod's containers are ready; a Job's pod ends at once."""
        now = self._store.get(Ref.to(pod))
        if now is None or now["metadata"]["uid"] != pod["metadata"]["uid"]:
            return
        of_job = any(owner["kind"] == "Job" for owner in now["metadata"].get("ownerReferences") or ())
        if fault_of(now) == "fail":
            self._store.set_status(now, phase="Failed", conditions=_pod_conditions(ready=False))
        elif of_job:
            self._store.set_status(now, phase="Succeeded", conditions=_pod_conditions(ready=False))
        else:
            self._store.set_status(now, phase="Running", conditions=_pod_conditions(ready=True))
        self._store.settle(now["metadata"]["namespace"])

    def bind(self, claim: Manifest) -> None:
        """Bind at the first pod that uses it, as the embedded platform's storage class does."""
        meta = claim["metadata"]
        if not claim.get("status"):
            claim = self._store.set_status(claim, phase="Pending")
            if not _has_class(claim):
                self._tell_unknown_class(claim)
        if not _has_class(claim):
            return
        used = any(
            volume.get("persistentVolumeClaim", {}).get("claimName") == meta["name"]
            for pod in self._store.select("Pod", namespace=meta["namespace"])
            for volume in pod.get("spec", {}).get("volumes") or ()
        )
        if claim["status"]["phase"] == "Pending" and used:
            bound = {**claim, "spec": {**claim.get("spec", {}), "volumeName": f"pvc-{meta['uid']}"}}
            self._store.set_status(self._store.change(claim, bound), phase="Bound")

    def _tell_unknown_class(self, claim: Manifest) -> None:
        meta, wanted = claim["metadata"], claim["spec"]["storageClassName"]
        about = {"apiVersion": "v1", "kind": claim["kind"], "name": meta["name"], "uid": meta["uid"]}
        message = f'storageclass.storage.k8s.io "{wanted}" not found'
        told = {"type": "Warning", "reason": "ProvisioningFailed", "message": message, "lastTimestamp": timestamp()}
        metadata = {"name": f"{meta['name']}.{meta['uid']}", "namespace": meta["namespace"]}
        self._store.add({"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": about, **told})


def ended(pod: Manifest) -> bool:
    """The pod has run to its end."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def is_ready(pod: Manifest) -> bool:
    """The pod serves."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def fault_of(pod: Manifest) -> str:
    """The fault that a pod plays; empty where it has none."""
    annotations = pod["metadata"].get("annotations") or {}
    if FAULT in annotations:
        return str(annotations[FAULT])
    spec = pod.get("spec", {})
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        found = _FAULTY_IMAGE.match(str(container.get("image", "")))
        if found:
            return found[1]
    return ""


def _failing(pod: Manifest, fault: str) -> dict[str, Any]:
    """The container statuses of a pod whose containers do not run."""
    reasons = {
        "image": ("ImagePullBackOff", "Back-off pulling image"),
        "crash": ("CrashLoopBackOff", "back-off 10s restarting failed container"),
        "init": ("CrashLoopBackOff", "back-off 10s restarting failed container"),
        "config": ("CreateContainerConfigError", 'secret "missing" not found'),
    }
    reason, message = reasons.get(fault, ("ContainerCreating", ""))
    spec = pod.get("spec", {})
    field, source = (
        ("initContainerStatuses", "initContainers") if fault == "init" else ("containerStatuses", "containers")
    )
    crashed = {"lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}} if "Crash" in reason else {}
    return {
        field: [
            {
                "name": one.get("name", "main"),
                "image": one.get("image", ""),
                "ready": False,
                "restartCount": 1 if crashed else 0,
                "state": {"waiting": {"reason": reason, "message": message}},
                **crashed,
            }
            for one in spec.get(source) or ()
        ]
    }


def _pod_conditions(*, ready: bool) -> list[dict[str, Any]]:
    return [condition_of("PodScheduled", met=True), condition_of("Ready", met=ready)]


def condition_of(kind: str, *, met: bool, reason: str = "", message: str = "") -> dict[str, Any]:
    """A condition as controllers write it."""
    return {"type": kind, "status": "True" if met else "False", "reason": reason, "message": message}


def _labels_of(node: str) -> dict[str, str]:
    return {"kubernetes.io/hostname": node, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}


def _has_class(claim: Manifest) -> bool:
    """Whether there is the storage class that the claim asks for."""
    return claim.get("spec", {}).get("storageClassName") in CLASSES


def nodes_for(pod_spec: Manifest) -> list[str]:
    """The nodes that a pod's node selector lets it run on."""
    selector = pod_spec.get("nodeSelector") or {}
    return [node for node in NODES if all(_labels_of(node).get(name) == value for name, value in selector.items())]
