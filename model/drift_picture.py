"""A picture of the fleet: which objects a reconcile lists, and the little that it keeps of each.

Lists over all namespaces cost so many calls to the API server, however many instances there are. Of a stored revision
only what is compared is kept, of a Secret only its keys' names and who wrote them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from . import marks
from .errors import Permanent
from .health_world import asked_at, is_leaving
from .manifests import Manifest
from .revision import STORAGE_TYPE, Revision, State, described

OURS = f"{marks.MANAGED_BY}={marks.MANAGER}"
HELMS = f"{marks.MANAGED_BY}=Helm"
SCALED = ("Deployment", "StatefulSet")
TEMPLATED = (*SCALED, "DaemonSet", "CronJob")
"""The kinds of workloads that are compared."""

AUTOSCALERS = ("autoscaling/v2", "HorizontalPodAutoscaler")


class Look(NamedTuple):
    """One list: a kind's objects that a label selector and a field selector choose."""

    api_version: str
    kind: str
    labels: str = ""
    fields: str = ""
    names_only: bool = False
    """Nothing but their metadata is needed."""


NAMESPACES = Look("v1", "Namespace", OURS)

LOOKS: tuple[Look, ...] = (
    NAMESPACES,
    Look("v1", "Secret", "owner=helm,status!=superseded"),
    Look("v1", "Secret", OURS),
    Look("v1", "ResourceQuota", OURS),
    Look("v1", "LimitRange", OURS),
    Look("networking.k8s.io/v1", "NetworkPolicy", OURS),
    Look("apps/v1", "Deployment", HELMS),
    Look("apps/v1", "StatefulSet", HELMS),
    Look("apps/v1", "DaemonSet", HELMS),
    Look("batch/v1", "CronJob", HELMS),
    # Made by hand as often as by charts.
    Look(*AUTOSCALERS),
    Look("v1", "Pod", fields="status.phase!=Succeeded,status.phase!=Failed", names_only=True),
    Look("v1", "PersistentVolumeClaim", names_only=True),
    Look("v1", "PersistentVolume"),
)
"""All that a reconcile lists."""


_PODS = Look("v1", "Pod", fields="status.phase!=Succeeded,status.phase!=Failed")
_CLAIMS = Look("v1", "PersistentVolumeClaim")

CLOSE_LOOKS: tuple[Look, ...] = (
    *(look for look in LOOKS if look.kind not in (_PODS.kind, _CLAIMS.kind)),
    _PODS,
    _CLAIMS,
    Look("apps/v1", "ReplicaSet"),
    Look("v1", "Event"),
)
"""All that is listed of one instance's namespace: what says why pods are not ready, too."""

_ONLY_TELLING = frozenset({"ReplicaSet", "Event"})
_TELLING = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Pod", "PersistentVolumeClaim", *_ONLY_TELLING})
"""The kinds by which that is told."""


class Counts(NamedTuple):
    """How many pods of a workload are ready."""

    wanted: int
    ready: int
    asked_at: str
    """When somebody last wrote what it asks for, as the API server writes times."""

    @classmethod
    def of(cls, manifest: Manifest) -> Counts | None:
        """A live workload's; None of kinds that only start others, and where its controller has not looked yet."""
        status, meta = manifest.get("status") or {}, manifest["metadata"]
        if int(status.get("observedGeneration") or 0) < int(meta.get("generation") or 1) or is_leaving(manifest):
            return None
        if manifest["kind"] == "DaemonSet":
            wanted, ready = status.get("desiredNumberScheduled"), status.get("numberReady")
        elif manifest["kind"] in SCALED:
            wanted, ready = (manifest.get("spec") or {}).get("replicas", 1), status.get("readyReplicas")
        else:
            return None
        return cls(int(wanted or 0), int(ready or 0), asked_at(manifest))


def owner_of(pod: Manifest) -> tuple[str, str] | None:
    """Kind and name of the workload whose pod it is: a Deployment's belong to a ReplicaSet that is named after it."""
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            kind, name = str(owner["kind"]), str(owner["name"])
            return ("Deployment", name.rpartition("-")[0]) if kind == "ReplicaSet" else (kind, name)
    return None


