"""The world of one instance as anybody can read it: its rows, its objects and Helm's storage, told as facts.

Nothing here asks what the operation said of itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from serving import is_serving
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from innkeeper.model import marks
from innkeeper.model.instance import Instance
from innkeeper.model.messages import OperationRecord
from innkeeper.model.names import namespace_of, release_of, workflow_id_of
from innkeeper.model.ports import Cluster, Manifest, Page, Ref, Rows
from innkeeper.model.release import Revision, State, revisions_of, storage_labels
from innkeeper.model.surroundings import KINDS as AROUND_KINDS

from .scenarios import CATALOG, TENANT

FOREIGN = "somebody-elses"
"""The name of the ConfigMap that is nobody's business, in every namespace that stands when an operation begins."""

SEEN = (
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    *AROUND_KINDS,
)
"""The kinds that the charts under test and Innkeeper make."""

NONE = "none"
PARKED = SearchAttributeKey.for_bool("InnkeeperParked")
_OWNER = "meta.helm.sh/release-name"


class World(NamedTuple):
    """The facts of one instance. Words stand for what would differ from run to run."""

    status: str
    """The row's, or ``none``."""
    generation: int
    cause: bool
    """Whether the row says why."""
    plan: str
    pending: bool
    """An upgrade waits for the next start."""
    operations: tuple[str, ...]
    """Kind and outcome of each, the oldest first."""
    asked: str
    """What was decided on the questions of the last operation, e.g. ``abort by deadline``."""
    temporal: str
    """How the last operation's run ended, e.g. ``completed``; ``and parked`` where it can still be found as that."""
    agrees: str
    """What the row says of the release against the release: ``yes``, or the difference."""
    namespace: str
    """``none``, the ``same`` as before, or a ``new`` one."""
    marked: bool
    """It carries the instance's marks."""
    release: str
    """The plan of the one deployed revision, with exactly its objects; else ``none`` or the mess."""
    version: int
    """Helm's newest revision; 0: none."""
    replicas: str
    """What is wanted of each workload, e.g. ``db 1, web 2``."""
    remembered: str
    """What a start will bring back."""
    rolled: str
    """The workloads that carry the last operation's mark of a restart."""
    pods: str
    """``none``, ``all`` that are wanted, ready; or how many of how many."""
    renewed: str
    """Of the pods: the ``same`` as before, ``new`` ones, ``some`` of both; ``none``."""
    no_pods: bool
    """The stop's quota stands."""
    around: str
    """The plan whose quota, limits, policy and Pod Security stand; else ``none`` or what there is."""
    data: str
    """Volumes and generated Secrets: ``kept`` from before, kinds that were ``made``, ``none``, or what is lost."""
    foreign: str
    """What is not the instance's in its namespace: ``untouched``, ``none``, or what became of it."""
    unnamed: str
    """What the cause of an operation that left something behind does not name."""


class Snapshot(NamedTuple):
    """What identifies the objects of an instance at one moment."""

    namespace: str
    level: str
    """Of Pod Security."""
    pods: frozenset[str]
    data: Mapping[str, str]
    """Kind and name → UID and content."""
    foreign: str


