"""What holds of an instance whenever nothing works on it, read from the rows, the cluster and Helm's storage alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from in_memory import CATALOG, World

from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.model import catalog, marks, names, surroundings
from innkeeper.model.instance import Instance, Kind, Status
from innkeeper.model.manifests import Manifest
from innkeeper.model.messages import Work
from innkeeper.model.ports import Ref
from innkeeper.model.release import Revision, State, is_settled, wish_of
from innkeeper.model.revision import STORAGE_TYPE

PLANS = catalog.parse(CATALOG, folder="").plans

OWNER = "meta.helm.sh/release-name"
USUAL = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}


class Seen(NamedTuple):
    """An instance as it stands."""

    row: Instance | None
    namespace: Manifest | None
    objects: list[Manifest]
    revisions: list[Revision]

    @classmethod
    async def of(cls, world: World, name: str) -> Seen:
        """Look at it, past all faults."""
        cluster: MemoryCluster = world.cluster.without_faults()
        return cls(
            world.database.rows.get(name),
            await cluster.get(Ref("v1", "Namespace", names.namespace_of(name))),
            await cluster.contents(names.namespace_of(name)),
            await world.revisions(name),
        )

    def of_kind(self, *kinds: str) -> list[Manifest]:
        """The objects of these kinds."""
        return [each for each in self.objects if each["kind"] in kinds]

    @property
    def replicas(self) -> dict[str, int]:
        """The wanted replicas of the workloads that are scaled."""
        return {
            f"{each['kind']} {each['metadata']['name']}": each["spec"]["replicas"]
            for each in self.of_kind("Deployment", "StatefulSet")
        }

    @property
    def pods(self) -> int:
        """Pods that are ready."""
        return len(self.of_kind("Pod"))

    @property
    def around(self) -> dict[tuple[str, str], Manifest]:
        """What Innkeeper itself made around the release, the stop's quota included."""
        return {
            (each["kind"], each["metadata"]["name"]): each["spec"]
            for each in self.of_kind("ResourceQuota", "LimitRange", "NetworkPolicy")
        }

    @property
    def deployed(self) -> str | None:
        """What the one deployed revision holds; None where Helm's storage is not settled at one."""
        newest = self.revisions[-1] if self.revisions else None
        settled = newest is not None and is_settled(self.revisions, wish_of(newest, self.revisions))
        return json.dumps(newest.manifest, sort_keys=True) if newest is not None and settled else None

    @property
    def data(self) -> dict[str, str]:
        """The customer's data: volumes and generated Secrets by kind and name, with what identifies each."""
        found = {
            f"PersistentVolumeClaim {e['metadata']['name']}": e["metadata"]["uid"]
            for e in self.of_kind("PersistentVolumeClaim")
        }
        return found | {
            f"Secret {each['metadata']['name']}": f"{each['metadata']['uid']} {json.dumps(each['data'])}"
            for each in self.of_kind("Secret")
            if marks.DATA in (each["metadata"].get("labels") or {})
        }

    @property
    def secrets(self) -> set[str]:
        """The values that must be nowhere else, in the clear and as they are stored."""
        stored = [
            value
            for each in self.of_kind("Secret")
            if marks.DATA in (each["metadata"].get("labels") or {})
            for value in each["data"].values()
        ]
        return {*stored, *(base64.b64decode(value).decode() for value in stored)}

    @property
    def as_it_was(self) -> tuple[object, ...]:
        """What an operation that is undone brings back; what stands around no release is nobody's."""
        return self.deployed, self.replicas, self.around if self.deployed else None


def wrong(seen: Seen) -> list[str]:
    """What the row says and the cluster or Helm's storage does not, and what nobody owns."""
    row = seen.row
    if row is None:
        return [
            f"{each['kind']} {each['metadata']['name']} without a row" for each in seen.of_kind("Deployment", "Pod")
        ]
    told = [f"the row says {row.status} and no operation runs"] if not row.status.settled else []
    told += [] if row.status is row.settled else [f"settled at {row.settled}"]
    told += [] if (row.cause is None) is (row.status is not Status.ERROR) else [f"{row.status} with cause {row.cause}"]
    match row.status:
        case Status.RUNNING:
            told += [*_running(seen, row), *_owned(seen)]
        case Status.STOPPED:
            told += [*_stopped(seen, row), *_owned(seen)]
        case Status.UNINSTALLED:
            told += [f"{len(seen.revisions)} revisions of what is uninstalled"] if seen.revisions else []
            told += [f"{ref} of what is uninstalled" for ref in _workloads(seen)]
        case Status.PURGED:
            told += ["the namespace of what is purged"] if seen.namespace else []
    return told


