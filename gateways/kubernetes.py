"""The cluster made real: `ports.Cluster` on a Kubernetes API server of version 1.30 or newer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from ..model.errors import BadInput, Conflict, Forbidden, Permanent
from ..model.ports import Manifest, Ref, Watch
from .kubernetes_api import SETTING, Answer, Api
from .kubernetes_watch import Hub, Pace

FIELD_MANAGER = "innkeeper"
PAGE = 200
"""Objects asked for at once in a list. Memory that a worker once needed it keeps, and pages of 500 are much of it."""

_MERGE_PATCH = "application/merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_LISTS_AT_ONCE = 8


class _Resource(NamedTuple):
    plural: str
    namespaced: bool


class KubernetesCluster:
    """One cluster. Make it by `connect`, use it as an async context manager or `close` it."""

    def __init__(self, api: Api, pace: Pace = Pace()) -> None:  # noqa: B008  (a value, not a state)
        self._api = api
        self._resources: dict[str, dict[str, _Resource]] = {}
        self._hub = Hub(api, pace)

    @classmethod
    async def connect(
        cls,
        kubeconfig: Path | None,
        context: str | None = None,
        *,
        in_cluster: bool = False,
        timeout: float = 10.0,
        pace: Pace = Pace(),  # noqa: B008  (a value, not a state)
    ) -> Self:
        """A cluster by a kubeconfig that is named, or the one that this process runs in; nothing is asked of it yet.

        `timeout` is what one request may take, in seconds; `pace` is that of watches. The context may be left out
        where the kubeconfig has only one; its current-context is never used.

        Raises:
            BadInput: neither or both ways are given, or the one that is given cannot be used.
        """
        if kubeconfig is None and in_cluster:
            return cls(Api.in_cluster(timeout=timeout), pace)
        if kubeconfig is None or in_cluster:
            problem = "is not set" if kubeconfig is None else "is set, and so is in_cluster"
            fix = f"name the cluster's kubeconfig in {SETTING}, or set in_cluster in a pod: one of them"
            raise BadInput("kubeconfig", str(kubeconfig) if kubeconfig else None, problem, fix=fix)
        return cls(await Api.from_kubeconfig(kubeconfig, context, timeout=timeout), pace)

    @property
    def context(self) -> str | None:
        """The kubeconfig's context that was chosen, for others who use the same file; None in a pod."""
        return self._api.context

    async def close(self) -> None:
        """End the watches and close every connection."""
        await self._hub.close()
        await self._api.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def get(self, ref: Ref) -> Manifest | None:
        """See `ports.Cluster.get`; None also where the API server does not know the kind."""
        path = await self._path(ref)
        return None if path is None else await self._found("GET", path, f"read {ref}")

    async def list_objects(
        self, api_version: str, kind: str, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Manifest]:
        """See `ports.Cluster.list_objects`.

        Raises:
            Permanent: the API server does not know the kind.
        """
        resource = await self._resource(api_version, kind)
        if resource is None:
            raise _unknown_kind(api_version, kind)
        path = _collection(api_version, resource, namespace)
        selector = ",".join(f"{name}={value}" for name, value in (labels or {}).items())
        query = {"labelSelector": selector} if selector else {}
        return await self._pages(path, query, api_version, kind)

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """See `ports.Cluster.create`."""
        ref = Ref.to(manifest)
        resource = await self._known(ref)
        query = {"fieldManager": FIELD_MANAGER}
        if dry_run:
            query |= {"dryRun": "All", "fieldValidation": "Strict"}
        path = _collection(ref.api_version, resource, _namespace(ref, resource))
        return self._body(await self._api.call("POST", path, query=query, body=manifest), f"create {ref}")

    async def apply(self, manifest: Manifest) -> Manifest:
        """See `ports.Cluster.apply`."""
        ref = Ref.to(manifest)
        path = _object(ref, await self._known(ref))
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        answer = await self._api.call("PATCH", path, query=query, body=manifest, content_type=_APPLY_PATCH)
        return self._body(answer, f"apply {ref}")

    async def patch(self, ref: Ref, patch: Manifest) -> Manifest | None:
        """See `ports.Cluster.patch`."""
        path = await self._path(ref)
        if path is None:
            return None
        query = {"fieldManager": FIELD_MANAGER}
        return await self._found("PATCH", path, f"patch {ref}", query=query, body=patch, content_type=_MERGE_PATCH)

    async def delete(self, ref: Ref, *, uid: str) -> bool:
        """See `ports.Cluster.delete`."""
        path = await self._path(ref)
        if path is None:
            return False
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        answer = await self._api.call("DELETE", path, body=options)
        if answer.status == 404:
            return False
        if answer.status == 409:
            found = await self._found("GET", path, f"read {ref}")
            if found is None or found["metadata"]["uid"] != uid:
                return False
        self._body(answer, f"delete {ref}")
        return True

    async def is_namespaced(self, api_version: str, kind: str) -> bool | None:
        """See `ports.Cluster.is_namespaced`."""
        resource = await self._resource(api_version, kind)
        return None if resource is None else resource.namespaced

    async def api_versions(self) -> list[str]:
        """See `ports.Cluster.api_versions`."""
        found = [(version, resource["responseKind"]["kind"]) for _, version, resource in await self._discovered()]
        return sorted({name for version, kind in found for name in (version, f"{version}/{kind}")})

    async def contents(self, namespace: str) -> list[Manifest]:
        """See `ports.Cluster.contents`. Kinds that this identity may not list are left out."""
        slots = asyncio.Semaphore(_LISTS_AT_ONCE)

        async def of_kind(api_version: str, kind: str, plural: str) -> list[Manifest]:
            path = _collection(api_version, _Resource(plural, namespaced=True), namespace)
            async with slots:
                try:
                    return await self._pages(path, {}, api_version, kind)
                except Forbidden:
                    return []

        kinds = await self._namespaced_kinds()
        found = await asyncio.gather(*(of_kind(*kind) for kind in kinds))
        return [obj for objects in found for obj in objects]

    async def now(self) -> datetime:
        """See `ports.Cluster.now`; to the second."""
        answer = await self._api.call("GET", "/version")
        self._body(answer, "tell its version")
        return answer.date

    async def version(self) -> str:
        """See `ports.Cluster.version`."""
        return str(self._body(await self._api.call("GET", "/version"), "tell its version")["gitVersion"])

    async def may(self, user: str, verb: str, api_version: str, kind: str, *, namespace: str) -> bool:
        """See `ports.Cluster.may`. The user is in the group that every user is in, and in no other."""
        ref = Ref(api_version, kind, "", namespace)
        resource = (await self._known(ref)).plural
        group, _, version = api_version.rpartition("/")
        asked = {"namespace": namespace, "verb": verb, "group": group, "version": version, "resource": resource}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "groups": ["system:authenticated"], "resourceAttributes": asked},
        }
        answer = await self._api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review)
        found = self._body(answer, f"review what {user} may do in namespace {namespace}")
        return bool((found.get("status") or {}).get("allowed"))

    def watch(self, namespace: str) -> AbstractAsyncContextManager[Watch]:
        """See `ports.Cluster.watch`. `changed` raises `Unreachable` after 30 s without a word from the API server."""
        return self._hub.watch(namespace)

    async def _found(self, method: str, path: str, what: str, **request: Any) -> Manifest | None:
        answer = await self._api.call(method, path, **request)
        return None if answer.status == 404 else self._body(answer, what)

    def _body(self, answer: Answer, what: str) -> Manifest:
        if answer.status >= 300 or not isinstance(answer.body, dict):
            raise self._api.refused(answer, what)
        return answer.body

    async def pages(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> AsyncIterator[list[Manifest]]:
        """A list of a kind, page by page; `query` holds its selectors.

        Raises:
            Permanent: the API server does not know the kind.
            Conflict: the list grew too old between two pages; begin again.
        """
        resource = await self._resource(api_version, kind)
        if resource is None:
            raise _unknown_kind(api_version, kind)
        path = _collection(api_version, resource, namespace)
        async for page in self._pages_of(path, query or {}, api_version, kind, accept=accept):
            yield page

    async def _pages_of(
        self, path: str, query: Mapping[str, str], api_version: str, kind: str, *, accept: str = "application/json"
    ) -> AsyncIterator[list[Manifest]]:
        rest: dict[str, str] = {}
        while True:
            asked = {**query, "limit": str(PAGE), **rest}
            answer = await self._api.call("GET", path, query=asked, accept=accept)
            if answer.status == 410:
                raise Conflict(f"The list of {kind} objects grew too old between two pages", fix="it is read again")
            body = self._body(answer, f"list {kind} objects")
            # Items of a list carry neither, or another one; whoever reads them needs to know what they are.
            yield [{**item, "apiVersion": api_version, "kind": kind} for item in body.get("items") or ()]
            token = body["metadata"].get("continue")
            if not token:
                return
            rest = {"continue": token}

    async def _pages(
        self, path: str, query: Mapping[str, str], api_version: str, kind: str, *, again: bool = True
    ) -> list[Manifest]:
        """Every page of a list. One that grows too old between its pages (410) is begun again, once."""
        try:
            return [each async for page in self._pages_of(path, query, api_version, kind) for each in page]
        except Conflict:
            if not again:
                raise
        return await self._pages(path, query, api_version, kind, again=False)

    async def _resource(self, api_version: str, kind: str) -> _Resource | None:
        """How the server names a kind; asked anew where it is not known yet, since kinds come by CRDs."""
        known = self._resources.get(api_version, {}).get(kind)
        if known is not None:
            return known
        root = "/api" if "/" not in api_version else "/apis"
        answer = await self._api.call("GET", f"{root}/{api_version}")
        if answer.status == 404:
            return None
        listed = self._body(answer, f"list the kinds of {api_version}")["resources"]
        self._resources[api_version] = {
            one["kind"]: _Resource(one["name"], one["namespaced"]) for one in listed if "/" not in one["name"]
        }
        return self._resources[api_version].get(kind)

    async def _known(self, ref: Ref) -> _Resource:
        resource = await self._resource(ref.api_version, ref.kind)
        if resource is None:
            raise _unknown_kind(ref.api_version, ref.kind)
        return resource

    async def _path(self, ref: Ref) -> str | None:
        resource = await self._resource(ref.api_version, ref.kind)
        return None if resource is None else _object(ref, resource)

    async def _discovered(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Every resource with its group and version, a group's preferred version first."""
        found: list[tuple[str, str, dict[str, Any]]] = []
        for root in ("/api", "/apis"):
            body = self._body(await self._api.call("GET", root, accept=_AGGREGATED), "list its kinds")
            for group in body["items"]:
                name = group["metadata"].get("name", "")
                for version in group["versions"]:
                    api_version = f"{name}/{version['version']}" if name else version["version"]
                    found += [(name, api_version, resource) for resource in version.get("resources") or ()]
        return found

    async def _namespaced_kinds(self) -> list[tuple[str, str, str]]:
        """Every kind whose objects can be listed and deleted in a namespace, by the server's preferred version."""
        kinds: dict[tuple[str, str], tuple[str, str, str]] = {}
        for group, api_version, resource in await self._discovered():
            plural, kind = resource["resource"], resource["responseKind"]["kind"]
            usable = {"list", "delete"} <= set(resource["verbs"]) and resource["scope"] == "Namespaced"
            if usable and kind != "Event":
                kinds.setdefault((group, plural), (api_version, kind, plural))
        return list(kinds.values())


def _unknown_kind(api_version: str, kind: str) -> Permanent:
    fix = f"install the CustomResourceDefinition of {kind}, or correct the apiVersion in the chart"
    return Permanent(f"The API server knows no kind {kind} in {api_version}.", code="UnknownKind", object=kind, fix=fix)


def _namespace(ref: Ref, resource: _Resource) -> str | None:
    if resource.namespaced and not ref.namespace:
        raise BadInput("metadata.namespace", ref.namespace, f"is not set on {ref}", fix="name the namespace")
    return ref.namespace if resource.namespaced else None


def _collection(api_version: str, resource: _Resource, namespace: str | None) -> str:
    root = "/api" if "/" not in api_version else "/apis"
    scope = f"/namespaces/{namespace}" if namespace and resource.namespaced else ""
    return f"{root}/{api_version}{scope}/{resource.plural}"


def _object(ref: Ref, resource: _Resource) -> str:
    return f"{_collection(ref.api_version, resource, _namespace(ref, resource))}/{ref.name}"
