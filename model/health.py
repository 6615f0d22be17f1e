"""From what a cluster shows to ready, on its way, or failed for good: pure, so that every rule is a line of a table.

How far a workload has come is decided by kstatus's rules (cli-utils, `pkg/kstatus/status/core.go`), with these
differences, each because an instance is told "ready" to a customer:

- a Job is awaited to its end (kstatus calls a started Job current);
- a StatefulSet that updates on delete or by partition needs its pods ready all the same;
- a pod that no other kstatus rule reaches fails its workload at once (`health_causes`), as does a refusal of pods.

Only current pods count: those that the newest template made. Pods of an old ReplicaSet or revision, pods on their
way out and pods that have ended fail nothing. Ownership is by UID, never by labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .errors import Cause
from .health_causes import condition, explained, finished, pod_failure, refusal
from .ports import Manifest, Ref


class Watched(NamedTuple):
    """A kind that a watch shows, and the field selector that narrows it (empty: all objects)."""

    api_version: str
    kind: str
    fields: str = ""


WATCHED: tuple[Watched, ...] = (
    Watched("apps/v1", "Deployment"),
    Watched("apps/v1", "ReplicaSet"),
    Watched("apps/v1", "StatefulSet"),
    Watched("apps/v1", "DaemonSet"),
    Watched("batch/v1", "Job"),
    Watched("v1", "PersistentVolumeClaim"),
    Watched("v1", "Pod"),
    Watched("v1", "Event", "reason=FailedCreate,type=Warning"),
)
"""The kinds of a watch. Events, because refused pods of a StatefulSet, DaemonSet or Job are told nowhere else."""


@dataclass(frozen=True)
class Ready:
    """Everything wanted is there and serves."""


@dataclass(frozen=True)
class Progressing:
    """Not yet ready, and nothing says that it will not be."""

    waiting_for: str
    """For people, e.g. ``Deployment web: 1 of 2 pods available``."""


@dataclass(frozen=True)
class Failed:
    """It will not become ready without a person."""

    cause: Cause


Health = Ready | Progressing | Failed

_SHOWN = 3
"""Objects named in one `waiting_for`; the rest are counted."""


def assess(wanted: Sequence[Ref], objects: Sequence[Manifest]) -> Health:
    """How far the wanted objects have come.

    Kinds that have no readiness of their own (Services, ConfigMaps, CronJobs …) are ready at once: what is wanted
    may be a whole release. A wanted reference without a namespace means the one that `objects` are of.
    """
    world = _World.of(objects)
    waiting: list[str] = []
    for ref in wanted:
        rule = _RULES.get((_group(ref.api_version), ref.kind))
        if rule is None:
            continue
        obj = world.find(ref)
        if obj is None:
            waiting.append(f"{ref.kind} {ref.name}: not there yet")
            continue
        found = rule(obj, world)
        if isinstance(found, Cause):
            return Failed(found)
        if found:
            waiting.append(f"{ref.kind} {ref.name}: {found}")
    if not waiting:
        return Ready()
    more = f"; and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
    return Progressing("; ".join(waiting[:_SHOWN]) + more)


def is_stopped(objects: Sequence[Manifest]) -> bool:
    """No pod runs or may still run: terminating ones count until they are gone, ended ones do not."""
    return not any(obj["kind"] == "Pod" and not finished(obj) for obj in objects)


Found = Cause | str
"""What a rule finds: a cause of failure, what is waited for, or (an empty string) nothing to wait for."""


@dataclass
class _World:
    objects: Sequence[Manifest]
    named: dict[tuple[str, str, str], list[Manifest]] = field(default_factory=dict)
    owned: dict[str, list[Manifest]] = field(default_factory=dict)
    refusals: dict[str | None, list[Manifest]] = field(default_factory=dict)

    @classmethod
    def of(cls, objects: Sequence[Manifest]) -> _World:
        world = cls(objects)
        for obj in objects:
            if obj["kind"] == "Event":
                world.refusals.setdefault(obj["involvedObject"].get("uid"), []).append(obj)
                continue
            key = (_group(obj["apiVersion"]), obj["kind"], obj["metadata"]["name"])
            world.named.setdefault(key, []).append(obj)
            for owner in obj["metadata"].get("ownerReferences") or ():
                if owner.get("controller"):
                    world.owned.setdefault(owner["uid"], []).append(obj)
        return world

    def find(self, ref: Ref) -> Manifest | None:
        for obj in self.named.get((_group(ref.api_version), ref.kind, ref.name), ()):
            if ref.namespace in (None, obj["metadata"].get("namespace")):
                return obj
        return None

    def dependents(self, owner: Manifest, kind: str) -> list[Manifest]:
        """What this very object controls and is not on its way out."""
        owned = self.owned.get(owner["metadata"]["uid"], ())
        return [obj for obj in owned if obj["kind"] == kind and not _leaving(obj)]

    def claimed(self, claim: Manifest) -> bool:
        """Whether a pod that has not ended uses the volume claim."""
        name, namespace = claim["metadata"]["name"], claim["metadata"].get("namespace")
        return any(
            volume.get("persistentVolumeClaim", {}).get("claimName") == name
            for pod in self.objects
            if pod["kind"] == "Pod" and not finished(pod) and pod["metadata"].get("namespace") == namespace
            for volume in pod.get("spec", {}).get("volumes") or ()
        )

    def refused(self, owner: Manifest) -> Cause | None:
        """Why this object gets no pods, by events that are younger than what it now asks for.

        Times are whole seconds: an event of the same second counts.
        """
        asked = _asked_at(owner)
        for event in self.refusals.get(owner["metadata"]["uid"], ()):
            if _seen_at(event) >= asked:
                cause = refusal(owner, event.get("message", ""))
                if cause is not None:
                    return cause
        return None


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def _leaving(obj: Manifest) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def _asked_at(obj: Manifest) -> str:
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


def _wanted_replicas(obj: Manifest) -> int:
    replicas = obj.get("spec", {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def _count(obj: Manifest, name: str) -> int:
    return int(obj.get("status", {}).get(name) or 0)


def _unseen(obj: Manifest) -> str:
    """What holds every kind: on its way out, or its controller has not yet seen what is asked (observedGeneration)."""
    if _leaving(obj):
        return "is being deleted"
    generation = int(obj["metadata"].get("generation") or 0)
    if int(obj.get("status", {}).get("observedGeneration") or 0) < generation:
        return "its controller has not seen the change yet"
    return ""


def _first_failure(pods: Sequence[Manifest], *, crashes_count: bool = True) -> Cause | None:
    causes = (pod_failure(pod, crashes_count=crashes_count) for pod in pods if not finished(pod))
    return next((cause for cause in causes if cause is not None), None)


def _behind(*counts: tuple[int, int, str]) -> str:
    """The first count that falls short, as words."""
    return next((f"{have} of {want} pods {what}" for have, want, what in counts if have < want), "")


def _surplus(have: int, want: int) -> str:
    return f"{have - want} old pods to go" if have > want else ""


def _deployment(obj: Manifest, world: _World) -> Found:
    unseen = _unseen(obj)
    if unseen:
        return unseen
    # Each kind has a stream of its own: the newest ReplicaSet seen may be older than the Deployment seen.
    newest = max(world.dependents(obj, "ReplicaSet"), key=_revision, default=None)
    if newest is not None and _revision(newest) < _revision(obj):
        return "its new ReplicaSet is not seen yet"
    want, updated = _wanted_replicas(obj), _count(obj, "updatedReplicas")
    owner = newest or obj
    found = (_replica_failure(owner) or _first_failure(world.dependents(owner, "Pod"))) if want else None
    if found:
        return found
    progressing = condition(obj, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return explained(
            "ProgressDeadline",
            obj,
            "made no progress within its progressDeadlineSeconds",
            progressing.get("message", ""),
            "look at its pods' readiness probes and logs; give it longer in the chart where it starts slowly",
        )
    lacking = (
        _behind((updated, want, "updated"))
        or _surplus(_count(obj, "replicas"), updated)
        or _behind((_count(obj, "availableReplicas"), want, "available"), (_count(obj, "readyReplicas"), want, "ready"))
    )
    return lacking or ("not available" if condition(obj, "Available").get("status") == "False" else "")


def _revision(obj: Manifest) -> int:
    annotations = obj["metadata"].get("annotations") or {}
    return int(annotations.get("deployment.kubernetes.io/revision", 0))


def _replica_failure(obj: Manifest) -> Cause | None:
    failure = condition(obj, "ReplicaFailure")
    if failure.get("status") != "True" or failure.get("reason") != "FailedCreate":
        return None
    return refusal(obj, failure.get("message", ""))


def _replica_set(obj: Manifest, world: _World) -> Found:
    unseen = _unseen(obj)
    if unseen:
        return unseen
    want = _wanted_replicas(obj)
    found = (_replica_failure(obj) or _first_failure(world.dependents(obj, "Pod"))) if want else None
    return (
        found
        or _behind(
            (_count(obj, "fullyLabeledReplicas"), want, "labelled"),
            (_count(obj, "availableReplicas"), want, "available"),
            (_count(obj, "readyReplicas"), want, "ready"),
        )
        or _surplus(_count(obj, "replicas"), want)
    )


def _stateful_set(obj: Manifest, world: _World) -> Found:
    unseen = _unseen(obj)
    if unseen:
        return unseen
    want, have = _wanted_replicas(obj), _count(obj, "replicas")
    strategy = obj.get("spec", {}).get("updateStrategy") or {}
    on_delete = strategy.get("type") == "OnDelete"
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    pods = world.dependents(obj, "Pod")
    if not on_delete and not partition:
        pods = _labelled(pods, "controller-revision-hash", obj.get("status", {}).get("updateRevision"))
    found = (_first_failure(pods) or (world.refused(obj) if have < want else None)) if want else None
    lacking = _behind((have, want, "created"), (_count(obj, "readyReplicas"), want, "ready")) or _surplus(have, want)
    available = obj.get("status", {}).get("availableReplicas")
    if not lacking and available is not None:
        lacking = _behind((int(available), want, "available"))
    if not lacking and not on_delete:
        lacking = _behind((_count(obj, "updatedReplicas"), max(want - partition, 0), "updated"))
    if not lacking and want and not on_delete and not partition:
        same = obj["status"].get("currentRevision") == obj["status"].get("updateRevision")
        lacking = "" if same else "its update is being completed"
    return found or lacking


def _labelled(pods: Sequence[Manifest], label: str, value: object) -> list[Manifest]:
    """The pods of one revision; all where the revision is not told."""
    return [pod for pod in pods if not value or (pod["metadata"].get("labels") or {}).get(label, value) == value]


def _daemon_set(obj: Manifest, world: _World) -> Found:
    unseen = _unseen(obj)
    if unseen:
        return unseen
    if "desiredNumberScheduled" not in obj.get("status", {}):
        return "its nodes are not counted yet"
    want, have = _count(obj, "desiredNumberScheduled"), _count(obj, "currentNumberScheduled")
    on_delete = (obj["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    annotations = obj["metadata"].get("annotations") or {}
    generation = None if on_delete else annotations.get("deprecated.daemonset.template.generation")
    pods = _labelled(world.dependents(obj, "Pod"), "pod-template-generation", generation)
    return (
        _first_failure(pods)
        or (world.refused(obj) if have < want else None)
        or _behind(
            (have, want, "scheduled"),
            (want if on_delete else _count(obj, "updatedNumberScheduled"), want, "updated"),
            (_count(obj, "numberAvailable"), want, "available"),
            (_count(obj, "numberReady"), want, "ready"),
        )
    )


def _job(obj: Manifest, world: _World) -> Found:
    if _leaving(obj):
        return "is being deleted"
    for kind in ("Failed", "FailureTarget"):
        failed = condition(obj, kind)
        if failed.get("status") == "True":
            meta = obj["metadata"]
            return explained(
                "JobFailed",
                obj,
                f"failed: {failed.get('reason', 'no reason given')}",
                failed.get("message", ""),
                f"read its log: kubectl logs -n {meta['namespace']} job/{meta['name']}",
            )
    if condition(obj, "Complete").get("status") == "True" or obj.get("spec", {}).get("suspend"):
        return ""
    completions = obj.get("spec", {}).get("completions")
    done = _count(obj, "succeeded")
    found = _first_failure(world.dependents(obj, "Pod"), crashes_count=False)
    if found is None and not _count(obj, "active"):
        found = world.refused(obj)
    return found or f"{done} of {1 if completions is None else completions} pods succeeded"


def _volume_claim(obj: Manifest, world: _World) -> Found:
    if _leaving(obj):
        return "is being deleted"
    phase = obj.get("status", {}).get("phase")
    if phase == "Lost":
        fix = "restore the PersistentVolume that it names; its data is not elsewhere"
        return explained("VolumeLost", obj, "its volume is lost", "", fix)
    # A claim that binds with its first consumer cannot be told from others here: both wait only for a pod's sake.
    return "" if phase == "Bound" or not world.claimed(obj) else "not bound to a volume yet"


def _pod(obj: Manifest, _world: _World) -> Found:
    phase = obj.get("status", {}).get("phase")
    if phase == "Succeeded":
        return ""
    if phase == "Failed":
        status, meta = obj["status"], obj["metadata"]
        return explained(
            "PodFailed",
            obj,
            f"failed{': ' + status['reason'] if status.get('reason') else ''}",
            status.get("message", ""),
            f"read its log: kubectl logs -n {meta['namespace']} {meta['name']}",
        )
    if _leaving(obj):
        return "is being deleted"
    ready = condition(obj, "Ready").get("status") == "True"
    return pod_failure(obj) or ("" if ready else f"not ready ({phase or 'no status yet'})")


_RULES: dict[tuple[str, str], Callable[[Manifest, _World], Found]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("", "PersistentVolumeClaim"): _volume_claim,
    ("", "Pod"): _pod,
}
