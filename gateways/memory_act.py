"""What one act of the Helm in memory does to its storage and to objects, with the rights of whom it acts as."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from innkeeper.model.errors import AlreadyExists, Conflict, Forbidden, NotOurs, ReleaseFailed
from innkeeper.model.manifests import RELEASE_NAME, Manifest, is_kept, release_of
from innkeeper.model.ports import Ref, Release
from innkeeper.model.release import STORAGE_TYPE, Revision, State, pack, record_name, revisions_of, storage_labels

from .memory_charts import NEVER_ENDS
from .memory_cluster import MemoryCluster

HISTORY = 5
LOOKS_EVERY = 0.02
"""Seconds between two looks at a hook."""

_HOME = "meta.helm.sh/release-namespace"


class Acting:
    """One act's hands on the cluster."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster

    @asynccontextmanager
    async def failing(self, record: Manifest) -> AsyncIterator[None]:
        """Mark an upgrade failed where Helm says no, and where it is told to stop: Helm does so on TERM, then only.

        A Helm that may not write that any more says only why it failed.
        """
        try:
            yield
        except (ReleaseFailed, Forbidden) as error:
            with suppress(Forbidden):
                await self.mark(record, State.FAILED, error.cause.message)
            raise
        except asyncio.CancelledError:
            with suppress(Forbidden):
                await self.mark(record, State.FAILED, "context canceled")
            raise

    async def revisions(self, name: str, namespace: str) -> list[Revision]:
        """The release's revisions, the oldest first."""
        labels = storage_labels(name)
        return revisions_of(await self._cluster.list_objects("v1", "Secret", namespace=namespace, labels=labels))

    async def prune(self, revisions: Iterable[Revision]) -> None:
        """Forget the oldest revisions, so that there is room for one more."""
        ordered = list(revisions)
        spare = [each for each in ordered if each.state is not State.DEPLOYED]
        for each in spare[: max(0, len(ordered) + 1 - HISTORY)]:
            await self.remove(secret_ref(each.secret, each.namespace))

    async def store(self, record: Manifest, state: State, labels: Mapping[str, str]) -> None:
        """Store a new revision.

        Raises:
            Conflict: another Helm stored one of that number.
        """
        name, version = record["name"], record["version"]
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": STORAGE_TYPE,
            "metadata": {
                "name": record_name(record["name"], record["version"]),
                "namespace": record["namespace"],
                "labels": {**labels, **storage_labels(name), "status": state.value, "version": str(version)},
            },
            "data": {"release": pack(_with_state(record, state, ""))},
        }
        try:
            await self._cluster.create(secret)
        except AlreadyExists as error:
            raise Conflict(f"another Helm was at work on the release: {error.cause.message}") from None

    async def mark(self, record: Manifest, state: State, description: str) -> None:
        """Write a revision's state."""
        ref = secret_ref(record_name(record["name"], record["version"]), record["namespace"])
        stamp = str(int((await self._cluster.now()).timestamp()))
        patch = {
            "metadata": {"labels": {"status": state.value, "modifiedAt": stamp}},
            "data": {"release": pack(_with_state(record, state, description))},
        }
        await self._cluster.patch(ref, patch)

    async def restate(self, revision: Revision, state: State) -> None:
        """Write the state of a revision that was read."""
        await self.mark(revision.record, state, revision.description)

    async def demand_possible(self, objects: Iterable[Manifest], base: Revision | None, release: Release) -> None:
        """What Helm checks before it stores anything: every kind is known, and no object is somebody else's."""
        mine = {placed(each, release.namespace) for each in base.manifest} if base else set()
        for each in objects:
            ref = placed(each, release.namespace)
            if await self._cluster.is_namespaced(ref.api_version, ref.kind) is None:
                known = f'no matches for kind "{ref.kind}" in version "{ref.api_version}"'
                raise failed(f"resource mapping not found: {known}", release.namespace, release.name)
            live = None if ref in mine else await self._cluster.get(ref)
            if live is not None and release_of(live) != release.name:
                raise NotOurs(
                    f"Helm met an object that is not this release's: {ref} exists, invalid ownership metadata",
                    code="ObjectNotOurs",
                    object=f"Release {release.namespace}/{release.name}",
                    fix="remove the object, or move it out of the instance's namespace",
                )

    async def run_hooks(self, hooks: Iterable[Manifest], release: Release) -> None:
        """Make each hook anew and wait for its end."""
        for hook in hooks:
            ref = placed(hook, release.namespace)
            await self.remove(ref)
            made = await self._cluster.create(
                {**hook, "metadata": {**hook["metadata"], "namespace": release.namespace}}
            )
            pod = hook.get("spec", {}).get("template", {}).get("spec", {})
            if NEVER_ENDS in pod.get("nodeSelector", {}):
                await self._gone(made)

    async def _gone(self, hook: Manifest) -> None:
        """Wait until a hook that never ends is gone, which is an end for Helm. A watch that is open needs no right."""
        watched = self._cluster.acting_as(None)
        while (found := await watched.get(Ref.to(hook))) and found["metadata"]["uid"] == hook["metadata"]["uid"]:
            await asyncio.sleep(LOOKS_EVERY)

    async def bring(self, wanted: list[Manifest], former: list[Manifest], record: Manifest) -> None:
        """Create and change what is wanted, then delete what only the former manifest has."""
        namespace = record["namespace"]
        before = {placed(each, namespace): each for each in former}
        for manifest in wanted:
            _demand_valid(manifest, record)
            ref = placed(manifest, namespace)
            await self._bring_one(ref, _owned(manifest, record), before.pop(ref, None))
        for ref in before:
            live = await self._cluster.get(ref)
            if live is not None and not is_kept(live):
                await self.remove(ref)

    async def _bring_one(self, ref: Ref, manifest: Manifest, before: Manifest | None) -> None:
        if await self._cluster.get(ref) is None:
            await self._cluster.create(manifest)
            return
        await self._cluster.patch(ref, _merge_patch(before or {}, manifest))

    async def remove(self, ref: Ref) -> None:
        """Delete the object, if it is there."""
        live = await self._cluster.get(ref)
        if live is not None:
            await self._cluster.delete(ref, uid=live["metadata"]["uid"])


