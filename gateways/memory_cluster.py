"""A Kubernetes cluster in memory, held to the same contract tests as the real one, which can fail at any call."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from ..model.errors import AlreadyExists, BadInput, Conflict, Forbidden, Permanent
from ..model.health import WATCHED
from ..model.ports import Manifest, Ref, Watch
from .faults import Faults
from .memory_controllers import Controllers, quota_refusal
from .memory_rights import allows, demand
from .memory_store import KINDS, Key, Store

VERSION = "v1.36.3"

_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_TEMPLATED = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"})
_STATUS_APART = frozenset({*_TEMPLATED, "Namespace", "Pod", "PersistentVolumeClaim", "ResourceQuota", "CronJob"})
_WATCHED = frozenset(watched.kind for watched in WATCHED)


class MemoryCluster:
    """`ports.Cluster` in memory. Its calls are named ``cluster.<method>`` to `faults`."""

    def __init__(self, *, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self._store = Store()
        self._controllers = Controllers(self._store)
        self._store.settle = self._controllers.settle
        self._applied: dict[str, Manifest] = {}
        self.user: str | None = None
        """Whose rights the calls have; None: the administrator's."""
        for name in ("default", "kube-system"):
            self._store.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def without_faults(self) -> MemoryCluster:
        """The same cluster for whoever else works on it, and on whom these faults do not play."""
        view = copy.copy(self)
        view.faults = Faults()
        return view

    def acting_as(self, user: str | None) -> MemoryCluster:
        """The same cluster with the rights of this user alone, as bindings give them at each call; None: with all."""
        view = copy.copy(self)
        view.user = user
        return view

    async def get(self, ref: Ref) -> Manifest | None:
        """See `ports.Cluster.get`."""
        async with self.faults.around("cluster.get"):
            demand(self._store, self.user, "get", ref)
            found = self._find(ref)
        return copy.deepcopy(found)

    async def list_objects(
        self, api_version: str, kind: str, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Manifest]:
        """See `ports.Cluster.list_objects`."""
        async with self.faults.around("cluster.list_objects"):
            _known(Ref(api_version, kind, ""))
            demand(self._store, self.user, "list", Ref(api_version, kind, "", namespace))
            inside = namespace if KINDS[api_version, kind] else None
            found = [obj for obj in self._store.select(kind, namespace=inside) if _has_labels(obj, labels or {})]
        return copy.deepcopy(found)

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """See `ports.Cluster.create`."""
        async with self.faults.around("cluster.create"):
            demand(self._store, self.user, "create", Ref.to(manifest))
            return self._create(manifest, dry_run=dry_run, act="create")

    async def apply(self, manifest: Manifest) -> Manifest:
        """See `ports.Cluster.apply`. Lists are replaced as a whole."""
        async with self.faults.around("cluster.apply"):
            ref = Ref.to(manifest)
            demand(self._store, self.user, "patch", ref)
            found = self._find(ref) if (ref.api_version, ref.kind) in KINDS else None
            uid = manifest["metadata"].get("uid")
            if uid and (found is None or found["metadata"]["uid"] != uid):
                raise Conflict(f"The API server refuses to apply {ref}: the UID is not {uid}", object=str(ref))
            if found is None:
                made = self._create(manifest, dry_run=False, act="apply")
            else:
                _demand_version(found, manifest, f"apply {ref}")
                former = self._applied.get(found["metadata"]["uid"], {})
                given = _without_status(manifest)
                made = self._change(found, _merged(_pruned(found, former, given), given))
            self._applied[made["metadata"]["uid"]] = copy.deepcopy(manifest)
            return made

    async def patch(self, ref: Ref, patch: Manifest) -> Manifest | None:
        """See `ports.Cluster.patch`."""
        async with self.faults.around("cluster.patch"):
            demand(self._store, self.user, "patch", ref)
            found = self._find(ref)
            if found is None:
                return None
            _demand_version(found, patch, f"patch {ref}")
            return self._change(found, _merge_patched(found, _without_status({**patch, "kind": ref.kind})))

    async def delete(self, ref: Ref, *, uid: str) -> bool:
        """See `ports.Cluster.delete`."""
        async with self.faults.around("cluster.delete"):
            demand(self._store, self.user, "delete", ref)
            found = self._find(ref)
            if found is None or found["metadata"]["uid"] != uid:
                return False
            self._store.remove(found)
            self._controllers.settle(found["metadata"].get("namespace", ""))
            return True

    async def is_namespaced(self, api_version: str, kind: str) -> bool | None:
        """See `ports.Cluster.is_namespaced`."""
        async with self.faults.around("cluster.is_namespaced"):
            return KINDS.get((api_version, kind))

    async def contents(self, namespace: str) -> list[Manifest]:
        """See `ports.Cluster.contents`."""
        async with self.faults.around("cluster.contents"):
            found = [obj for obj in self._store.select(namespace=namespace) if obj["kind"] != "Event"]
        return copy.deepcopy(found)

    async def now(self) -> datetime:
        """See `ports.Cluster.now`; to the second, as a real one has it."""
        async with self.faults.around("cluster.now"):
            return datetime.now(UTC).replace(microsecond=0)

    async def version(self) -> str:
        """See `ports.Cluster.version`."""
        async with self.faults.around("cluster.version"):
            return VERSION

    async def api_versions(self) -> list[str]:
        """See `ports.Cluster.api_versions`."""
        async with self.faults.around("cluster.api_versions"):
            return sorted({name for version, kind in KINDS for name in (version, f"{version}/{kind}")})

    async def may(self, user: str, verb: str, api_version: str, kind: str, *, namespace: str) -> bool:
        """See `ports.Cluster.may`."""
        async with self.faults.around("cluster.may"):
            ref = Ref(api_version, kind, "", namespace)
            _known(ref)
            return allows(self._store, user, verb, ref)

    @asynccontextmanager
    async def watch(self, namespace: str) -> AsyncIterator[Watch]:
        """See `ports.Cluster.watch`. Its `changed` is the call ``cluster.changed``."""
        async with self.faults.around("cluster.watch"):
            view = _View(self, self._store, namespace)
        yield view

    def _find(self, ref: Ref) -> Manifest | None:
        if (ref.api_version, ref.kind) not in KINDS:
            return None
        _demand_namespace(ref)
        return self._store.get(ref)

    def _create(self, manifest: Manifest, *, dry_run: bool, act: str) -> Manifest:
        ref = Ref.to(manifest)
        _known(ref)
        _demand_namespace(ref)
        self._admit(ref, manifest, f"{act} {ref}")
        given = _without_status(manifest)
        if dry_run:
            return self._store.admitted(given)
        made = self._store.add(given)
        self._controllers.settle(Key.of(ref).namespace)
        return copy.deepcopy(self._store.get(ref) or made)

    def _admit(self, ref: Ref, manifest: Manifest, what: str) -> None:
        """Refuse what a real API server refuses, in its order: namespace, validity, name taken, quota."""
        refuses = f"The API server refuses to {what}: "
        namespace = Key.of(ref).namespace
        if namespace:
            holder = self._store.get(Ref("v1", "Namespace", namespace))
            if holder is None:
                told = f'{refuses}namespaces "{namespace}" not found'
                raise Permanent(told, code="NotFound", object=str(ref), fix="create the namespace first")
            if holder["metadata"].get("deletionTimestamp"):
                told = f"{refuses}unable to create new content in namespace {namespace} because it is being terminated"
                raise Conflict(told, code="NamespaceTerminating", object=str(ref))
        if self._store.get(ref) is not None:
            told = f'{refuses}"{ref.name}" already exists'
            raise AlreadyExists(told, object=str(ref), fix="read it to see whose it is")
        wrong = _invalid(ref, manifest)
        if wrong:
            raise Permanent(refuses + wrong, code="Invalid", object=str(ref), fix="correct what the message names")
        refused = quota_refusal(self._store, namespace, ref.name) if ref.kind == "Pod" else ""
        if refused:
            fix = "raise the namespace's quota (the plan's), or ask for less"
            raise Forbidden(refuses + refused, code="QuotaExceeded", object=str(ref), fix=fix)

    def _change(self, found: Manifest, after: Manifest) -> Manifest:
        ref = Ref.to(found)
        kept = ("name", "namespace", "uid", "creationTimestamp", "resourceVersion", "generation", "deletionTimestamp")
        meta = {name: value for name, value in after["metadata"].items() if name not in kept}
        meta |= {name: found["metadata"][name] for name in kept if name in found["metadata"]}
        stored = self._store.change(found, {**after, "metadata": meta})
        self._controllers.settle(Key.of(ref).namespace)
        return copy.deepcopy(self._store.get(ref) or stored)


