"""What an API server keeps, in memory: objects with UIDs, versions and generations, owners, finalizers, namespaces.

Stored objects are never changed in place: a write puts a new dictionary, so whoever holds an older one keeps it whole.
"""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..model.ports import Manifest, Ref

KINDS: dict[tuple[str, str], bool] = {
    ("v1", "Namespace"): False,
    ("v1", "Node"): False,
    ("v1", "PersistentVolume"): False,
    ("v1", "ConfigMap"): True,
    ("v1", "Event"): True,
    ("v1", "LimitRange"): True,
    ("v1", "PersistentVolumeClaim"): True,
    ("v1", "Pod"): True,
    ("v1", "ReplicationController"): True,
    ("v1", "ResourceQuota"): True,
    ("v1", "Secret"): True,
    ("v1", "Service"): True,
    ("v1", "ServiceAccount"): True,
    ("apps/v1", "ControllerRevision"): True,
    ("apps/v1", "DaemonSet"): True,
    ("apps/v1", "Deployment"): True,
    ("apps/v1", "ReplicaSet"): True,
    ("apps/v1", "StatefulSet"): True,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): True,
    ("batch/v1", "CronJob"): True,
    ("batch/v1", "Job"): True,
    ("networking.k8s.io/v1", "Ingress"): True,
    ("networking.k8s.io/v1", "NetworkPolicy"): True,
    ("policy/v1", "PodDisruptionBudget"): True,
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): False,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): False,
    ("rbac.authorization.k8s.io/v1", "Role"): True,
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): True,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): False,
}
"""The kinds there are, and whether their objects live in namespaces."""

COUNTED = frozenset(
    {
        "DaemonSet",
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "CronJob",
        "Job",
        "HorizontalPodAutoscaler",
        "Ingress",
        "NetworkPolicy",
        "PodDisruptionBudget",
    }
)
"""The kinds whose generation counts the changes of what they ask for."""


class Key(NamedTuple):
    """Where an object stands."""

    group: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, ref: Ref) -> Key:
        """The place of what is referred to; cluster-wide kinds stand in no namespace."""
        namespaced = KINDS.get((ref.api_version, ref.kind), True)
        group = ref.api_version.rpartition("/")[0]
        return cls(group, ref.kind, (ref.namespace or "") if namespaced else "", ref.name)


