"""Helm in memory: its storage, its order of effects and its refusals, on the cluster in memory.

It writes the very Secrets that Helm writes, so whoever reads the storage reads both. Each act is wrapped as
``helm.upgrade``, ``helm.rollback``, ``helm.uninstall`` and ``helm.template``, and each of its effects once more, in
this order:

- ``helm.upgrade.pending``, ``.hooks``, ``.objects``, ``.superseded``, ``.deployed``
- ``helm.rollback.pending``, ``.objects``, ``.superseded``, ``.deployed``
- ``helm.uninstall.uninstalling``, ``.objects``, ``.purged``

A fault in an effect is a Helm killed there, and the storage stays as it was left; a `ReleaseFailed` is Helm saying
no, and the revision is marked failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from innkeeper.model.catalog import ChartRef, mark_of
from innkeeper.model.errors import AlreadyExists, Conflict, NotOurs, Pending, ReleaseFailed
from innkeeper.model.manifests import Manifest, is_kept, kept
from innkeeper.model.ports import Ref, Release
from innkeeper.model.release import (
    MARK_LABEL,
    STORAGE_TYPE,
    Revision,
    State,
    described,
    pack,
    revisions_of,
    storage_labels,
)

from .faults import Faults
from .memory_charts import NEVER_ENDS, VERSION, Rendered, name_of, render, written
from .memory_cluster import MemoryCluster

HISTORY = 5

_OWNER = "meta.helm.sh/release-name"
_HOME = "meta.helm.sh/release-namespace"


class MemoryHelm:
    """`ports.Helm` in memory.

    Args:
        cluster: where releases live. Its faults play on the activities' calls, not on Helm's.
        faults: what shall go wrong with Helm.
    """

    def __init__(self, cluster: MemoryCluster, *, faults: Faults | None = None) -> None:
        self._cluster = cluster.without_faults()
        self._faults = faults or Faults()
        self._digests: dict[str, str] = {}

    def change_chart(self, chart: ChartRef) -> None:
        """Behave from now on as if the chart's files had been edited."""
        self._digests[chart.label] = mark_of(self._digests.get(chart.label), chart.label)

    async def version(self) -> str:
        """A version like Helm's."""
        async with self._faults.around("helm.version"):
            return "v3.17.3"

    async def chart_digest(self, chart: ChartRef) -> str:
        """A fingerprint of the chart; changed by `change_chart`."""
        async with self._faults.around("helm.chart_digest"):
            return mark_of(chart.label, self._digests.get(chart.label))

    async def template(
        self,
        release: Release,
        *,
        limit: float,
        kube_version: str | None = None,  # noqa: ARG002  # no chart here asks for it
        api_versions: Sequence[str] = (),  # noqa: ARG002  # nor for these
    ) -> list[Manifest]:
        """The chart's objects and hooks.

        Raises:
            BadInput: the chart does not render, or the values do not fit it.
        """
        async with self._act("template", release.namespace, release.name, limit):
            found = render(release)
            return [*found.objects, *found.hooks]

    async def upgrade(self, release: Release, *, limit: float) -> None:
        """Install or upgrade.

        Raises:
            ReleaseFailed: Helm refused.
        """
        async with self._act("upgrade", release.namespace, release.name, limit):
            rendered = render(release)
            revisions = await self._revisions(release.name, release.namespace)
            base = _base_of(revisions, release)
            if release.keep_volumes:
                rendered = Rendered([kept(each) for each in rendered.objects], rendered.hooks)
            state = State.PENDING_UPGRADE if base else State.PENDING_INSTALL
            await self._demand_possible(rendered.objects, base, release)
            record = _record(release, rendered, version=revisions[-1].version + 1 if revisions else 1)
            async with self._faults.around("helm.upgrade.pending"):
                await self._prune(revisions)
                # Who names none hands on the last revision's, as Helm does with labels.
                mark = release.mark or (revisions[-1].mark if revisions else "")
                await self._store(record, state, {MARK_LABEL: mark} if mark else {})
            async with self._failing(record):
                async with self._faults.around("helm.upgrade.hooks"):
                    await self._run_hooks(rendered.hooks, release)
                async with self._faults.around("helm.upgrade.objects"):
                    await self._bring(rendered.objects, list(base.manifest) if base else [], record)
            async with self._faults.around("helm.upgrade.superseded"):
                if base and base.state is State.DEPLOYED:
                    await self._restate(base, State.SUPERSEDED)
            async with self._faults.around("helm.upgrade.deployed"):
                said = "Upgrade complete" if base else "Install complete"
                await self._mark(record, State.DEPLOYED, described(release.mark) if release.mark else said)

    async def rollback(self, name: str, namespace: str, revision: int, *, limit: float) -> None:
        """Go back to a revision.

        Raises:
            ReleaseFailed: there is no such release or revision.
        """
        async with self._act("rollback", namespace, name, limit):
            revisions = await self._revisions(name, namespace)
            if not revisions:
                raise _failed("release: not found", namespace, name)
            target = next((each for each in revisions if each.version == revision), None)
            if target is None:
                raise _failed(f"release has no {revision} version", namespace, name)
            record = {**target.record, "version": revisions[-1].version + 1}
            async with self._faults.around("helm.rollback.pending"):
                await self._prune(revisions)
                await self._store(record, State.PENDING_ROLLBACK, {MARK_LABEL: target.mark} if target.mark else {})
            try:
                async with self._faults.around("helm.rollback.objects"):
                    await self._bring(list(target.manifest), list(revisions[-1].manifest), record)
            except ReleaseFailed as error:
                await self._restate(revisions[-1], State.SUPERSEDED)
                await self._mark(record, State.FAILED, error.cause.message)
                raise
            async with self._faults.around("helm.rollback.superseded"):
                for each in revisions:
                    if each.state is State.DEPLOYED:
                        await self._restate(each, State.SUPERSEDED)
            async with self._faults.around("helm.rollback.deployed"):
                await self._mark(record, State.DEPLOYED, f"Rollback to {revision}")

    async def uninstall(self, name: str, namespace: str, *, limit: float) -> None:
        """Uninstall; a release that is not there is done already."""
        async with self._act("uninstall", namespace, name, limit):
            revisions = await self._revisions(name, namespace)
            if not revisions:
                return
            async with self._faults.around("helm.uninstall.uninstalling"):
                await self._restate(revisions[-1], State.UNINSTALLING)
            async with self._faults.around("helm.uninstall.objects"):
                for manifest in revisions[-1].manifest:
                    if not is_kept(manifest):
                        await self._remove(_placed(manifest, namespace))
            async with self._faults.around("helm.uninstall.purged"):
                for each in revisions:
                    await self._remove(_secret_ref(each.secret, namespace))

    @asynccontextmanager
    async def _act(self, act: str, namespace: str, name: str, limit: float) -> AsyncIterator[None]:
        """One act, in its time and with its faults: a hang inside is stopped at the limit like a Helm that hangs."""
        clock = asyncio.timeout(limit)
        try:
            async with clock, self._faults.around(f"helm.{act}"):
                yield
        except TimeoutError:
            if not clock.expired():
                raise
            raise Pending(
                f"helm {act} was not done within {limit:g} s and was stopped.",
                code="HelmTooSlow",
                object=f"Release {namespace}/{name}",
                fix="look at the release's hooks, or raise the plan's deadlines.release",
            ) from None

    @asynccontextmanager
    async def _failing(self, record: Manifest) -> AsyncIterator[None]:
        """Mark an upgrade failed where Helm says no, and where it is told to stop: Helm does so on TERM, then only."""
        try:
            yield
        except ReleaseFailed as error:
            await self._mark(record, State.FAILED, error.cause.message)
            raise
        except asyncio.CancelledError:
            await self._mark(record, State.FAILED, "context canceled")
            raise

    async def _revisions(self, name: str, namespace: str) -> list[Revision]:
        labels = storage_labels(name)
        return revisions_of(await self._cluster.list_objects("v1", "Secret", namespace=namespace, labels=labels))

    async def _prune(self, revisions: Iterable[Revision]) -> None:
        ordered = list(revisions)
        spare = [each for each in ordered if each.state is not State.DEPLOYED]
        for each in spare[: max(0, len(ordered) + 1 - HISTORY)]:
            await self._remove(_secret_ref(each.secret, each.namespace))

    async def _store(self, record: Manifest, state: State, labels: Mapping[str, str]) -> None:
        name, version = record["name"], record["version"]
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": STORAGE_TYPE,
            "metadata": {
                "name": _secret_name(record),
                "namespace": record["namespace"],
                "labels": {**labels, **storage_labels(name), "status": state.value, "version": str(version)},
            },
            "data": {"release": pack(_with_state(record, state, ""))},
        }
        try:
            await self._cluster.create(secret)
        except AlreadyExists as error:
            raise Conflict(f"another Helm was at work on the release: {error.cause.message}") from None

    async def _mark(self, record: Manifest, state: State, description: str) -> None:
        ref = _secret_ref(_secret_name(record), record["namespace"])
        stamp = str(int((await self._cluster.now()).timestamp()))
        patch = {
            "metadata": {"labels": {"status": state.value, "modifiedAt": stamp}},
            "data": {"release": pack(_with_state(record, state, description))},
        }
        await self._cluster.patch(ref, patch)

    async def _restate(self, revision: Revision, state: State) -> None:
        await self._mark(revision.record, state, revision.description)

    async def _demand_possible(self, objects: Iterable[Manifest], base: Revision | None, release: Release) -> None:
        """What Helm checks before it stores anything: every kind is known, and no object is somebody else's."""
        mine = {_placed(each, release.namespace) for each in base.manifest} if base else set()
        for each in objects:
            ref = _placed(each, release.namespace)
            if await self._cluster.is_namespaced(ref.api_version, ref.kind) is None:
                known = f'no matches for kind "{ref.kind}" in version "{ref.api_version}"'
                raise _failed(f"resource mapping not found: {known}", release.namespace, release.name)
            live = None if ref in mine else await self._cluster.get(ref)
            if live is not None and (live["metadata"].get("annotations") or {}).get(_OWNER) != release.name:
                raise NotOurs(
                    f"Helm met an object that is not this release's: {ref} exists, invalid ownership metadata",
                    object=f"Release {release.namespace}/{release.name}",
                    fix="remove the object, or move it out of the instance's namespace",
                )

    async def _run_hooks(self, hooks: Iterable[Manifest], release: Release) -> None:
        for hook in hooks:
            ref = _placed(hook, release.namespace)
            await self._remove(ref)
            await self._cluster.create({**hook, "metadata": {**hook["metadata"], "namespace": release.namespace}})
            pod = hook.get("spec", {}).get("template", {}).get("spec", {})
            if NEVER_ENDS in pod.get("nodeSelector", {}):
                await asyncio.Event().wait()

    async def _bring(self, wanted: list[Manifest], former: list[Manifest], record: Manifest) -> None:
        """Create and change what is wanted, then delete what only the former manifest has."""
        namespace = record["namespace"]
        before = {_placed(each, namespace): each for each in former}
        for manifest in wanted:
            _demand_valid(manifest, record)
            ref = _placed(manifest, namespace)
            await self._bring_one(ref, _owned(manifest, record), before.pop(ref, None))
        for ref in before:
            live = await self._cluster.get(ref)
            if live is not None and not is_kept(live):
                await self._remove(ref)

    async def _bring_one(self, ref: Ref, manifest: Manifest, before: Manifest | None) -> None:
        if await self._cluster.get(ref) is None:
            await self._cluster.create(manifest)
            return
        await self._cluster.patch(ref, _merge_patch(before or {}, manifest))

    async def _remove(self, ref: Ref) -> None:
        live = await self._cluster.get(ref)
        if live is not None:
            await self._cluster.delete(ref, uid=live["metadata"]["uid"])


