"""Taking a release for one attempt: from then on no Helm of an earlier attempt can write, however late it wakes up.

Temporal starts another attempt where it hears nothing of one for long enough. The silent one may be dead; or stopped,
frozen with its machine, or cut off, and go on later. So an attempt begins by putting a user of its own into the
instance's RoleBinding (`model.fence`), and never looks up afterwards who is in it: it stays the user that it was.

Two bounds remain, both the API server's. A request that it had let in before the binding changed may still be
written, at most its request timeout (60 s by default) later; so storage is read after taking, and each step ends by
reading again what it wants to be true. And where there are several API servers, those that did not answer here may
lag behind by what their watches do, commonly milliseconds.

A chart with objects outside the namespace (`cluster_objects`) cannot be installed with rights inside it: its Helm acts
as the worker and cannot be fenced. That is noted on the binding, and while the note holds a pending revision is
waited for as if a Helm were alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from temporalio import activity

from ..model import fence, release, surroundings
from ..model.catalog import Catalog, Deadlines, Plan
from ..model.errors import AlreadyExists, Conflict, Forbidden, Pending, Permanent
from ..model.messages import Work
from ..model.ports import Cluster, Manifest, Ref
from ..model.release import Revision
from .polling import patience, until
from .storage import read_revisions

KILL_GRACE = 10.0
"""Seconds that a Helm may outlive its limit, while it is being killed."""

FIRST_LOOK, LOOKS_EVERY = 0.005, 0.1
"""Seconds until the API server is asked whether it knows the new user, and at most between two such questions. Its
watch takes milliseconds, so one that is asked at once mostly says no; where nobody enforces rights all do, for minutes.
"""

SETTLING = 2.0
"""Seconds given once to API servers that do not know the new user yet, although another one does."""


class Fence:
    """Takes releases."""

    def __init__(self, cluster: Cluster, catalog: Catalog) -> None:
        self._cluster = cluster
        # A run that is looked at may have begun under any plan.
        limits = [plan.deadlines.release for plan in catalog.plans.values()]
        self.hard_limit = max([*limits, Deadlines().release]) + KILL_GRACE
        """Seconds that a Helm of ours lives at the most."""

    async def binding(self, work: Work) -> Manifest | None:
        """The binding as it is now; None: there is none."""
        return await self._cluster.get(fence.binding_ref(work.namespace))

    async def have(self, work: Work, found: Manifest | None, *, fresh: bool = False) -> Manifest:
        """Have the binding, whoever holds it.

        Args:
            work: the operation's.
            found: the binding as it was read; None: there was none.
            fresh: the namespace was made a moment ago, so that no Helm with rights in it alone can be at work there.

        Raises:
            NotOurs: one of that name is somebody else's.
            Conflict: one was made just now.
        """
        if fresh:
            return await self._create(surroundings.release_binding(work))
        if found is None:
            return await self._make(work)
        fence.demand_ours(found, work.instance, work.tenant)
        return found

    async def _make(self, work: Work) -> Manifest:
        """A new binding. A Helm that is at work right now may be one that no binding names, so it is noted."""
        manifest = surroundings.release_binding(work)
        if release.is_in_flight(await read_revisions(self._cluster, work)):
            manifest["metadata"]["annotations"] |= await self._note(self.hard_limit)
        return await self._create(manifest)

    async def _create(self, manifest: Manifest) -> Manifest:
        try:
            return await self._cluster.create(manifest)
        except AlreadyExists:
            raise Conflict(f"{Ref.to(manifest)} was made a moment ago", fix="read again") from None

    async def _note(self, seconds: float) -> dict[str, str]:
        until_then = await self._cluster.now() + timedelta(seconds=seconds)
        return {fence.UNFENCED_UNTIL: until_then.isoformat()}

    async def take(self, work: Work) -> Hold:
        """Take the release for this attempt: the first thing that it does, so that no later one is overtaken.

        Raises:
            NotOurs: the binding is somebody else's.
            Conflict: another attempt took it at this moment.
            Pending: the API server still lets the former user in at the deadline, or does not let in the new one.
        """
        ends = time.monotonic() + patience()
        found = await self.have(work, await self.binding(work))
        noted = fence.unfenced_until(found)
        alone = noted is None or await self._cluster.now() >= noted
        former = fence.holder_of(found)
        user = fence.successor(work.namespace, former, secrets.token_hex(4))
        # The plan may be another one by now. A patch, since an apply could give the release back to who had it before.
        labels = surroundings.release_binding(work)["metadata"]["labels"]
        meta: Manifest = {"resourceVersion": found["metadata"]["resourceVersion"], "labels": labels}
        if alone and noted is not None:
            meta["annotations"] = {fence.UNFENCED_UNTIL: None}
        patch = {"metadata": meta, "subjects": [fence.subject(user)]}
        taken = await self._cluster.patch(fence.binding_ref(work.namespace), patch)
        if taken is None:
            raise Pending(f"{fence.binding_ref(work.namespace)} was deleted a moment ago")
        await self._in_force(work, former, user)
        return Hold(self, work, user, taken, alone=alone, ends=ends)

    async def _in_force(self, work: Work, former: str | None, user: str) -> None:
        """Wait until the API server lets the new user in and the former one no longer: it learns that by a watch."""

        async def known() -> bool:
            return await self.lets_in(work, user) and (former is None or not await self.lets_in(work, former))

        if not await until(known, at_most=patience(), first=FIRST_LOOK, every=LOOKS_EVERY):
            where = str(fence.binding_ref(work.namespace))
            raise Pending(
                f"{where} does not decide who may write: the API server lets in its former user, or not yet {user}",
                code="FenceOpen",
                object=where,
                fix=f"apply deploy/worker-rights.yaml for ClusterRole {fence.ROLE}; see that the API server enforces "
                "RBAC, and that no other binding is for all users",
            )

    async def lets_in(self, work: Work, user: str) -> bool:
        """Whether the user may write Helm's storage, without which no Helm gets anywhere."""
        return await self._cluster.may(user, "create", "v1", "Secret", namespace=work.namespace)

    async def outside(self, work: Work, revisions: Sequence[Revision]) -> list[Ref] | None:
        """The release's objects that live in no namespace; None where it has none, and is not about to lose any."""
        try:
            kinds = release.kinds_of(revisions, work.former_revision)
        except Permanent:
            return None  # A record that cannot be read tells Helm nothing either.
        free = {kind for kind in sorted(kinds) if await self._cluster.is_namespaced(*kind) is False}
        if not free:
            return None
        newest = release.objects_of(revisions[-1])
        return [ref for ref in (*newest, *release.strays(revisions)) if (ref.api_version, ref.kind) in free]

    async def open(self, work: Work, version: str, outside: Sequence[Ref] | None) -> None:
        """Note on the binding, as it was when it was taken, that a Helm of this attempt acts as no user of it.

        With what it may delete outside the namespace: no later attempt could find that out.

        Raises:
            Conflict: another attempt has taken the release since.
        """
        limit = activity.info().start_to_close_timeout or timedelta()
        annotations = await self._note(max(self.hard_limit, limit.total_seconds() + KILL_GRACE))
        if outside:
            annotations[fence.OUTSIDE] = fence.noted(outside)
        patch = {"metadata": {"resourceVersion": version, "annotations": annotations}}
        if await self._cluster.patch(fence.binding_ref(work.namespace), patch) is None:
            raise Pending(f"{fence.binding_ref(work.namespace)} was deleted a moment ago")