class _View:
    """A watch: it reads the store itself, so it cannot be stale."""

    def __init__(self, cluster: MemoryCluster, store: Store, namespace: str) -> None:
        self._cluster = cluster
        self._store = store
        self._namespace = namespace
        self._seen = -1

    def objects(self) -> Sequence[Manifest]:
        """See `ports.Watch.objects`."""
        self._seen = self._store.changes(self._namespace)
        return [obj for obj in self._store.select(namespace=self._namespace) if obj["kind"] in _WATCHED]

    async def changed(self) -> None:
        """See `ports.Watch.changed`."""
        async with self._cluster.faults.around("cluster.changed"):
            while self._store.changes(self._namespace) == self._seen:
                await self._store.changed(self._namespace)


def _known(ref: Ref) -> None:
    if (ref.api_version, ref.kind) not in KINDS:
        fix = f"install the CustomResourceDefinition of {ref.kind}, or correct the apiVersion in the chart"
        told = f"The API server knows no kind {ref.kind} in {ref.api_version}."
        raise Permanent(told, code="UnknownKind", object=ref.kind, fix=fix)


def _demand_namespace(ref: Ref) -> None:
    if KINDS[ref.api_version, ref.kind] and not ref.namespace:
        raise BadInput("metadata.namespace", ref.namespace, f"is not set on {ref}", fix="name the namespace")


