"""The world of one instance after an outage, read past every proxy, beside what its operation was meant to leave.

Nothing here asks what the operation said of itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from serving import is_serving

from innkeeper.model import marks
from innkeeper.model.instance import Instance, Status
from innkeeper.model.names import namespace_of, release_of
from innkeeper.model.ports import Cluster, Desk, Manifest, Page, Ref, Rows
from innkeeper.model.release import Revision, State, revisions_of, storage_labels

from .operations import WEB, Operation

NONE = "none"
_OWNER = "meta.helm.sh/release-name"
_HELMS = (
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
)
"""The kinds that the chart makes."""

Data = Mapping[str, str]
"""What is a customer's: kind and name → what identifies it, content included."""


class World(NamedTuple):
    """The facts of one instance."""

    status: str
    plan: str
    waits: bool
    """An upgrade waits for the next start."""
    cause: str
    generation: int
    operations: tuple[str, ...]
    """Kind and outcome of each, the oldest first."""
    workflow: str
    """Whether an operation runs."""
    namespace: str
    release: str
    """The plan of the one deployed revision, all of whose objects are there and no others; else the mess."""
    replicas: str
    remembered: str
    """What a start will bring back."""
    no_pods: bool
    """The stop's quota stands."""
    pods: str
    data: str


def meant(operation: Operation, data: Data) -> World:
    """What the operation must leave, where `data` was there before."""
    ends = operation.ends
    there, released = ends is not Status.PURGED, ends in (Status.RUNNING, Status.STOPPED)
    # A stopped instance runs what it will run until the start that applies what waits.
    runs = "starter" if operation.waits else operation.runs
    counts = f"db 1, web {WEB[runs]}"
    done = [f"{did.kind} {'superseded' if did.lost else 'done'}" for did in operation.start]
    return World(
        status=ends,
        plan=operation.runs,
        waits=operation.waits,
        cause="",
        generation=len(done) + 1,
        operations=(*done, f"{operation.kind} done"),
        workflow=NONE,
        namespace="there" if there else NONE,
        release=runs if released else NONE,
        replicas=NONE if not released else counts if ends is Status.RUNNING else "db 0, web 0",
        remembered=counts if ends is Status.STOPPED else NONE,
        no_pods=ends is Status.STOPPED,
        pods="all ready" if ends is Status.RUNNING else NONE,
        data=NONE if not there else "kept" if data else "made",
    )


async def observe(cluster: Cluster, rows: Rows, desk: Desk, instance: str, before: Data) -> World:
    """The facts now."""
    namespace = namespace_of(instance)
    row = await rows.instance(instance)
    records = (await rows.operations(Page(limit=100), instance=instance)).items[::-1]
    found = await cluster.get(Ref("v1", "Namespace", namespace))
    stored = await cluster.list_objects(
        "v1", "Secret", namespace=namespace, labels=storage_labels(release_of(instance))
    )
    objects = [
        {**each, "apiVersion": version, "kind": kind}
        for version, kind in _HELMS
        for each in await cluster.list_objects(version, kind, namespace=namespace)
    ]
    scaled = [each for each in objects if each["kind"] in ("Deployment", "StatefulSet")]
    pods = [pod for pod in await cluster.list_objects("v1", "Pod", namespace=namespace) if not _over(pod)]
    quota = await cluster.get(Ref("v1", "ResourceQuota", marks.STOP_QUOTA, namespace))
    return World(
        status=row.status if row else NONE,
        plan=row.plan if row else NONE,
        waits=row is not None and row.upgrade_pending,
        cause=row.cause.message if row and row.cause else "",
        generation=row.generation if row else 0,
        operations=tuple(f"{each.kind} {each.outcome}" for each in records),
        workflow="runs" if await desk.is_running(instance) else NONE,
        namespace=NONE if not found else "ending" if found["metadata"].get("deletionTimestamp") else "there",
        release=_release(revisions_of(stored), objects, row, namespace),
        replicas=_list(f"{_short(each, instance)} {each['spec'].get('replicas', 1)}" for each in scaled),
        remembered=_list(_remembered(scaled, instance)),
        no_pods=quota is not None,
        pods=_pods(pods, scaled),
        data=_since(await customers(cluster, instance), before),
    )


async def customers(cluster: Cluster, instance: str) -> Data:
    """What is the customer's."""
    namespace = namespace_of(instance)
    claims = await cluster.list_objects("v1", "PersistentVolumeClaim", namespace=namespace)
    secrets = await cluster.list_objects("v1", "Secret", namespace=namespace, labels={marks.DATA: "true"})
    found = {f"volume {each['metadata']['name']}": str(each["metadata"]["uid"]) for each in claims}
    return found | {
        f"secret {each['metadata']['name']}": f"{each['metadata']['uid']} {json.dumps(each.get('data'))}"
        for each in secrets
    }


def difference(found: World, must: World) -> str:
    """The facts that are not as they must be; empty where all are."""
    return "; ".join(
        f"{name} is {is_!r}, must be {must_!r}"
        for name, is_, must_ in zip(World._fields, found, must, strict=True)
        if is_ != must_
    )


def _release(revisions: Sequence[Revision], objects: Sequence[Manifest], row: Instance | None, namespace: str) -> str:
    live = {Ref.to(each) for each in objects if _OWNER in (each["metadata"].get("annotations") or {})}
    states = ", ".join(f"{each.version} {each.state.value}" for each in revisions)
    deployed = [each for each in revisions if each.state is State.DEPLOYED]
    if not revisions and not live:
        return NONE
    if len(deployed) != 1 or deployed[0] is not revisions[-1]:
        return f"revisions {states or NONE}; objects {_list(map(str, live))}"
    newest = deployed[0]
    if row is not None and row.status is Status.RUNNING and row.revision != newest.version:
        return f"revision {newest.version}, and the row says {row.revision}"
    wanted = {Ref.to(each)._replace(namespace=namespace) for each in newest.manifest}
    if wanted != live:
        return f"{states}; missing {_list(map(str, wanted - live))}; over {_list(map(str, live - wanted))}"
    web = next(each["spec"]["replicas"] for each in newest.manifest if each["kind"] == "Deployment")
    return next((plan for plan, count in WEB.items() if count == web), f"{web} replicas")


def _list(words: Iterable[str]) -> str:
    return ", ".join(sorted(words)) or NONE


def _short(manifest: Manifest, instance: str) -> str:
    return str(manifest["metadata"]["name"]).removeprefix(f"{instance}-")


def _over(pod: Manifest) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _remembered(scaled: Iterable[Manifest], instance: str) -> Iterable[str]:
    for each in scaled:
        text = (each["metadata"].get("annotations") or {}).get(marks.STOPPED)
        if text is not None:
            yield f"{_short(each, instance)} {json.loads(text)}"


def _pods(pods: Sequence[Manifest], scaled: Iterable[Manifest]) -> str:
    wanted = sum(each["spec"].get("replicas", 1) for each in scaled)
    ready = sum(is_serving(pod) for pod in pods)
    if len(pods) == ready == wanted:
        return "all ready" if pods else NONE
    return f"{ready} ready of {len(pods)} for {wanted}"


def _since(now: Data, before: Data) -> str:
    lost = sorted(name for name, identity in before.items() if now.get(name) != identity)
    if not now:
        return NONE
    if lost:
        return f"lost {', '.join(lost)}"
    return "kept" if before else "made"
