"""The steps on the Helm release: brought to the wanted state, taken back, uninstalled.

Each attempt takes the release (`fence`), reads Helm's storage through the cluster, lets `model.release` decide, does
one act and reads again, until there is nothing left to do: an attempt that was killed anywhere is carried on by the
next one, and one that wakes up late is refused. A refusal is never taken for an answer: only the storage says what is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from temporalio import activity

from ..model import release, workloads
from ..model.catalog import Catalog, Deadlines, Plan
from ..model.drift_picture import AUTOSCALERS, TEMPLATED, Workload, scaled_by
from ..model.errors import InnkeeperError, Pending, Permanent
from ..model.manifests import forgets_data, release_of
from ..model.messages import Work
from ..model.ports import Cluster, Helm, Manifest, Ref
from ..model.release import Revision
from ..model.wishes import wanted_release
from .charts import Charts
from .departures import see_gone
from .fence import Fence, Hold
from .heavy_steps import heavy
from .home import demand_home, has_home
from .secrets import Secrets
from .stopping import lift_stop, resume
from .storage import Storage

MOST_ACTS = 6
"""Acts of one attempt; the longest way that leads anywhere (wait, roll back, upgrade) is shorter."""

NO_ROOM = frozenset({"NamespaceTerminating", "NotFound"})
"""Codes of refusals to make anything in a namespace that is being deleted, or was a moment ago."""

Differs = Callable[[Manifest, Manifest | None], bool]
"""Whether a live object differs from a release's in what is to be brought back; None: it is gone."""

