"""Helm in memory: its storage, its order of effects and its refusals, on the cluster in memory.

It writes the very Secrets that Helm writes, so whoever reads the storage reads both. Each act is wrapped as
``helm.upgrade``, ``helm.rollback``, ``helm.uninstall`` and ``helm.template``, and each of its effects once more, in
this order:

- ``helm.upgrade.pending``, ``.hooks``, ``.objects``, ``.superseded``, ``.deployed``
- ``helm.rollback.pending``, ``.objects``, ``.superseded``, ``.deployed``
- ``helm.uninstall.uninstalling``, ``.objects``, ``.purged``

A fault in an effect is a Helm killed there, and the storage stays as it was left; a `ReleaseFailed` is Helm saying
no, and a `Forbidden` the cluster saying no: the revision is marked failed, where Helm may still write that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

from innkeeper.model.catalog import ChartRef, mark_of
from innkeeper.model.errors import Conflict, Forbidden, Pending, ReleaseFailed
from innkeeper.model.manifests import Manifest, is_kept, kept
from innkeeper.model.ports import Release
from innkeeper.model.release import MARK_LABEL, Revision, State, described

from .faults import Faults
from .memory_act import Acting, failed, placed, secret_ref
from .memory_charts import VERSION, Rendered, name_of, render, written
from .memory_cluster import MemoryCluster


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

    async def upgrade(self, release: Release, *, limit: float, acting_as: str | None = None) -> None:
        """Install or upgrade.

        Raises:
            ReleaseFailed: Helm refused.
        """
        async with self._act("upgrade", release.namespace, release.name, limit, acting_as) as acting:
            rendered = render(release)
            revisions = await acting.revisions(release.name, release.namespace)
            base = _base_of(revisions, release)
            if release.keep_volumes:
                rendered = Rendered([kept(each) for each in rendered.objects], rendered.hooks)
            state = State.PENDING_UPGRADE if base else State.PENDING_INSTALL
            await acting.demand_possible(rendered.objects, base, release)
            record = _record(release, rendered, version=revisions[-1].version + 1 if revisions else 1)
            async with self._faults.around("helm.upgrade.pending"):
                await acting.prune(revisions)
                # Who names none hands on the last revision's, as Helm does with labels.
                mark = release.mark or (revisions[-1].mark if revisions else "")
                await acting.store(record, state, {MARK_LABEL: mark} if mark else {})
            async with acting.failing(record):
                async with self._faults.around("helm.upgrade.hooks"):
                    await acting.run_hooks(rendered.hooks, release)
                async with self._faults.around("helm.upgrade.objects"):
                    await acting.bring(rendered.objects, list(base.manifest) if base else [], record)
            async with self._faults.around("helm.upgrade.superseded"):
                if base and base.state is State.DEPLOYED:
                    await acting.restate(base, State.SUPERSEDED)
            async with self._faults.around("helm.upgrade.deployed"):
                said = "Upgrade complete" if base else "Install complete"
                # An install whose last write is refused says that it is done, all the same.
                with suppress(*([] if base else [Forbidden])):
                    await acting.mark(record, State.DEPLOYED, described(release.mark) if release.mark else said)

    async def rollback(
        self,
        name: str,
        namespace: str,
        revision: int,
        *,
        limit: float,
        acting_as: str | None = None,
        **_withheld: Sequence[str],
    ) -> None:
        """Go back to a revision.

        Raises:
            ReleaseFailed: there is no such release or revision.
        """
        async with self._act("rollback", namespace, name, limit, acting_as) as acting:
            revisions = await acting.revisions(name, namespace)
            if not revisions:
                raise failed("release: not found", namespace, name)
            target = next((each for each in revisions if each.version == revision), None)
            if target is None:
                raise failed(f"release has no {revision} version", namespace, name)
            record = {**target.record, "version": revisions[-1].version + 1}
            async with self._faults.around("helm.rollback.pending"):
                await acting.prune(revisions)
                await acting.store(record, State.PENDING_ROLLBACK, {MARK_LABEL: target.mark} if target.mark else {})
            try:
                async with self._faults.around("helm.rollback.objects"):
                    await acting.bring(list(target.manifest), list(revisions[-1].manifest), record)
            except (ReleaseFailed, Forbidden) as error:
                with suppress(Forbidden):
                    await acting.restate(revisions[-1], State.SUPERSEDED)
                    await acting.mark(record, State.FAILED, error.cause.message)
                raise
            async with self._faults.around("helm.rollback.superseded"):
                for each in revisions:
                    if each.state is State.DEPLOYED:
                        await acting.restate(each, State.SUPERSEDED)
            async with self._faults.around("helm.rollback.deployed"):
                await acting.mark(record, State.DEPLOYED, f"Rollback to {revision}")

    async def uninstall(
        self, name: str, namespace: str, *, limit: float, acting_as: str | None = None, **_withheld: Sequence[str]
    ) -> None:
        """Uninstall; a release that is not there is done already. What is withheld is not known, so never told."""
        async with self._act("uninstall", namespace, name, limit, acting_as) as acting:
            revisions = await acting.revisions(name, namespace)
            if not revisions:
                return
            async with self._faults.around("helm.uninstall.uninstalling"):
                await acting.restate(revisions[-1], State.UNINSTALLING)
            async with self._faults.around("helm.uninstall.objects"):
                for manifest in revisions[-1].manifest:
                    if not is_kept(manifest):
                        await acting.remove(placed(manifest, namespace))
            async with self._faults.around("helm.uninstall.purged"):
                for each in revisions:
                    await acting.remove(secret_ref(each.secret, namespace))

    @asynccontextmanager
    async def _act(
        self, act: str, namespace: str, name: str, limit: float, acting_as: str | None = None
    ) -> AsyncIterator[Acting]:
        """One act, in its time and with its faults: a hang inside is stopped at the limit like a Helm that hangs.

        Yields its hands, with the rights of the user that it acts as.
        """
        clock = asyncio.timeout(limit)
        where = f"Release {namespace}/{name}"
        try:
            async with clock, self._faults.around(f"helm.{act}"):
                try:
                    yield Acting(self._cluster.acting_as(acting_as))
                except Forbidden as refusal:
                    told = f"the cluster refused: {refusal.cause.message}"
                    fix = "look at the plan's quota and at the rights of ClusterRole innkeeper-release"
                    raise Forbidden(told, code=refusal.cause.code, object=where, fix=fix) from None
        except TimeoutError:
            if not clock.expired():
                raise
            raise Pending(
                f"helm {act} was not done within {limit:g} s and was stopped.",
                code="HelmTooSlow",
                object=where,
                fix="look at the release's hooks, or raise the plan's deadlines.release",
            ) from None


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