class Workload(NamedTuple):
    """What of a workload is compared."""

    kind: str
    name: str
    replicas: int | None
    """None of kinds that have none."""
    images: tuple[tuple[str, str], ...]
    """Container and image, in the order of the containers' names."""

    @classmethod
    def of(cls, manifest: Manifest) -> Workload:
        """The workload that a manifest, rendered or live, describes."""
        spec = manifest.get("spec") or {}
        template = (spec.get("jobTemplate") or {}).get("spec") or {} if manifest["kind"] == "CronJob" else spec
        pod = (template.get("template") or {}).get("spec") or {}
        containers = [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]
        return cls(
            manifest["kind"],
            manifest["metadata"]["name"],
            spec.get("replicas", 1) if manifest["kind"] in SCALED else None,
            tuple(sorted((str(each.get("name")), str(each.get("image"))) for each in containers)),
        )

    def other_images(self, live: Workload) -> list[tuple[str, str]]:
        """The containers that have another image, or none, live. What only the live one has was injected."""
        found = dict(live.images)
        return [(name, image) for name, image in self.images if found.get(name) != image]

    def is_changed(self, live: Workload, autoscaled: Collection[tuple[str, str]]) -> bool:
        """Whether somebody scaled it, or gave it another image; what is autoscaled may have any number of replicas."""
        scaled = self.replicas != live.replicas and (self.kind, self.name) not in autoscaled
        return scaled or bool(self.other_images(live))


def scaled_by(autoscaler: Manifest) -> tuple[str, str]:
    """Kind and name of what an autoscaler scales."""
    target = (autoscaler.get("spec") or {}).get("scaleTargetRef") or {}
    return str(target.get("kind")), str(target.get("name"))


class Stored(NamedTuple):
    """What of a stored revision is compared."""

    release: str
    version: int
    state: State
    mark: str
    """What was wanted of it, as its label says; empty where somebody else made the release."""
    ours: bool
    """An operation made it, by an upgrade or a rollback; False where its description says otherwise."""
    chart: str
    chart_version: str
    workloads: tuple[Workload, ...]
    failed_hooks: tuple[str, ...]
    broken: str = ""
    """Why its record cannot be read."""

    @classmethod
    def of(cls, secret: Manifest) -> Stored:
        """The revision that a Secret of Helm's storage holds, whatever state it is in."""
        try:
            revision = Revision.of(secret)
        except Permanent as error:
            name = (secret["metadata"].get("labels") or {}).get("name") or secret["metadata"]["name"]
            return cls(str(name), 0, State.UNKNOWN, "", False, "", "", (), (), error.cause.message)
        facts = (revision.release, revision.version, revision.state, revision.mark)
        try:
            rolled_back = revision.description.startswith("Rollback to ")
            return cls(
                *facts,
                bool(revision.mark) and (rolled_back or revision.description == described(revision.mark)),
                revision.chart,
                revision.chart_version,
                tuple(Workload.of(each) for each in revision.manifest if each["kind"] in TEMPLATED),
                revision.failed_hooks,
            )
        except Permanent as error:
            return cls(*facts, False, "", "", (), (), error.cause.message)


class Keys(NamedTuple):
    """What of a Secret is looked at: never a value."""

    names: frozenset[str]
    others: Mapping[str, str]
    """Key → who wrote it, of those that not Innkeeper wrote, nor anybody before it adopted the Secret as it was."""

    @classmethod
    def of(cls, secret: Manifest) -> Keys:
        """The names of its keys, and who wrote them as far as the API server says."""
        written = secret["metadata"].get("managedFields") or []
        adopted = max((str(entry.get("time")) for entry in written if _adopts(entry)), default="")
        others = {
            key.removeprefix("f:"): str(entry.get("manager"))
            for entry in written
            if entry.get("manager") != marks.MANAGER and (not adopted or str(entry.get("time")) > adopted)
            for key in (entry.get("fieldsV1") or {}).get("f:data") or {}
            if key != "."
        }
        return cls(frozenset(secret.get("data") or {}), others)


def _adopts(entry: Manifest) -> bool:
    """Whether a manager's entry is Innkeeper's, and the mark of an adoption is among its fields."""
    fields = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {}
    return entry.get("manager") == marks.MANAGER and f"f:{marks.ADOPTED_BY}" in fields


class Volume(NamedTuple):
    """A volume whose claim is gone."""

    name: str
    namespace: str
    claim: str


