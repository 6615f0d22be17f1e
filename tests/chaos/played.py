"""The ports as a worker under test gets them: each write is an effect of its instance's `Play`, reads need life."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from innkeeper.model import names
from innkeeper.model.catalog import ChartRef
from innkeeper.model.instance import Instance, Kind, Status
from innkeeper.model.messages import OperationRecord
from innkeeper.model.ports import (
    Cluster,
    Database,
    Helm,
    InstancePage,
    Manifest,
    OperationPage,
    Page,
    Ref,
    Release,
    Watch,
)
from innkeeper.model.record_messages import Claim, ClaimRequest, Ending, Outset

from .effects import Fault, Play

CutShort = Callable[[Play, Awaitable[None]], Awaitable[None]]
"""Lets an act of Helm's begin, and kills it in the middle; returns only where it ended before."""


def instance_of(namespace: str | None) -> str:
    """Whose namespace it is; empty where it is no instance's."""
    found = namespace or ""
    return found.removeprefix(names.NAMESPACE_PREFIX) if found.startswith(names.NAMESPACE_PREFIX) else ""


def label_of(verb: str, ref: Ref) -> str:
    """A write for people, the same for every instance."""
    instance = instance_of(ref.namespace or ref.name)
    short = ref.name.removeprefix(f"{instance}-") if ref.kind != "Namespace" else ""
    # Helm's storage has the release's name in the middle.
    short = short.replace(f".{names.release_of(instance)}.", ".<release>.")
    return f"cluster.{verb} {ref.kind} {short}".rstrip()


class Cast:
    """The plays of one worker, by instance."""

    def __init__(self, plays: Iterable[Play] = ()) -> None:
        self.plays = {play.instance: play for play in plays}

    def of(self, instance: str) -> Play:
        """The instance's play; one without faults where it has none."""
        return self.plays.get(instance) or Play(instance)

    def at(self, ref: Ref) -> Play:
        """The play of the instance that an object belongs to."""
        return self.of(instance_of(ref.namespace or ref.name))


class PlayedCluster:
    """`ports.Cluster`, played."""

    def __init__(self, cluster_of: Callable[[str], Cluster], cast: Cast) -> None:
        self._of = cluster_of
        self._cast = cast

    async def get(self, ref: Ref) -> Manifest | None:
        play = self._cast.at(ref)
        await play.alive()
        return await self._of(play.instance).get(ref)

    async def list_objects(
        self, api_version: str, kind: str, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Manifest]:
        play = self._cast.of(instance_of(namespace))
        await play.alive()
        return await self._of(play.instance).list_objects(api_version, kind, namespace=namespace, labels=labels)

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        ref = Ref.to(manifest)
        play = self._cast.at(ref)
        if dry_run:
            await play.alive()
            return await self._of(play.instance).create(manifest, dry_run=True)
        async with play.effect(label_of("create", ref)):
            return await self._of(play.instance).create(manifest)

    async def apply(self, manifest: Manifest) -> Manifest:
        ref = Ref.to(manifest)
        play = self._cast.at(ref)
        async with play.effect(label_of("apply", ref)):
            return await self._of(play.instance).apply(manifest)

    async def patch(self, ref: Ref, patch: Manifest) -> Manifest | None:
        play = self._cast.at(ref)
        async with play.effect(label_of("patch", ref)):
            return await self._of(play.instance).patch(ref, patch)

    async def delete(self, ref: Ref, *, uid: str) -> bool:
        play = self._cast.at(ref)
        async with play.effect(label_of("delete", ref)):
            return await self._of(play.instance).delete(ref, uid=uid)

    async def is_namespaced(self, api_version: str, kind: str) -> bool | None:
        return await self._of("").is_namespaced(api_version, kind)

    async def contents(self, namespace: str) -> list[Manifest]:
        play = self._cast.of(instance_of(namespace))
        await play.alive()
        return await self._of(play.instance).contents(namespace)

    async def now(self) -> datetime:
        return await self._of("").now()

    async def version(self) -> str:
        return await self._of("").version()

    async def api_versions(self) -> list[str]:
        return await self._of("").api_versions()

    async def may(self, user: str, verb: str, api_version: str, kind: str, *, namespace: str) -> bool:
        play = self._cast.of(instance_of(namespace))
        await play.alive()
        return await self._of(play.instance).may(user, verb, api_version, kind, namespace=namespace)

    @asynccontextmanager
    async def watch(self, namespace: str) -> AsyncIterator[Watch]:
        play = self._cast.of(instance_of(namespace))
        await play.alive()
        async with self._of(play.instance).watch(namespace) as watch:
            yield watch