class Store:
    """The objects of one cluster. `settle` runs after each change from outside, with the namespace it was in."""

    def __init__(self) -> None:
        self._objects: dict[Key, Manifest] = {}
        self._version = 1
        self._changes: dict[str, int] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self.settle: Callable[[str], None] = lambda _namespace: None

    def get(self, ref: Ref) -> Manifest | None:
        """The object as it is stored."""
        return self._objects.get(Key.of(ref))

    def select(self, kind: str | None = None, *, namespace: str | None = None) -> list[Manifest]:
        """The objects of a kind and a namespace (None: any), in the order of their names, as an API server has it."""
        keys = sorted(
            key
            for key in self._objects
            if (kind is None or key.kind == kind) and (namespace is None or key.namespace == namespace)
        )
        return [self._objects[key] for key in keys]

    def owned(self, owner: Manifest, kind: str) -> list[Manifest]:
        """What an object controls, of one kind."""
        uid = owner["metadata"]["uid"]
        return [obj for obj in self.select(kind, namespace=owner["metadata"]["namespace"]) if uid in _owners(obj)]

    def add(self, manifest: Manifest) -> Manifest:
        """Store a new object."""
        obj = self.admitted(manifest)
        self._put(obj)
        return obj

    def admitted(self, manifest: Manifest) -> Manifest:
        """A new object as the API server would show it, not stored."""
        obj = copy.deepcopy(manifest)
        meta = obj["metadata"]
        meta["uid"] = str(uuid.uuid4())
        meta["creationTimestamp"] = timestamp()
        meta["resourceVersion"] = str(self._version)
        if obj["kind"] in COUNTED:
            meta["generation"] = 1
        if not KINDS.get((obj["apiVersion"], obj["kind"]), True):
            meta.pop("namespace", None)
        if obj["kind"] == "Namespace":
            obj["spec"] = {"finalizers": ["kubernetes"]}
            obj["status"] = {"phase": "Active"}
            meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta["name"]
        return obj

    def change(self, before: Manifest, after: Manifest) -> Manifest:
        """Store an object's next state; the same object where nothing changed. May be its last (finalizers)."""
        after = copy.deepcopy(after)
        if after == before:
            return before
        if after["kind"] in COUNTED and after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] = before["metadata"]["generation"] + 1
        self._put(after)
        if after["metadata"].get("deletionTimestamp"):
            self._finalize(after)
        return after

    def set_status(self, obj: Manifest, **status: Any) -> Manifest:
        """Store fields of the status, which is no change of what is asked for."""
        return self.change(obj, {**obj, "status": {**obj.get("status", {}), **status}})

    def remove(self, obj: Manifest) -> None:
        """Begin an object's deletion, and finish it unless something holds it."""
        meta = obj["metadata"]
        if not meta.get("deletionTimestamp"):
            obj = {**obj, "metadata": {**meta, "deletionTimestamp": timestamp()}}
            if obj["kind"] == "Namespace":
                obj["status"] = {"phase": "Terminating"}
            self._put(obj)
        self._finalize(obj)

    def forget(self, obj: Manifest) -> None:
        """An object is gone; what it owned goes, too."""
        key, meta = Key.of(Ref.to(obj)), obj["metadata"]
        found = self._objects.get(key)
        if found is None or found["metadata"]["uid"] != meta["uid"]:
            return
        del self._objects[key]
        self._touch(key.namespace)
        for other in self.select():
            if meta["uid"] in _owners(other):
                self.remove(other)
        holder = self.get(Ref("v1", "Namespace", key.namespace)) if key.namespace else None
        if holder is not None and holder["metadata"].get("deletionTimestamp"):
            self._finalize(holder)

    def changes(self, namespace: str) -> int:
        """How many changes there were in a namespace."""
        return self._changes.get(namespace, 0)

    async def changed(self, namespace: str) -> None:
        """Return at the next change in a namespace."""
        await self._wakes.setdefault(namespace, asyncio.Event()).wait()

    def _put(self, obj: Manifest) -> None:
        self._version += 1
        obj["metadata"] = {**obj["metadata"], "resourceVersion": str(self._version)}
        key = Key.of(Ref.to(obj))
        self._objects[key] = obj
        self._touch(key.namespace)

    def _touch(self, namespace: str) -> None:
        self._changes[namespace] = self._changes.get(namespace, 0) + 1
        wake = self._wakes.pop(namespace, None)
        if wake is not None:
            wake.set()

    def _finalize(self, obj: Manifest) -> None:
        if obj["kind"] == "Namespace":
            name = obj["metadata"]["name"]
            for inside in self.select(namespace=name):
                if not inside["metadata"].get("deletionTimestamp"):
                    self.remove(inside)
            left = self.select(namespace=name)
            if left:
                status = {**obj.get("status", {}), "conditions": _what_holds(left)}
                if status != obj.get("status"):
                    self._put({**obj, "status": status})
                return
        delay = _stops_after(obj)
        if obj["metadata"].get("finalizers"):
            return
        if delay:
            asyncio.get_running_loop().call_later(delay, self._stopped, obj)
        else:
            self.forget(obj)

    def _stopped(self, obj: Manifest) -> None:
        self.forget(obj)
        self.settle(obj["metadata"].get("namespace", ""))


def timestamp() -> str:
    """Now, as the API server writes it: to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> float:
    """A Go duration of one unit, as the simulated nodes' annotations have it: ``300ms``, ``5s``, ``1m``."""
    unit = text.lstrip("0123456789.")
    return float(text.removesuffix(unit)) * {"ms": 0.001, "s": 1.0, "m": 60.0}[unit]


def _stops_after(obj: Manifest) -> float:
    annotations = obj["metadata"].get("annotations") or {}
    return seconds(annotations.get("kwok.innkeeper.dev/stops-after", "0s")) if obj["kind"] == "Pod" else 0.0


def _owners(obj: Manifest) -> Iterator[str]:
    return (owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ())


def _what_holds(left: Sequence[Manifest]) -> list[Manifest]:
    """What a namespace that is being deleted says of the objects in it, as the namespace controller puts it."""
    held = Counter(each for obj in left for each in obj["metadata"].get("finalizers") or ())
    told = ", ".join(f"{name} in {number} resource instances" for name, number in sorted(held.items()))
    message = f"Some content in the namespace has finalizers remaining: {told}"
    return [{"type": "NamespaceFinalizersRemaining", "status": "True", "message": message}] if held else []