def _base_of(revisions: list[Revision], release: Release) -> Revision | None:
    """The revision that an upgrade compares with, None where it is an install.

    Raises:
        Conflict: the newest revision is pending, or none can be upgraded.
    """
    if not revisions or revisions[-1].state is State.UNINSTALLED:
        return None
    newest = revisions[-1]
    if newest.state.in_flight and newest.state is not State.UNINSTALLING:
        _busy("another operation (install/upgrade/rollback) is in progress", release)
    deployed = [each for each in revisions if each.state is State.DEPLOYED]
    if deployed:
        return deployed[-1]
    if newest.state not in (State.FAILED, State.SUPERSEDED):
        _busy(f'"{release.name}" has no deployed releases', release)
    return newest


def _busy(said: str, release: Release) -> NoReturn:
    raise Conflict(
        f"another Helm was at work on the release: {said}",
        object=f"Release {release.namespace}/{release.name}",
        fix="it is looked at again",
    )


def _failed(said: str, namespace: str, name: str) -> ReleaseFailed:
    return ReleaseFailed(f"Helm: {said}", object=f"Release {namespace}/{name}", fix="look at it with `helm history`")


def _demand_valid(manifest: Manifest, record: Manifest) -> None:
    for port in manifest.get("spec", {}).get("ports", []) if manifest["kind"] == "Service" else []:
        if not 0 < port["port"] < 65536:
            said = f'Service "{manifest["metadata"]["name"]}" is invalid: spec.ports[0].port: Invalid value'
            raise _failed(said, record["namespace"], record["name"])