class Hold:
    """One attempt's hold on a release; lost, and not to be had again, once another attempt takes it."""

    def __init__(self, owner: Fence, work: Work, user: str, binding: Manifest, *, alone: bool, ends: float) -> None:
        self.alone = alone
        """Whether no other Helm can write: all former ones are fenced."""
        self.outside = fence.outside_of(binding)
        """What an earlier attempt may have deleted outside the namespace."""
        self.has_uninstalled = False
        """This attempt has uninstalled the release, and seen it go."""
        self._fence = owner
        self._work = work
        self._user: str | None = user
        self._version = binding["metadata"]["resourceVersion"]
        self._ends = ends
        self._looked = False
        self._refused = False

    @property
    def patience(self) -> float:
        """Seconds that are left before the attempt must say what it waits for."""
        return max(self._ends - time.monotonic(), 0.0)

    async def reach(self, plan: Plan | None, revisions: Sequence[Revision]) -> None:
        """Let Helm act as the worker itself where the plan or what is installed needs that; asked once."""
        if self._looked:
            return
        self._looked = True
        outside = await self._fence.outside(self._work, revisions)
        if (plan is not None and plan.cluster_objects) or outside is not None:
            await self._fence.open(self._work, self._version, outside)
            self._user = None

    @contextlib.asynccontextmanager
    async def acting(self) -> AsyncIterator[str | None]:
        """Whom one act of Helm's is done as. Returns without an error where the act is to be decided on once more.

        Raises:
            Conflict: the act was refused since another attempt has the release, or the binding is gone.
        """
        try:
            yield self._user
        except Forbidden as refusal:
            # What lacks no right of this user's, a quota or a policy, names nobody.
            if self._user is None or self._user not in refusal.cause.message:
                raise
            if not await self._fence.lets_in(self._work, self._user):
                raise Conflict(
                    f"Helm was refused: another attempt has release {self._work.release}, or its binding was changed",
                    code="Fenced",
                    object=str(fence.binding_ref(self._work.namespace)),
                    fix="it is tried again, as another user",
                ) from None
            if self._refused:
                raise
            self._refused = True
            await asyncio.sleep(SETTLING)
