"""Helm's storage as activities read it: through the cluster, all of it in one list, or what runs in one get.

A list is what an API server is slowest at: it must first be told that its cache is not behind, which takes up to a
tenth of a second where nothing changes. A get goes to its database at once. So who only wants to know what runs gets
the revision that was the newest when this worker last looked. Helm marks it superseded before another one is deployed
(`pkg/action/upgrade.go` and `rollback.go` of Helm 3), so as long as it is deployed none after it is. Where that mark
was lost two are deployed: the release step mends it, and looks for it before and after each act.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..model import release
from ..model.messages import Work
from ..model.ports import Cluster, Ref
from ..model.release import Revision, State


async def read_revisions(cluster: Cluster, work: Work) -> list[Revision]:
    """The release's revisions as Helm's storage shows them, the oldest first; one request."""
    labels = release.storage_labels(work.release)
    return release.revisions_of(await cluster.list_objects("v1", "Secret", namespace=work.namespace, labels=labels))


class Storage:
    """Helm's storage, with a memory of where its newest revision was: a hint, which every answer is checked against.

    Args:
        cluster: where it is.
        most_known: how many releases are remembered; of any other the list is read.
    """

    def __init__(self, cluster: Cluster, *, most_known: int = 20_000) -> None:
        self._cluster = cluster
        self._most_known = most_known
        self._newest: dict[tuple[str, str], int] = {}

    async def revisions(self, work: Work) -> list[Revision]:
        """All of the release, the oldest first; one list."""
        return self._known(work, await read_revisions(self._cluster, work))

    async def after_upgrade(self, work: Work, before: Sequence[Revision]) -> list[Revision]:
        """The release after an upgrade, or an install, beside which no other Helm could write.

        It has made the revision after the newest, and marked superseded what was deployed: that is a get each, and
        only where it is not so a list. What Helm has pruned for the new one is still among them.

        Args:
            work: the operation's.
            before: what was stored before, the oldest first.
        """
        # What is pending was an earlier attempt's, of whose Helm a last write may be let in late (`fence`).
        if any(each.state.in_flight or each.state is State.UNKNOWN for each in before):
            return await self.revisions(work)
        made = before[-1].version + 1 if before else 1
        deployed = [each.version for each in before if each.state is State.DEPLOYED]
        found = await asyncio.gather(*(self._revision(work, version) for version in (*deployed, made)))
        stored = {each.version: each for each in (*before, *found) if each is not None}
        ordered = [stored[version] for version in sorted(stored)]
        if None in found or release.settled_at(ordered) is None:
            return await self.revisions(work)
        return self._known(work, ordered)

    def _known(self, work: Work, found: list[Revision]) -> list[Revision]:
        key = (work.namespace, work.release)
        self._newest.pop(key, None)
        if found and found[-1].state is State.DEPLOYED:
            self._newest[key] = found[-1].version
            if len(self._newest) > self._most_known:
                del self._newest[next(iter(self._newest))]
        return found

    async def running(self, work: Work) -> Revision | None:
        """The newest deployed revision, None where none is; one get where it is the one that it was."""
        newest = self._newest.get((work.namespace, work.release))
        found = await self._revision(work, newest) if newest is not None else None
        if found is not None and found.state is State.DEPLOYED:
            return found
        return release.running_revision(await self.revisions(work))

    async def _revision(self, work: Work, version: int) -> Revision | None:
        ref = Ref("v1", "Secret", release.record_name(work.release, version), work.namespace)
        found = await self._cluster.get(ref)
        return next(iter(release.revisions_of([found])), None) if found is not None else None