def _record(release: Release, rendered: Rendered, *, version: int) -> Manifest:
    chart = {"apiVersion": "v2", "name": name_of(release.chart), "version": release.chart.version or VERSION}
    return {
        "name": release.name,
        "namespace": release.namespace,
        "version": version,
        "info": {},
        "chart": {"metadata": chart},
        "config": release.all_values,
        "manifest": written(rendered.objects),
        "hooks": [{"name": each["metadata"]["name"], "manifest": written([each])} for each in rendered.hooks],
    }


def _with_state(record: Manifest, state: State, description: str) -> Manifest:
    return {**record, "info": {"status": state.value, "description": description}}


def _secret_name(record: Manifest) -> str:
    return f"sh.helm.release.v1.{record['name']}.v{record['version']}"


def _secret_ref(name: str, namespace: str) -> Ref:
    return Ref("v1", "Secret", name, namespace)


def _placed(manifest: Manifest, namespace: str) -> Ref:
    ref = Ref.to(manifest)
    return ref if ref.namespace else ref._replace(namespace=namespace)


def _owned(manifest: Manifest, record: Manifest) -> Manifest:
    """The object as Helm sends it: in its namespace, labelled and annotated as the release's."""
    meta = manifest["metadata"]
    annotations = {**(meta.get("annotations") or {}), _OWNER: record["name"], _HOME: record["namespace"]}
    labels = {**(meta.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"}
    return {
        **manifest,
        "metadata": {**meta, "namespace": record["namespace"], "annotations": annotations, "labels": labels},
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
