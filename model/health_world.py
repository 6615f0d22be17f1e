"""What a cluster shows of one namespace, so that a rule of health finds whose pods, events and claims are whose.

Ownership is by UID, never by labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .errors import Cause
from .health_causes import finished, refusal
from .ports import Manifest, Ref


@dataclass
class World:
    """The objects of a watch, found by name, by owner and by whom an event is about."""

    objects: Sequence[Manifest]
    named: dict[tuple[str, str, str], list[Manifest]] = field(default_factory=dict)
    owned: dict[str, list[Manifest]] = field(default_factory=dict)
    events: dict[str | None, list[Manifest]] = field(default_factory=dict)

    @classmethod
    def of(cls, objects: Sequence[Manifest]) -> World:
        """The world of these objects, which may be of any kinds."""
        world = cls(objects)
        for obj in objects:
            if obj["kind"] == "Event":
                world.events.setdefault(obj["involvedObject"].get("uid"), []).append(obj)
                continue
            key = (group_of(obj["apiVersion"]), obj["kind"], obj["metadata"]["name"])
            world.named.setdefault(key, []).append(obj)
            for owner in obj["metadata"].get("ownerReferences") or ():
                if owner.get("controller"):
                    world.owned.setdefault(owner["uid"], []).append(obj)
        return world

    def find(self, ref: Ref) -> Manifest | None:
        """The object that a reference names; one without a namespace means any."""
        for obj in self.named.get((group_of(ref.api_version), ref.kind, ref.name), ()):
            if ref.namespace in (None, obj["metadata"].get("namespace")):
                return obj
        return None

    def dependents(self, owner: Manifest, kind: str) -> list[Manifest]:
        """What this very object controls and is not on its way out."""
        owned = self.owned.get(owner["metadata"]["uid"], ())
        return [obj for obj in owned if obj["kind"] == kind and not is_leaving(obj)]

    def newest_of(self, deployment: Manifest) -> Manifest | None:
        """The ReplicaSet of a Deployment's newest revision, as far as it is seen."""
        return max(self.dependents(deployment, "ReplicaSet"), key=revision_of, default=None)

    def pods_of(self, obj: Manifest) -> list[Manifest]:
        """The pods by which a workload is to come up: a pod is its own, a Deployment's are its newest ReplicaSet's."""
        if obj["kind"] == "Pod":
            return [obj]
        owner = self.newest_of(obj) if obj["kind"] == "Deployment" else obj
        return [] if owner is None else self.dependents(owner, "Pod")

    def claimed(self, claim: Manifest) -> bool:
        """Whether a pod that has not ended uses the volume claim."""
        name, namespace = claim["metadata"]["name"], claim["metadata"].get("namespace")
        return any(
            volume.get("persistentVolumeClaim", {}).get("claimName") == name
            for pod in self.objects
            if pod["kind"] == "Pod" and not finished(pod) and pod["metadata"].get("namespace") == namespace
            for volume in pod.get("spec", {}).get("volumes") or ()
        )

    def told_last(self, about: Manifest) -> str:
        """What the newest event about an object says; empty where there is none."""
        events = self.events.get(about["metadata"]["uid"], ())
        return str(max(events, key=_seen_at, default={}).get("message", ""))

    def refused(self, owner: Manifest) -> Cause | None:
        """Why this object gets no pods, by events that are younger than what it now asks for.

        Times are whole seconds: an event of the same second counts.
        """
        asked = asked_at(owner)
        for event in self.events.get(owner["metadata"]["uid"], ()):
            if event.get("reason") == "FailedCreate" and _seen_at(event) >= asked:
                cause = refusal(owner, event.get("message", ""))
                if cause is not None:
                    return cause
        return None


def group_of(api_version: str) -> str:
    """The API group, empty of the core's."""
    return api_version.rpartition("/")[0]


def revision_of(obj: Manifest) -> int:
    """The revision of a Deployment, or of a ReplicaSet of one."""
    annotations = obj["metadata"].get("annotations") or {}
    return int(annotations.get("deployment.kubernetes.io/revision", 0))


def is_leaving(obj: Manifest) -> bool:
    """It is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def asked_at(obj: Manifest) -> str:
    """When somebody last wrote what the object asks for (RFC 3339, so that texts compare as times do)."""
    meta = obj["metadata"]
    writes = [
        str(entry["time"])
        for entry in meta.get("managedFields") or ()
        if entry.get("subresource") != "status" and entry.get("time")
    ]
    return max(writes, default=str(meta.get("creationTimestamp", "")))


def _seen_at(event: Manifest) -> str:
    """When the event was last seen, cut to the second: `eventTime` and `series` have fractions."""
    series = event.get("series") or {}
    times = (event.get("lastTimestamp"), series.get("lastObservedTime"), event.get("eventTime"))
    return max((str(time)[:19] + "Z" for time in times if time), default="")