class Sight(NamedTuple):
    """All objects of an instance, read once."""

    namespace: Manifest | None
    objects: Sequence[Manifest]

    def of(self, kind: str) -> list[Manifest]:
        """The objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    @property
    def pods(self) -> list[Manifest]:
        """The pods that have not done their work."""
        return [pod for pod in self.of("Pod") if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]

    def snapshot(self) -> Snapshot:
        """What identifies these objects."""
        if self.namespace is None:
            return Snapshot("", "", frozenset(), {}, "")
        meta = self.namespace["metadata"]
        made = [each for each in self.of("Secret") if marks.DATA in (each["metadata"].get("labels") or {})]
        data = {f"{each['kind']} {each['metadata']['name']}": _identity(each) for each in made}
        claims = self.of("PersistentVolumeClaim")
        data |= {f"{each['kind']} {each['metadata']['name']}": str(each["metadata"]["uid"]) for each in claims}
        theirs = [each for each in self.of("ConfigMap") if each["metadata"]["name"] == FOREIGN]
        return Snapshot(
            namespace=str(meta["uid"]),
            level=meta["labels"].get("pod-security.kubernetes.io/enforce", NONE),
            pods=frozenset(str(pod["metadata"]["uid"]) for pod in self.pods),
            data=data,
            foreign=_identity(theirs[0]) if theirs else "",
        )


async def look(cluster: Cluster, instance: str) -> Sight:
    """Read all that there is of an instance in the cluster."""
    name = namespace_of(instance)
    found = await cluster.get(Ref("v1", "Namespace", name))
    if found is None:
        return Sight(None, [])
    lists = [(version, kind, await cluster.list_objects(version, kind, namespace=name)) for version, kind in SEEN]
    return Sight(
        found, [{**each, "apiVersion": version, "kind": kind} for version, kind, all_ in lists for each in all_]
    )


async def observe(client: Client, cluster: Cluster, rows: Rows, instance: str, before: Snapshot) -> World:
    """The facts now, `before` being the moment when the operation began."""
    sight = await look(cluster, instance)
    namespace, objects, now = namespace_of(instance), sight.objects, sight.snapshot()
    row = await rows.instance(instance)
    records = (await rows.operations(Page(limit=100), instance=instance)).items[::-1]
    last = records[-1] if records else None
    labels = storage_labels(release_of(instance))
    revisions = revisions_of([each for each in objects if _has_labels(each, labels)])
    scaled = [*sight.of("Deployment"), *sight.of("StatefulSet")]
    around, no_pods = _around(objects, instance, now.level)
    return World(
        status=row.status.value if row else NONE,
        generation=row.generation if row else 0,
        cause=row is not None and row.cause is not None,
        plan=row.plan if row else NONE,
        pending=row is not None and row.upgrade_pending,
        operations=tuple(f"{each.kind} {each.outcome}" for each in records),
        asked=", ".join(f"{each.choice} by {each.operator}" for each in last.decisions) if last else "",
        temporal=await _run_of(client, instance),
        agrees=_agrees(row, revisions),
        namespace=_home(sight.namespace, before),
        marked=sight.namespace is not None and marks.is_ours(sight.namespace, instance, TENANT),
        release=_release(revisions, objects, namespace),
        version=revisions[-1].version if revisions else 0,
        replicas=_list(_short(each, instance) + f" {each['spec'].get('replicas', 1)}" for each in scaled),
        remembered=_list(_remembered(scaled, instance)),
        rolled=_list(_rolled(scaled, instance, last)),
        pods=_pods_wanted(sight.pods, scaled),
        renewed=_renewed(now.pods, before.pods),
        no_pods=no_pods,
        around=around,
        data=_data_since(now.data, before.data),
        foreign=NONE if not before.foreign else "untouched" if now.foreign == before.foreign else "gone",
        unnamed=await _unnamed(cluster, namespace, row, last),
    )


async def _run_of(client: Client, instance: str) -> str:
    try:
        found = await client.get_workflow_handle(workflow_id_of(instance)).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return NONE
        raise
    parked = found.typed_search_attributes.get(PARKED, default=False)
    return f"{found.status.name.lower() if found.status else NONE}{' and parked' if parked else ''}"


def _has_labels(manifest: Manifest, labels: Mapping[str, str]) -> bool:
    found = manifest["metadata"].get("labels") or {}
    return manifest["kind"] == "Secret" and all(found.get(name) == value for name, value in labels.items())


def _list(words: Iterable[str]) -> str:
    return ", ".join(sorted(words)) or NONE


def _short(manifest: Manifest, instance: str) -> str:
    return str(manifest["metadata"]["name"]).removeprefix(f"{instance}-")


def _identity(manifest: Manifest) -> str:
    return f"{manifest['metadata']['uid']} {json.dumps(manifest.get('data'), sort_keys=True)}"


def _data_since(now: Mapping[str, str], before: Mapping[str, str]) -> str:
    lost = [name for name, identity in before.items() if now.get(name) != identity]
    if lost and now:
        return f"lost {', '.join(lost)}"
    if lost:
        return "all lost"
    made = sorted({name.partition(" ")[0] for name in now.keys() - before.keys()})
    kept = ["kept"] if before else []
    return " and ".join([*kept, *([f"made {', '.join(made)}"] if made else [])]) or NONE


def _agrees(row: Instance | None, revisions: Sequence[Revision]) -> str:
    """Whether a row that says running tells the revision that runs and where it answers."""
    if row is None or row.status != "running":
        return "yes"
    deployed = [each.version for each in revisions if each.state is State.DEPLOYED]
    told = (row.revision, row.url)
    return "yes" if [(version, url_of(row.name)) for version in deployed] == [told] else f"{told} and {deployed}"


def url_of(instance: str) -> str:
    """Where an instance answers, on both plans."""
    return f"https://{instance}.rooms.example"


def _home(found: Manifest | None, before: Snapshot) -> str:
    """Whether the namespace is the one of before; one that is going is told apart from one that nobody deleted."""
    if found is None:
        return NONE
    word = "same" if found["metadata"]["uid"] == before.namespace else "new"
    return f"{word}, going" if found["metadata"].get("deletionTimestamp") else word


def _release(revisions: Sequence[Revision], objects: Sequence[Manifest], namespace: str) -> str:
    """The plan that is deployed; everything that does not fit, where something does not."""
    live = {Ref.to(each) for each in objects if _OWNER in (each["metadata"].get("annotations") or {})}
    states = [f"{each.version} {each.state.value}" for each in revisions]
    deployed = [each for each in revisions if each.state is State.DEPLOYED]
    if not revisions and not live:
        return NONE
    if len(deployed) != 1 or deployed[0] is not revisions[-1]:
        return f"{', '.join(states) or 'no revision'}; objects {_list(map(str, live))}"
    wanted = {Ref.to(each)._replace(namespace=namespace) for each in deployed[0].manifest}
    if wanted != live:
        return f"{', '.join(states)}; missing {_list(map(str, wanted - live))}; over {_list(map(str, live - wanted))}"
    web = next(each["spec"]["replicas"] for each in deployed[0].manifest if each["kind"] == "Deployment")
    return next((name for name, plan in CATALOG.items() if plan.web == web), f"{web} replicas")


def _remembered(scaled: Iterable[Manifest], instance: str) -> Iterable[str]:
    for each in scaled:
        text = (each["metadata"].get("annotations") or {}).get(marks.STOPPED)
        if text is not None:
            yield f"{_short(each, instance)} {json.loads(text)}"


def _rolled(scaled: Iterable[Manifest], instance: str, last: OperationRecord | None) -> Iterable[str]:
    for each in scaled:
        annotations = each["spec"]["template"].get("metadata", {}).get("annotations") or {}
        if last is not None and annotations.get(marks.RESTARTED_BY) == last.id:
            yield _short(each, instance)


def _pods_wanted(pods: Sequence[Manifest], scaled: Iterable[Manifest]) -> str:
    wanted = sum(each["spec"].get("replicas", 1) for each in scaled)
    ready = sum(is_serving(pod) for pod in pods)
    if len(pods) == ready == wanted:
        return "all" if pods else NONE
    return f"{ready} ready of {len(pods)} for {wanted}"


def _renewed(now: frozenset[str], before: frozenset[str]) -> str:
    if not now:
        return NONE
    if now == before:
        return "same"
    return "some" if now & before else "new"


def _around(objects: Iterable[Manifest], instance: str, level: str) -> tuple[str, bool]:
    """The plan whose surroundings stand, and whether the stop's quota does."""
    ours = {
        (each["kind"], each["metadata"]["name"]): each
        for each in objects
        if (each["apiVersion"], each["kind"]) in AROUND_KINDS
        and (each["metadata"].get("labels") or {}).get(marks.INSTANCE) == instance
    }
    no_pods = ours.pop(("ResourceQuota", marks.STOP_QUOTA), None) is not None
    found = {kind: each for (kind, _), each in ours.items() if kind in ("NetworkPolicy", "LimitRange", "ResourceQuota")}
    if not found:
        return NONE, no_pods
    pods = ((found.get("ResourceQuota") or {}).get("spec") or {}).get("hard", {}).get("pods")
    for name, plan in CATALOG.items():
        kinds = {"NetworkPolicy", "ResourceQuota", *(["LimitRange"] if plan.container_defaults else [])}
        if (set(found), str(pods), level) == (kinds, str(plan.pods), plan.pod_security):
            return name, no_pods
    told = (f"{kind} of {pods} pods" if kind == "ResourceQuota" else kind for kind in found)
    return f"{_list(told)}, {level}", no_pods


async def _unnamed(cluster: Cluster, namespace: str, row: Instance | None, last: OperationRecord | None) -> str:
    """What an operation left behind that its cause does not name: the release's objects, and what it made itself."""
    if last is None or last.outcome != "left_behind":
        return NONE
    told = row.cause.message if row and row.cause else ""
    return _list(
        str(Ref.to(each))
        for each in await cluster.contents(namespace)
        if _is_left(each, last) and str(Ref.to(each)) not in told
    )


def _is_left(manifest: Manifest, last: OperationRecord) -> bool:
    meta = manifest["metadata"]
    annotations, labels = meta.get("annotations") or {}, meta.get("labels") or {}
    if meta.get("ownerReferences"):
        return False  # It follows from what made it, whose annotations it may have.
    if manifest["kind"] == "PersistentVolumeClaim" or marks.DATA in labels:
        return last.kind == "purge"
    made = annotations.get(marks.CREATED_BY) == last.id
    # What was only to be marked belongs where it is.
    return made or (_OWNER in annotations and last.kind != "adopt")