@dataclass
class Home:
    """What is in one namespace."""

    name: str
    namespace: Manifest | None = None
    """The namespace itself, None where it carries no mark of ours."""
    revisions: list[Stored] = field(default_factory=list)
    secrets: dict[str, Keys] = field(default_factory=dict)
    around: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    """Quotas, limits and policies of ours, by kind and name."""
    workloads: dict[tuple[str, str], Workload] = field(default_factory=dict)
    """By kind and name."""
    autoscaled: set[tuple[str, str]] = field(default_factory=set)
    """Kind and name of what an autoscaler scales."""
    pods: list[str] = field(default_factory=list)
    """Those that run or may still run."""
    counts: dict[tuple[str, str], Counts] = field(default_factory=dict)
    """By the workload's kind and name."""
    newest_pod: dict[tuple[str, str], str] = field(default_factory=dict)
    """When a workload's newest pod was made, by its kind and name."""
    objects: list[Manifest] = field(default_factory=list)
    """What tells why pods are not ready, as it was listed; empty where nobody looked closely."""
    claims: list[str] = field(default_factory=list)


class Picture:
    """What was listed, by namespace.

    Args:
        known: stored revisions of an earlier picture, by `known` of that: what did not change is not unpacked again.
        close: whether objects are kept that tell why pods are not ready, of one instance's.
    """

    def __init__(self, known: Mapping[str, Stored] | None = None, *, close: bool = False) -> None:
        self._close = close
        self.homes: dict[str, Home] = {}
        self.volumes: list[Volume] = []
        self.known: dict[str, Stored] = {}
        self._earlier = known or {}

    def home(self, namespace: str) -> Home:
        """What is in a namespace, empty where nothing is."""
        return self.homes.setdefault(namespace, Home(namespace))

    def take(self, page: Iterable[Manifest]) -> None:
        """Keep of each object what is compared."""
        for manifest in page:
            self._take(manifest)

    def _take(self, manifest: Manifest) -> None:
        kind, meta = manifest["kind"], manifest["metadata"]
        name = meta["name"]
        if kind == "Namespace":
            self.home(name).namespace = _slim(manifest)
            return
        if kind == "PersistentVolume":
            self._take_volume(manifest)
            return
        home = self.home(meta["namespace"])
        if self._close and kind in _TELLING:
            home.objects.append(manifest)
        if kind == "Pod":
            _take_pod(home, manifest)
        elif kind in TEMPLATED:
            _take_workload(home, manifest)
        elif kind not in _ONLY_TELLING:
            self._take_beside(home, manifest)

    def _take_beside(self, home: Home, manifest: Manifest) -> None:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        match kind:
            case "Secret" if manifest.get("type") == STORAGE_TYPE:
                home.revisions.append(self._stored(manifest))
            case "Secret":
                home.secrets[name] = Keys.of(manifest)
            case "HorizontalPodAutoscaler":
                home.autoscaled.add(scaled_by(manifest))
            case "PersistentVolumeClaim":
                home.claims.append(name)
            case _:
                home.around[kind, name] = _slim(manifest)

    def _take_volume(self, manifest: Manifest) -> None:
        claim = (manifest.get("spec") or {}).get("claimRef") or {}
        namespace = str(claim.get("namespace", ""))
        going = manifest["metadata"].get("deletionTimestamp")
        if not going and (manifest.get("status") or {}).get("phase") == "Released":
            self.volumes.append(Volume(manifest["metadata"]["name"], namespace, str(claim.get("name"))))

    def _stored(self, secret: Manifest) -> Stored:
        key = f"{secret['metadata']['uid']}/{secret['metadata']['resourceVersion']}"
        self.known[key] = found = self._earlier.get(key) or Stored.of(secret)
        return found


def _slim(manifest: Manifest) -> Manifest:
    """Without who wrote its fields, which is most of it, and is compared of Secrets only."""
    kept = {key: what for key, what in manifest["metadata"].items() if key != "managedFields"}
    return {**manifest, "metadata": kept}


def _take_pod(home: Home, pod: Manifest) -> None:
    meta = pod["metadata"]
    home.pods.append(meta["name"])
    if owner := owner_of(pod):
        home.newest_pod[owner] = max(str(meta.get("creationTimestamp", "")), home.newest_pod.get(owner, ""))


def _take_workload(home: Home, manifest: Manifest) -> None:
    key = (manifest["kind"], manifest["metadata"]["name"])
    home.workloads[key] = Workload.of(manifest)
    if counts := Counts.of(manifest):
        home.counts[key] = counts