def _running(seen: Seen, row: Instance) -> list[str]:
    plan = PLANS[row.plan]
    wanted = {"Deployment": plan.values.get("replicas", 1), "StatefulSet": 1}
    found = {key.partition(" ")[0]: count for key, count in seen.replicas.items()}
    told = [] if found == wanted else [f"replicas {seen.replicas} on plan {row.plan}"]
    told += [] if seen.pods == sum(wanted.values()) else [f"{seen.pods} pods"]
    told += [] if seen.around == _around(row) else [f"around it {sorted(seen.around)} on plan {row.plan}"]
    told += ["an upgrade that waits"] if row.upgrade_pending else []
    return [*told, *_released(seen, row)]


def _stopped(seen: Seen, row: Instance) -> list[str]:
    told = [f"{seen.pods} pods of what is stopped"] if seen.pods else []
    told += [f"replicas {seen.replicas} of what is stopped"] if set(seen.replicas.values()) - {0} else []
    if ("ResourceQuota", marks.STOP_QUOTA) not in seen.around:
        told.append("no quota that holds it stopped")
    if row.upgrade_pending:
        return told
    around = {key: spec for key, spec in seen.around.items() if key[1] != marks.STOP_QUOTA}
    told += [] if around == _around(row) else [f"around it {sorted(around)} on plan {row.plan}"]
    return told + ([] if seen.deployed else ["no deployed revision to start"])


def _released(seen: Seen, row: Instance) -> list[str]:
    deployed = [each.version for each in seen.revisions if each.state is State.DEPLOYED]
    told = [] if deployed == [row.revision] else [f"row at revision {row.revision}, deployed {deployed}"]
    told += [] if seen.deployed else [f"storage {[str(each) for each in seen.revisions]}"]
    url = PLANS[row.plan].url
    wanted = url.replace("${instance.name}", row.name) if url else None
    return told + ([] if row.url == wanted else [f"the row's address is {row.url}"])


def _owned(seen: Seen) -> list[str]:
    """What stands in the namespace and belongs to nothing, or is missing."""
    newest = seen.revisions[-1] if seen.revisions else None
    wanted = {_key(manifest) for manifest in newest.manifest} if newest else set()
    live = {_key(each) for each in seen.objects if OWNER in (each["metadata"].get("annotations") or {})}
    uids = {each["metadata"]["uid"] for each in seen.objects}
    told = [f"{kind} {name} is missing" for kind, name in sorted(wanted - live)]
    told += [f"{kind} {name} is no part of the release" for kind, name in sorted(live - wanted)]
    return told + [
        f"{each['kind']} {each['metadata']['name']} is an orphan"
        for each in seen.objects
        if any(owner["uid"] not in uids for owner in each["metadata"].get("ownerReferences") or ())
        or not _accounted_for(each)
    ]


def _accounted_for(manifest: Manifest) -> bool:
    meta = manifest["metadata"]
    return bool(
        OWNER in (meta.get("annotations") or {})
        or meta.get("ownerReferences")
        or marks.INSTANCE in (meta.get("labels") or {})
        or manifest.get("type") == STORAGE_TYPE
        or manifest["kind"] == "PersistentVolumeClaim"
        or (manifest["kind"], meta["name"]) in USUAL
    )


def _key(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _workloads(seen: Seen) -> Iterable[str]:
    return (str(Ref.to(each)) for each in seen.of_kind("Deployment", "StatefulSet", "ReplicaSet", "Pod", "Service"))


def _around(row: Instance) -> Mapping[tuple[str, str], Manifest]:
    work = Work(
        request_id="any",
        kind=Kind.PROVISION,
        instance=row.name,
        tenant=row.tenant,
        plan=row.plan,
        namespace=row.namespace,
        release=row.release,
        generation=row.generation,
    )
    return {_key(each): each["spec"] for each in surroundings.around(work, PLANS[row.plan])}
