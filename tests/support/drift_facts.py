"""A fleet in short words: rows, plans, and what a cluster would list of an instance of the plan `starter`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from innkeeper.model import catalog, drift, marks, surroundings, wishes
from innkeeper.model.drift_around import work_of
from innkeeper.model.drift_picture import Picture
from innkeeper.model.findings import Finding, Looked, Reconciled
from innkeeper.model.instance import Instance, Status
from innkeeper.model.manifests import write_yaml
from innkeeper.model.ports import Manifest
from innkeeper.model.revision import MARK_LABEL, STORAGE_TYPE, described, pack

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DIGEST = "content"
PLANS: dict[str, Any] = {
    "starter": {
        "chart": {"path": "room"},
        "values": {"url": "${instance.name}"},
        "secrets": [{"name": "credentials", "generate": {"password": 24}}, {"name": "licence", "copy": "ours"}],
        "quota": {"pods": 10, "requests.cpu": "2"},
        "container_defaults": {"default": {"cpu": "500m"}},
    }
}


def row(name: str = "acme", **other: Any) -> Instance:
    told = {
        "tenant": "t1",
        "plan": "starter",
        "namespace": f"inn-{name}",
        "release": name,
        "status": Status.RUNNING,
        "generation": 3,
        "revision": 1,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Instance(name=name, **{**told, **other})


def workload(kind: str, name: str, replicas: int | None = 1, namespace: str = "inn-acme", **images: str) -> Manifest:
    containers = [{"name": each, "image": image} for each, image in (images or {"main": f"{name}:1"}).items()]
    pod = {"spec": {"containers": containers}}
    spec: Manifest = {"jobTemplate": {"spec": {"template": pod}}} if kind == "CronJob" else {"template": pod}
    if replicas is not None:
        spec["replicas"] = replicas
    version = "batch/v1" if kind == "CronJob" else "apps/v1"
    meta = {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}


WEB, DB = workload("Deployment", "web", 2), workload("StatefulSet", "db")


def stored(
    of: Instance,
    version: int = 1,
    state: str = "deployed",
    *,
    said: str | None = None,
    mark: str | None = None,
    manifests: Sequence[Manifest] = (WEB, DB),
    **record: Any,
) -> Manifest:
    """A Secret of Helm's storage; by default that of what the plan wants."""
    plan = catalog.parse({"plans": PLANS}, folder="").plans.get(of.plan)
    if mark is None:
        assert plan is not None
        mark = wishes.wanted_release(work_of(of), plan, chart_digest=DIGEST, secret_values={}).mark
    content = {
        "manifest": "---\n".join(write_yaml(each) + "\n" for each in manifests),
        "info": {"description": described(mark) if said is None else said},
        "chart": {"metadata": {"name": "room", "version": "0.1.0"}},
        **record,
    }
    labels = {"owner": "helm", "name": of.release, "status": state, "version": str(version), MARK_LABEL: mark}
    meta = {
        "name": f"sh.helm.release.v1.{of.release}.v{version}",
        "namespace": of.namespace,
        "labels": labels,
        "uid": f"uid-{of.name}-{version}",
        "resourceVersion": "1",
    }
    return {"kind": "Secret", "type": STORAGE_TYPE, "metadata": meta, "data": {"release": pack(content)}}


def secret(name: str, *keys: str, namespace: str = "inn-acme", by: str = marks.MANAGER) -> Manifest:
    fields: Manifest = {"f:data": {".": {}, **{f"f:{key}": {} for key in keys}}}
    managed = [{"manager": by, "fieldsV1": fields}, {"manager": "nobody", "fieldsV1": {"f:metadata": {}}}]
    meta = {"name": name, "namespace": namespace, "managedFields": managed}
    return {"kind": "Secret", "type": "Opaque", "metadata": meta, "data": dict.fromkeys(keys, "c2VjcmV0")}


def pod(name: str = "web-1", namespace: str = "inn-acme") -> Manifest:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}}


def home(of: Instance) -> list[Manifest]:
    """Everything that a cluster lists of an instance which is as it should be."""
    plan = catalog.parse({"plans": PLANS}, folder="").plan("starter")
    work = work_of(of)
    stopped = [surroundings.no_pods(work)] if of.status is Status.STOPPED else []
    scaled = [
        workload("Deployment", "web", 0 if stopped else 2, of.namespace),
        workload("StatefulSet", "db", 0 if stopped else 1, of.namespace),
    ]
    return [
        surroundings.namespace(work, plan),
        *surroundings.around(work, plan),
        *stopped,
        secret("credentials", "password", namespace=of.namespace),
        secret("licence", "token", namespace=of.namespace),
        *([] if of.status is Status.UNINSTALLED else [stored(of), *scaled]),
        *([pod(namespace=of.namespace)] if of.status is Status.RUNNING else []),
    ]


@dataclass
class Case:
    """Rows over objects, judged."""

    rows: list[Instance]
    objects: list[Manifest]
    plans: dict[str, Any] = field(default_factory=lambda: dict(PLANS))
    running: frozenset[str] = frozenset()
    digests: dict[str, str] = field(default_factory=lambda: {"starter": DIGEST})
    only: str | None = None
    open_on: tuple[str, ...] = ()

    def judge(self) -> tuple[list[Looked], list[Finding], Reconciled]:
        picture = Picture(close=self.only is not None)
        picture.take(self.objects)
        plans = catalog.parse({"plans": self.plans}, folder="")
        fleet = drift.Fleet(
            self.rows, picture, plans, running=self.running, digests=self.digests, now=NOW, only=self.only
        )
        return fleet.judge(self.open_on)

    def found(self) -> list[Finding]:
        return self.judge()[1]

    def kinds(self) -> list[str]:
        return sorted(each.what.value for each in self.found())

    def one(self) -> Finding:
        (found,) = self.found()
        return found


def changed(objects: list[Manifest], kind: str, name: str, **fields: Any) -> list[Manifest]:
    """The objects with one of them changed; without it where nothing is given."""
    kept = [each for each in objects if (each["kind"], each["metadata"]["name"]) != (kind, name)]
    (old,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return [*kept, *([{**old, **fields}] if fields else [])]