def failed(said: str, namespace: str, name: str) -> ReleaseFailed:
    """Helm's no."""
    return ReleaseFailed(f"Helm: {said}", object=f"Release {namespace}/{name}", fix="look at it with `helm history`")


def _demand_valid(manifest: Manifest, record: Manifest) -> None:
    for port in manifest.get("spec", {}).get("ports", []) if manifest["kind"] == "Service" else []:
        if not 0 < port["port"] < 65536:
            said = f'Service "{manifest["metadata"]["name"]}" is invalid: spec.ports[0].port: Invalid value'
            raise failed(said, record["namespace"], record["name"])


def _with_state(record: Manifest, state: State, description: str) -> Manifest:
    return {**record, "info": {"status": state.value, "description": description}}


def secret_ref(name: str, namespace: str) -> Ref:
    """The Secret that holds a revision."""
    return Ref("v1", "Secret", name, namespace)


def placed(manifest: Manifest, namespace: str) -> Ref:
    """The object where Helm puts it: in the release's namespace, unless the chart says another."""
    ref = Ref.to(manifest)
    return ref if ref.namespace else ref._replace(namespace=namespace)


def _owned(manifest: Manifest, record: Manifest) -> Manifest:
    """The object as Helm sends it: in its namespace, labelled and annotated as the release's."""
    meta = manifest["metadata"]
    annotations = {
        **(meta.get("annotations") or {}),
        RELEASE_NAME: record["name"],
        _HOME: record["namespace"],
    }
    labels = {**(meta.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"}
    return {
        **manifest,
        "metadata": {"namespace": record["namespace"], **meta, "annotations": annotations, "labels": labels},
    }


def _merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Manifest:
    """What leads from any live object made of `before` to `after`: every field of `after`, nulls for what it lost."""
    patch: Manifest = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        patch[key] = (
            _merge_patch(old if isinstance(old, Mapping) else {}, value) if isinstance(value, Mapping) else value
        )
    return patch
