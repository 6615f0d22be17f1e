"""The controllers and nodes of the cluster in memory: small, synchronous, run after each write until nothing changes.

They do what an operation can see: pods that are ready at once, rollouts that keep old pods until new ones are ready,
volumes that stay, quotas that refuse, Jobs that complete.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable
from typing import Any

from ..model.ports import Manifest, Ref
from .memory_nodes import Nodes, condition_of, ended, is_ready, nodes_for
from .memory_store import Store, timestamp

REVISION = "deployment.kubernetes.io/revision"


def quota_refusal(store: Store, namespace: str, pod: str) -> str:
    """The API server's words where a quota does not allow one more pod; empty where all do."""
    running = [one for one in store.select("Pod", namespace=namespace) if not ended(one)]
    for quota in store.select("ResourceQuota", namespace=namespace):
        hard = quota.get("spec", {}).get("hard") or {}
        limit = hard.get("pods", hard.get("count/pods"))
        if limit is not None and len(running) >= int(limit):
            numbers = f"requested: pods=1, used: pods={len(running)}, limited: pods={int(limit)}"
            return f'pods "{pod}" is forbidden: exceeded quota: {quota["metadata"]["name"]}, {numbers}'
    return ""


class Controllers:
    """Everything that acts by itself in one cluster."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._nodes = Nodes(store)
        self._working = False

    def settle(self, namespace: str) -> None:
        """Let the controllers and nodes act in a namespace until there is nothing left to do."""
        if self._working:
            return
        self._working = True
        try:
            before = -1
            while before != self._store.changes(namespace):
                before = self._store.changes(namespace)
                for kind, act in (
                    ("Pod", self._nodes.run),
                    ("PersistentVolumeClaim", self._nodes.bind),
                    ("Job", self._job),
                    ("DaemonSet", self._daemon_set),
                    ("StatefulSet", self._stateful_set),
                    ("ReplicaSet", self._replica_set),
                    ("Deployment", self._deployment),
                ):
                    for obj in self._store.select(kind, namespace=namespace):
                        now = self._store.get(Ref.to(obj))
                        if now is not None and not now["metadata"].get("deletionTimestamp"):
                            act(now)
        finally:
            self._working = False

    def _job(self, job: Manifest) -> None:
        status = job.get("status", {})
        if status.get("conditions"):
            return
        pods = self._store.owned(job, "Pod")
        wanted = int(job["spec"].get("completions") or 1)
        failed = sum(pod["status"]["phase"] == "Failed" for pod in pods if pod.get("status"))
        succeeded = sum(pod["status"]["phase"] == "Succeeded" for pod in pods if pod.get("status"))
        if job["spec"].get("suspend"):
            for pod in pods:
                if not ended(pod):
                    self._store.remove(pod)
            return
        refused = ""
        if not failed:
            refused = self._fill(job, pods, wanted, lambda: f"{job['metadata']['name']}-{_suffix()}", {})
        found: dict[str, Any] = {"active": len(pods) - failed - succeeded, "succeeded": succeeded, "failed": failed}
        if failed:
            why = "Job has reached the specified backoff limit"
            found["conditions"] = [condition_of("Failed", met=True, reason="BackoffLimitExceeded", message=why)]
        elif succeeded >= wanted:
            found["conditions"] = [condition_of("Complete", met=True, reason="CompletionsReached")]
        self._told(job, refused)
        self._store.set_status(job, **found)

    def _daemon_set(self, daemon_set: Manifest) -> None:
        annotations = daemon_set["metadata"].get("annotations") or {}
        generation = str(annotations.get("deprecated.daemonset.template.generation", ""))
        digest = _digest(daemon_set["spec"]["template"])
        if (annotations.get("memory.innkeeper.dev/template")) != digest:
            generation = str(int(generation or 0) + 1)
            marked = {
                **annotations,
                "deprecated.daemonset.template.generation": generation,
                "memory.innkeeper.dev/template": digest,
            }
            metadata = {**daemon_set["metadata"], "annotations": marked}
            daemon_set = self._store.change(daemon_set, {**daemon_set, "metadata": metadata})
        nodes = nodes_for(daemon_set["spec"]["template"].get("spec", {}))
        label = {"pod-template-generation": generation}
        for pod in self._store.owned(daemon_set, "Pod"):
            if pod["metadata"]["labels"].get("pod-template-generation") != generation or not nodes:
                self._store.remove(pod)
        pods = self._store.owned(daemon_set, "Pod")
        name = daemon_set["metadata"]["name"]
        self._told(daemon_set, self._fill(daemon_set, pods, len(nodes), lambda: f"{name}-{_suffix()}", label))
        ready = sum(is_ready(pod) for pod in pods)
        self._store.set_status(
            daemon_set,
            observedGeneration=daemon_set["metadata"]["generation"],
            desiredNumberScheduled=len(nodes),
            currentNumberScheduled=len(pods),
            updatedNumberScheduled=len(pods),
            numberReady=ready,
            numberAvailable=ready,
        )

    def _stateful_set(self, stateful_set: Manifest) -> None:
        meta, spec = stateful_set["metadata"], stateful_set["spec"]
        want, revision = _replicas(stateful_set), f"{meta['name']}-{_digest(spec['template'])}"
        pods = {pod["metadata"]["name"]: pod for pod in self._store.owned(stateful_set, "Pod")}
        names = [f"{meta['name']}-{ordinal}" for ordinal in range(want)]
        for name, pod in pods.items():
            if name not in names or pod["metadata"]["labels"]["controller-revision-hash"] != revision:
                self._store.remove(pod)
        refused = ""
        parallel = spec.get("podManagementPolicy") == "Parallel"
        for name in names:
            if name in pods and self._store.get(Ref("v1", "Pod", name, meta["namespace"])) is not None:
                if is_ready(pods[name]) or parallel:
                    continue
                break
            claims = [self._claim(stateful_set, template, name) for template in spec.get("volumeClaimTemplates") or ()]
            labels = {"controller-revision-hash": revision, "statefulset.kubernetes.io/pod-name": name}
            refused = self._make_pod(stateful_set, name, labels, claims)
            if refused or not parallel:
                break
        self._told(stateful_set, refused)
        pods_now = self._store.owned(stateful_set, "Pod")
        ready, updated = sum(map(is_ready, pods_now)), len(pods_now)
        done = len(pods_now) == want == ready
        former = stateful_set.get("status", {}).get("currentRevision", revision)
        self._store.set_status(
            stateful_set,
            observedGeneration=meta["generation"],
            replicas=len(pods_now),
            readyReplicas=ready,
            availableReplicas=ready,
            updatedReplicas=updated,
            currentRevision=revision if done else former,
            updateRevision=revision,
        )

    def _claim(self, stateful_set: Manifest, template: Manifest, pod: str) -> dict[str, Any]:
        """Have the volume claim of one ordinal, and the volume that stands for it in the pod."""
        volume = template["metadata"]["name"]
        meta = stateful_set["metadata"]
        ref = Ref("v1", "PersistentVolumeClaim", f"{volume}-{pod}", meta["namespace"])
        if self._store.get(ref) is None:
            labels = {**(template["metadata"].get("labels") or {}), **_selector(stateful_set)}
            metadata: dict[str, Any] = {"name": ref.name, "namespace": ref.namespace, "labels": labels}
            retention = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
            if retention.get("whenDeleted") == "Delete":
                metadata["ownerReferences"] = [{**_owner(stateful_set), "controller": False}]
            self._store.add(
                {"apiVersion": "v1", "kind": ref.kind, "metadata": metadata, "spec": template.get("spec", {})}
            )
        return {"name": volume, "persistentVolumeClaim": {"claimName": ref.name}}

    def _replica_set(self, replica_set: Manifest) -> None:
        want, name = _replicas(replica_set), replica_set["metadata"]["name"]
        pods = [pod for pod in self._store.owned(replica_set, "Pod") if not ended(pod)]
        for pod in sorted(pods, key=is_ready)[: max(len(pods) - want, 0)]:
            self._store.remove(pod)
        refused = self._fill(replica_set, pods, want, lambda: f"{name}-{_suffix()}", {})
        pods = [pod for pod in self._store.owned(replica_set, "Pod") if not ended(pod)]
        ready = sum(map(is_ready, pods))
        self._told(replica_set, refused)
        self._store.set_status(
            replica_set,
            observedGeneration=replica_set["metadata"]["generation"],
            replicas=len(pods),
            fullyLabeledReplicas=len(pods),
            readyReplicas=ready,
            availableReplicas=ready,
            conditions=_refusals(replica_set, refused),
        )

    def _deployment(self, deployment: Manifest) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        digest = _digest(spec["template"])
        sets = self._store.owned(deployment, "ReplicaSet")
        newest = next((one for one in sets if one["metadata"]["labels"]["pod-template-hash"] == digest), None)
        revisions = [int(one["metadata"]["annotations"][REVISION]) for one in sets]
        revision = str(max(revisions, default=0) + 1)
        if newest is None:
            newest = self._new_replica_set(deployment, digest, revision)
        elif int(newest["metadata"]["annotations"][REVISION]) < max(revisions):
            newest = self._annotated(newest, revision)
        revision = newest["metadata"]["annotations"][REVISION]
        if (meta.get("annotations") or {}).get(REVISION) != revision:
            deployment = self._annotated(deployment, revision)
        want = _replicas(deployment)
        newest = self._scaled(newest, want)
        old = [one for one in sets if one["metadata"]["uid"] != newest["metadata"]["uid"]]
        replaced = int(newest.get("status", {}).get("readyReplicas") or 0) >= want
        # Of the old pods only those that serve are worth keeping until the new ones do.
        old = [self._scaled(one, 0 if replaced else int(one["status"].get("readyReplicas") or 0)) for one in old]
        counts = [one.get("status", {}) for one in (newest, *old)]
        ready = sum(int(one.get("readyReplicas") or 0) for one in counts)
        available = condition_of("Available", met=ready >= want, reason="MinimumReplicas")
        self._store.set_status(
            deployment,
            observedGeneration=deployment["metadata"]["generation"],
            replicas=sum(int(one.get("replicas") or 0) for one in counts),
            updatedReplicas=int(counts[0].get("replicas") or 0),
            readyReplicas=ready,
            availableReplicas=ready,
            conditions=[available, *(counts[0].get("conditions") or ())],
        )

    def _annotated(self, obj: Manifest, revision: str) -> Manifest:
        annotations = {**(obj["metadata"].get("annotations") or {}), REVISION: revision}
        return self._store.change(obj, {**obj, "metadata": {**obj["metadata"], "annotations": annotations}})

    def _scaled(self, obj: Manifest, replicas: int) -> Manifest:
        return self._store.change(obj, {**obj, "spec": {**obj["spec"], "replicas": replicas}})

    def _new_replica_set(self, deployment: Manifest, digest: str, revision: str) -> Manifest:
        meta, spec = deployment["metadata"], deployment["spec"]
        label = {"pod-template-hash": digest}
        template = spec["template"]
        labels = {**(template.get("metadata", {}).get("labels") or {}), **label}
        selector = {"matchLabels": {**_selector(deployment), **label}}
        return self._store.add(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{meta['name']}-{digest}",
                    "namespace": meta["namespace"],
                    "labels": labels,
                    "annotations": {REVISION: revision},
                    "ownerReferences": [_owner(deployment)],
                },
                "spec": {
                    "replicas": 0,
                    "selector": selector,
                    "template": {**template, "metadata": {**template.get("metadata", {}), "labels": labels}},
                },
            }
        )

    def _fill(
        self, owner: Manifest, pods: list[Manifest], want: int, name: Callable[[], str], labels: dict[str, str]
    ) -> str:
        """Make the pods that are lacking; the API server's words where it refuses one."""
        for _ in range(want - len(pods)):
            refused = self._make_pod(owner, name(), labels, [])
            if refused:
                return refused
        return ""

    def _make_pod(self, owner: Manifest, name: str, labels: dict[str, str], claims: list[dict[str, Any]]) -> str:
        namespace = owner["metadata"]["namespace"]
        refused = quota_refusal(self._store, namespace, name)
        if refused:
            return refused
        template = owner["spec"]["template"]
        metadata = template.get("metadata") or {}
        volumes = [*(template.get("spec", {}).get("volumes") or ()), *claims]
        self._store.add(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    **metadata,
                    "name": name,
                    "namespace": namespace,
                    "labels": {**(metadata.get("labels") or {}), **labels},
                    "ownerReferences": [_owner(owner)],
                },
                "spec": {**template.get("spec", {}), "volumes": volumes},
            }
        )
        return ""

    def _told(self, owner: Manifest, refused: str) -> None:
        """An event about refused pods, once for each message."""
        if not refused:
            return
        meta = owner["metadata"]
        message = re.sub(r'pods "[^"]*"', 'pods "" ', refused)
        ref = Ref("v1", "Event", f"{meta['name']}.{_hash(meta['uid'] + message)}", meta["namespace"])
        if self._store.get(ref) is None:
            about = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}
            told = {"type": "Warning", "reason": "FailedCreate", "message": refused, "lastTimestamp": timestamp()}
            metadata = {"name": ref.name, "namespace": ref.namespace}
            self._store.add(
                {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": about, **told}
            )


def _refusals(replica_set: Manifest, refused: str) -> list[dict[str, Any]]:
    """The condition of refused pods; kept as it is where only the refused pod's name differs."""
    if not refused:
        return []
    for one in replica_set.get("status", {}).get("conditions") or ():
        if one["message"].partition(" is ")[2] == refused.partition(" is ")[2]:
            return [one]
    return [condition_of("ReplicaFailure", met=True, reason="FailedCreate", message=refused)]


def _replicas(obj: Manifest) -> int:
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _selector(obj: Manifest) -> dict[str, str]:
    return dict((obj["spec"].get("selector") or {}).get("matchLabels") or {})


def _owner(obj: Manifest) -> dict[str, Any]:
    meta = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _digest(template: Manifest) -> str:
    return _hash(json.dumps(template, sort_keys=True))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _suffix() -> str:
    return uuid.uuid4().hex[:5]
