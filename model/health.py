"""From what a cluster shows to ready, on its way, or failed for good: pure, so that every rule is a line of a table.

How far a workload has come is decided by kstatus's rules (cli-utils, `pkg/kstatus/status/core.go`), with these
differences, each because an instance is told "ready" to a customer:

- a Job is awaited to its end (kstatus calls a started Job current);
- a StatefulSet that updates on delete or by partition needs its pods ready all the same;
- a pod that no other kstatus rule reaches fails its workload at once (`health_causes`), as does a refusal of pods;
- what may pass by itself (no node has room, a volume is not bound) is waited for, and named (`health_delays`).

Only current pods count: those that the newest template made. Pods of an old ReplicaSet or revision, pods on their
way out and pods that have ended fail nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .errors import Cause
from .health_causes import condition, explained, finished, pod_failure, refusal
from .health_delays import UNBOUND, delay
from .health_world import World, group_of, is_leaving, revision_of
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
    Watched("v1", "Event", "involvedObject.kind=PersistentVolumeClaim"),
)
"""The kinds of a watch. Events, because nothing else tells of refused pods of a StatefulSet, DaemonSet or Job, and of
why a claim is not bound."""


@dataclass(frozen=True)
class Ready:
    """Everything wanted is there and serves."""


@dataclass(frozen=True)
class Progressing:
    """Not yet ready, and nothing says that it will not be."""

    waiting_for: str
    """For people, e.g. ``Deployment web: 1 of 2 pods available``, and why, where the cluster says so."""
    cause: Cause | None = None
    """What keeps pods from coming up and may pass by itself: at the deadline, why nothing got ready."""


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
    world = World.of(objects)
    waiting: list[str] = []
    causes: list[Cause] = []
    for ref in wanted:
        rule = _RULES.get((group_of(ref.api_version), ref.kind))
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
            cause = delay(obj, world)
            causes += [cause] if cause else []
            waiting.append(f"{ref.kind} {ref.name}: {_with_reason(ref, found, cause)}")
    if not waiting:
        return Ready()
    more = f"; and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
    return Progressing("; ".join(waiting[:_SHOWN]) + more, causes[0] if causes else None)


def _with_reason(ref: Ref, found: str, cause: Cause | None) -> str:
    if cause is None:
        return found
    why = cause.message.removeprefix(f"{ref.kind} {ref.name}: ").rstrip(".")
    return why if why.startswith(found) else f"{found}: {why}"


def is_stopped(objects: Sequence[Manifest]) -> bool:
    """No pod runs or may still run: terminating ones count until they are gone, ended ones do not."""
    return not any(obj["kind"] == "Pod" and not finished(obj) for obj in objects)


Found = Cause | str
"""What a rule finds: a cause of failure, what is waited for, or (an empty string) nothing to wait for."""


def _wanted_replicas(obj: Manifest) -> int:
    replicas = obj.get("spec", {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def _count(obj: Manifest, name: str) -> int:
    return int(obj.get("status", {}).get(name) or 0)


def _unseen(obj: Manifest) -> str:
    """What holds every kind: on its way out, or its controller has not yet seen what is asked (observedGeneration)."""
    if is_leaving(obj):
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


def _deployment(obj: Manifest, world: World) -> Found:
    unseen = _unseen(obj)
    if unseen:
        return unseen
    # Each kind has a stream of its own: the newest ReplicaSet seen may be older than the Deployment seen.
    newest = world.newest_of(obj)
    if newest is not None and revision_of(newest) < revision_of(obj):
        return "its new ReplicaSet is not seen yet"
    want, updated = _wanted_replicas(obj), _count(obj, "updatedReplicas")
    owner = newest or obj
    found = (_replica_failure(owner) or _first_failure(world.dependents(owner, "Pod"))) if want else None
    if found:
        return found
    progressing = condition(obj, "Progressing")
    # Its controller goes on, and so does it once there is room: until then the delay is the better reason.
    if progressing.get("reason") == "ProgressDeadlineExceeded" and delay(obj, world) is None:
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


def _replica_failure(obj: Manifest) -> Cause | None:
    failure = condition(obj, "ReplicaFailure")
    if failure.get("status") != "True" or failure.get("reason") != "FailedCreate":
        return None
    return refusal(obj, failure.get("message", ""))


def _replica_set(obj: Manifest, world: World) -> Found:
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


def _stateful_set(obj: Manifest, world: World) -> Found:
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


def _daemon_set(obj: Manifest, world: World) -> Found:
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


def _job(obj: Manifest, world: World) -> Found:
    if is_leaving(obj):
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


def _volume_claim(obj: Manifest, world: World) -> Found:
    if is_leaving(obj):
        return "is being deleted"
    phase = obj.get("status", {}).get("phase")
    if phase == "Lost":
        fix = "restore the PersistentVolume that it names; its data is not elsewhere"
        return explained("VolumeLost", obj, "its volume is lost", "", fix)
    # A claim that binds with its first consumer cannot be told from others here: both wait only for a pod's sake.
    return "" if phase == "Bound" or not world.claimed(obj) else UNBOUND


def _pod(obj: Manifest, _world: World) -> Found:
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
    if is_leaving(obj):
        return "is being deleted"
    ready = condition(obj, "Ready").get("status") == "True"
    return pod_failure(obj) or ("" if ready else f"not ready ({phase or 'no status yet'})")


_RULES: dict[tuple[str, str], Callable[[Manifest, World], Found]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("", "PersistentVolumeClaim"): _volume_claim,
    ("", "Pod"): _pod,
}