LONGEST_WAIT = 2.0
"""Seconds between two looks at a release that somebody may be working on."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Releases:
    """Brings releases to the wanted state and takes them away."""

    def __init__(
        self,
        cluster: Cluster,
        helm: Helm,
        catalog: Catalog,
        charts: Charts,
        secrets: Secrets,
        fence: Fence,
        storage: Storage,
    ) -> None:
        self._cluster = cluster
        self._helm = helm
        self._catalog = catalog
        self._charts = charts
        self._secrets = secrets
        self._fence = fence
        self._storage = storage
        self._hard_limit = fence.hard_limit

    @heavy
    @activity.defn(name="release")
    async def release(self, work: Work) -> None:
        """Install or upgrade the release as the plan wants it, recovering first what a killed run left.

        Raises:
            ReleaseFailed: Helm refused.
            Conflict: another attempt has taken the release since.
            Pending: somebody's Helm is at work on it, or ours was stopped at its limit.
        """
        plan = self._catalog.plan(work.plan)
        hold = await self._fence.take(work)
        facts = await self._charts.facts(work, plan)
        limit = plan.deadlines.release
        wanted = wanted_release(
            work, plan, chart_digest=facts.digest, secret_values=await self._secrets.values(work, plan)
        ).model_copy(update={"keep_volumes": facts.forgets_data})
        up = False
        revisions = await self._storage.revisions(work)
        for _ in range(MOST_ACTS):
            await hold.reach(plan, revisions)
            now = await self._moment(revisions)
            match release.decide(revisions, wanted.mark, now, self._hard_limit, alone=hold.alone):
                case release.Nothing():
                    if not up:
                        await self._bring_up(work, revisions)
                    return
                case release.Wait(seconds, because):
                    await _wait(seconds, because)
                case release.RollbackThenUpgrade(to):
                    await self._rollback(work, to, limit, hold)
                case release.UninstallThenInstall():
                    _demand_kept(work, revisions)
                    await self._uninstall(work, revisions, limit, hold)
                case release.Install() | release.Upgrade():  # pragma: no branch  # there is no other act
                    # Before Helm's own changes: what a stop remembered would undo them afterwards.
                    if not up:
                        await self._bring_up(work, revisions)
                        up = True
                    async with hold.acting() as user:
                        await self._helm.upgrade(wanted, limit=limit, acting_as=user)
                    if hold.alone:
                        revisions = await self._storage.after_upgrade(work, revisions)
                        continue
            revisions = await self._storage.revisions(work)
        raise Pending(f"release {work.release} does not settle", fix="look at it with `helm history`, then ask again")

    async def _moment(self, revisions: Sequence[Revision]) -> datetime:
        """The API server's clock, which tells how long a Helm has been at work; without one it is not asked."""
        return await self._cluster.now() if release.is_in_flight(revisions) else _LONG_AGO

    async def _bring_up(self, work: Work, revisions: list[Revision]) -> None:
        """End a stop. Without one and without a release no workload remembers any, and none is looked for.

        Nor is the row believed that says that it runs: a patch of a stop that was called off may have come late.
        """
        stopped = await lift_stop(self._cluster, work)
        if stopped or revisions:
            await resume(self._cluster, work, release.running_revision(revisions))

    @heavy
    @activity.defn(name="undo-release")
    async def undo_release(self, work: Work) -> None:
        """Go back to the revision that ran before this operation; where none did, uninstall and keep the data.

        Raises:
            Permanent: Helm's storage is not what our own acts leave, or uninstalling would delete a volume; a person
                has to look.
        """
        if not await has_home(self._cluster, work):
            return
        hold = await self._hold_or_none(work)
        if hold is not None:
            await self._go_back(work, work.former_revision, hold)

    @heavy
    @activity.defn(name="restore")
    async def restore(self, work: Work) -> None:
        """Have all that the running revision says: what was deleted or scaled to nothing by hand is brought back.

        That is a rollback of Helm's to the revision that runs, so that nothing else changes.

        Raises:
            NotOurs: the namespace is somebody else's by now.
            Permanent: the namespace is not there, or Helm's storage is not what our own acts leave.
        """
        await self._restore(work, workloads.is_gone)

    @heavy
    @activity.defn(name="reapply")
    async def reapply(self, work: Work) -> None:
        """Do what `restore` does, and bring back the replicas and images, too, that somebody changed by hand.

        Replicas that an autoscaler decides on, and containers that only the live object has, are no reason to.

        Raises as `restore` does.
        """
        found = await self._cluster.list_objects(*AUTOSCALERS, namespace=work.namespace)
        autoscaled = {scaled_by(each) for each in found}

        def differs(wanted: Manifest, live: Manifest | None) -> bool:
            if live is None or wanted["kind"] not in TEMPLATED:
                return workloads.is_gone(wanted, live)
            return Workload.of(wanted).is_changed(Workload.of(live), autoscaled)

        await self._restore(work, differs)

    async def _restore(self, work: Work, differs: Differs) -> None:
        await demand_home(self._cluster, work)
        hold = await self._fence.take(work)
        await lift_stop(self._cluster, work)
        revisions = await self._storage.revisions(work)
        running = release.running_revision(revisions)
        await resume(self._cluster, work, running)
        # A Helm that was killed late leaves no revision deployed, although one ran.
        ran = running.version if running else release.fallback(revisions, None)
        if ran is None:
            return  # Readiness, which comes next, names it.
        now = await self._go_back(work, ran, hold)
        if now is not None and await self._any(work, now, differs):
            await self._rollback(work, now.version, self._plan(work)[1], hold)

    async def _any(self, work: Work, revision: Revision, differs: Differs) -> bool:
        for manifest in revision.manifest:
            if "name" in manifest["metadata"]:
                live = await self._cluster.get(_placed(Ref.to(manifest), work))
                if differs(manifest, live):
                    return True
        return False

    async def _go_back(self, work: Work, former: int | None, hold: Hold) -> Revision | None:
        """Have Helm's storage settled at a revision, which is returned as it is now; None: at there being none."""
        plan, limit = self._plan(work)
        for _ in range(MOST_ACTS):
            revisions = await self._storage.revisions(work)
            await hold.reach(plan, revisions)
            now = await self._moment(revisions)
            match release.decide_undo(revisions, former, now, self._hard_limit, alone=hold.alone):
                case release.Nothing():
                    if not revisions and not hold.has_uninstalled:
                        await see_gone(self._cluster, work, hold)
                    return revisions[-1] if revisions else None
                case release.Wait(seconds, because):
                    await _wait(seconds, because)
                case release.Uninstall():
                    _demand_kept(work, revisions)
                    await self._uninstall(work, revisions, limit, hold)
                case release.Rollback(to):
                    await self._rollback(work, to, limit, hold)
                case release.Ambiguous(why):
                    raise Permanent(
                        why,
                        code="AmbiguousRelease",
                        object=f"Release {work.namespace}/{work.release}",
                        fix="look at it with `helm history`, then provision or uninstall the instance",
                    )
        raise Pending(f"release {work.release} does not settle", fix="look at it with `helm history`, then ask again")

    @heavy
    @activity.defn(name="uninstall")
    async def uninstall(self, work: Work) -> None:
        """Have no release, whatever state it is in; volumes and generated secrets stay.

        Raises:
            NotOurs: the namespace is somebody else's by now.
            Permanent: it would delete a volume, and no purge is asked for.
            Pending: something holds what was deleted; named object by object.
        """
        if not await has_home(self._cluster, work):
            return
        hold = await self._hold_or_none(work)
        if hold is None:
            return
        plan, limit = self._plan(work)
        for _ in range(MOST_ACTS):
            revisions = await self._storage.revisions(work)
            await hold.reach(plan, revisions)
            now = await self._moment(revisions)
            match release.decide_uninstall(revisions, now, self._hard_limit, alone=hold.alone):
                case release.Nothing():
                    if not hold.has_uninstalled:
                        await see_gone(self._cluster, work, hold)
                    return
                case release.Wait(seconds, because):
                    await _wait(seconds, because)
                case release.Uninstall():  # pragma: no branch  # there is no other act
                    _demand_kept(work, revisions)
                    # Hooks that run before the deletion need pods.
                    await lift_stop(self._cluster, work)
                    await self._uninstall(work, revisions, limit, hold)
        raise Pending(f"release {work.release} does not go away", fix="look at it with `helm history`, then ask again")

    async def _hold_or_none(self, work: Work) -> Hold | None:
        """A hold on the release; None where there is none, nor can there be one: the namespace is going or gone."""
        try:
            return await self._fence.take(work)
        except InnkeeperError as refusal:
            if refusal.cause.code not in NO_ROOM or await self._storage.revisions(work):
                raise
            return None

    async def _rollback(self, work: Work, to: int, limit: float, hold: Hold) -> None:
        withheld = await self._secrets.contents(work)
        async with hold.acting() as user:
            await self._helm.rollback(work.release, work.namespace, to, limit=limit, acting_as=user, withheld=withheld)

    async def _uninstall(self, work: Work, revisions: Sequence[Revision], limit: float, hold: Hold) -> None:
        newest = revisions[-1]
        await self._delete_strays(work, revisions)
        withheld = await self._secrets.contents(work)
        async with hold.acting() as user:
            await self._helm.uninstall(work.release, work.namespace, limit=limit, acting_as=user, withheld=withheld)
        deleted = {*release.objects_of(newest), *release.strays(revisions)}
        await see_gone(self._cluster, work, hold, [_placed(ref, work) for ref in deleted])
        hold.has_uninstalled = True

    async def _delete_strays(self, work: Work, revisions: Iterable[Revision]) -> None:
        """Delete what only older revisions made, where it still is the release's own."""
        for ref in release.strays(revisions):
            placed = _placed(ref, work)
            found = await self._cluster.get(placed)
            if found is not None and release_of(found) == work.release:
                await self._cluster.delete(placed, uid=found["metadata"]["uid"])

    def _plan(self, work: Work) -> tuple[Plan | None, float]:
        """The plan, if the catalog still has it, and the seconds that one act may take."""
        plan = self._catalog.plans.get(work.plan)
        return plan, (plan.deadlines if plan else Deadlines()).release


def _demand_kept(work: Work, revisions: list[Revision]) -> None:
    """Pass only where uninstalling the newest revision, which is the one that Helm goes by, deletes no volume.

    What this package installs keeps them; what somebody upgraded by hand may not.
    """
    loses = next((Ref.to(each) for each in revisions[-1].manifest if forgets_data(each)), None)
    if loses is not None and not work.purges:
        raise Permanent(
            f"uninstalling {revisions[-1]} of release {work.release} would delete volumes of {loses}",
            code="WouldLoseData",
            object=f"Release {work.namespace}/{work.release}",
            fix="bring back what keeps them: `helm rollback` to a revision of Innkeeper's, or upgrade the instance",
        )


def _placed(ref: Ref, work: Work) -> Ref:
    return ref if ref.namespace else ref._replace(namespace=work.namespace)


async def _wait(seconds: float, because: str) -> None:
    if seconds > LONGEST_WAIT:
        # Told to Temporal as an attempt of its own, so that the wait shows and holds no slot.
        raise Pending(f"waiting: {because}", retry_after=min(seconds, 10))
    await asyncio.sleep(seconds)