async def to_the_end(play: Play, act: Awaitable[None]) -> None:  # a `CutShort`
    """Let an act of Helm's do all its work."""
    await act


class PlayedHelm:
    """`ports.Helm`, played."""

    def __init__(self, helm_of: Callable[[str], Helm], cast: Cast, cut_short: CutShort = to_the_end) -> None:
        self._of = helm_of
        self._cast = cast
        self._cut_short = cut_short

    async def version(self) -> str:
        return await self._of("").version()

    async def chart_digest(self, chart: ChartRef) -> str:
        return await self._of("").chart_digest(chart)

    async def template(
        self, release: Release, *, limit: float, kube_version: str | None = None, api_versions: Sequence[str] = ()
    ) -> list[Manifest]:
        helm = self._of("")
        return await helm.template(release, limit=limit, kube_version=kube_version, api_versions=api_versions)

    async def upgrade(self, release: Release, *, limit: float, acting_as: str | None = None) -> None:
        play = self._cast.of(release.name)
        helm = self._of(play.instance)
        await self._act("upgrade", play, lambda: helm.upgrade(release, limit=limit, acting_as=acting_as))

    async def rollback(
        self,
        name: str,
        namespace: str,
        revision: int,
        *,
        limit: float,
        acting_as: str | None = None,
        withheld: Sequence[str] = (),
    ) -> None:
        play = self._cast.of(name)
        helm = self._of(play.instance)
        await self._act(
            "rollback",
            play,
            lambda: helm.rollback(name, namespace, revision, limit=limit, acting_as=acting_as, withheld=withheld),
        )

    async def uninstall(
        self, name: str, namespace: str, *, limit: float, acting_as: str | None = None, withheld: Sequence[str] = ()
    ) -> None:
        play = self._cast.of(name)
        helm = self._of(play.instance)
        await self._act(
            "uninstall",
            play,
            lambda: helm.uninstall(name, namespace, limit=limit, acting_as=acting_as, withheld=withheld),
        )

    async def _act(self, verb: str, play: Play, act: Callable[[], Awaitable[None]]) -> None:
        async with play.effect(f"helm.{verb}") as effect:
            if play.faults.get(effect) is Fault.KILLED_WITHIN:
                await self._cut_short(play, act())
            else:
                await act()


class PlayedDatabase:
    """`ports.Database`, played."""

    def __init__(self, database: Database, cast: Cast) -> None:
        self._database = database
        self._cast = cast

    async def outset(self, request_id: str, instance: str) -> Outset:
        await self._cast.of(instance).alive()
        return await self._database.outset(request_id, instance)

    async def claim(self, claim: ClaimRequest) -> Claim:
        async with self._cast.of(claim.request.instance).effect("db.claim"):
            return await self._database.claim(claim)

    async def finish(self, ending: Ending) -> Instance:
        async with self._cast.of(ending.instance).effect("db.finish"):
            return await self._database.finish(ending)

    async def ping(self) -> None:
        await self._database.ping()

    async def instance(self, name: str) -> Instance | None:
        await self._cast.of(name).alive()
        return await self._database.instance(name)

    async def instances(self, page: Page, *, tenant: str | None = None, status: Status | None = None) -> InstancePage:
        return await self._database.instances(page, tenant=tenant, status=status)

    async def in_transition(self, page: Page, *, before: datetime) -> InstancePage:
        return await self._database.in_transition(page, before=before)

    async def operation(self, request_id: str) -> OperationRecord | None:
        return await self._database.operation(request_id)

    async def operations(
        self, page: Page, *, instance: str | None = None, tenant: str | None = None, kind: Kind | None = None
    ) -> OperationPage:
        return await self._database.operations(page, instance=instance, tenant=tenant, kind=kind)