def _demand_version(found: Manifest, given: Manifest, what: str) -> None:
    """The optimistic locks of a write: it may name the version and the UID that it is meant for."""
    wanted = given.get("metadata") or {}
    for name in ("resourceVersion", "uid"):
        if wanted.get(name) not in (None, found["metadata"][name]):
            told = f"The API server refuses to {what}: the object has been modified ({name})"
            raise Conflict(told, object=str(Ref.to(found)))


def _invalid(ref: Ref, manifest: Manifest) -> str:
    if not _NAME.fullmatch(ref.name):
        return f'{ref.kind} "{ref.name}" is invalid: metadata.name: a lowercase RFC 1123 subdomain is needed'
    spec = manifest.get("spec") or {}
    if ref.kind in _TEMPLATED and not (spec.get("template") or {}).get("spec"):
        return f'{ref.kind} "{ref.name}" is invalid: spec.template.spec.containers: Required value'
    if ref.kind in _TEMPLATED - {"Job"} and not spec.get("selector"):
        return f'{ref.kind} "{ref.name}" is invalid: spec.selector: Required value'
    if ref.kind == "Pod" and not spec.get("containers"):
        return f'Pod "{ref.name}" is invalid: spec.containers: Required value'
    return ""


def _has_labels(obj: Manifest, labels: Mapping[str, str]) -> bool:
    found = obj["metadata"].get("labels") or {}
    return all(found.get(name) == value for name, value in labels.items())


def _without_status(manifest: Manifest) -> Manifest:
    """What a write may say: a kind with a status of its own ignores one that comes along. Secrets get encoded."""
    given = {name: value for name, value in copy.deepcopy(manifest).items() if name != "stringData"}
    if given["kind"] in _STATUS_APART:
        given.pop("status", None)
    if manifest["kind"] == "Secret" and manifest.get("stringData"):
        texts = {name: base64.b64encode(text.encode()).decode() for name, text in manifest["stringData"].items()}
        given["data"] = {**(given.get("data") or {}), **texts}
    return given


def _merge_patched(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge_patched(merged.get(name), value)
    return merged


def _merged(target: Any, given: Any) -> Any:
    """What an apply leaves: its own fields, and those that it does not mention."""
    if not isinstance(target, dict) or not isinstance(given, dict):
        return given
    return {**target, **{name: _merged(target.get(name), value) for name, value in given.items()}}


def _pruned(target: Any, former: Any, given: Any) -> Any:
    """Without the fields that the apply before this one gave, and this one no longer gives."""
    if not all(isinstance(each, dict) for each in (target, former, given)):
        return target
    return {
        name: _pruned(value, former.get(name), given.get(name)) if name in given else value
        for name, value in target.items()
        if name not in former or name in given
    }
