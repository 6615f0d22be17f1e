"""Whether what was deleted is gone: a delete is answered at once, and finalizers may hold the object for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..model.errors import Pending
from ..model.manifests import release_of
from ..model.messages import Work
from ..model.ports import Cluster, Manifest, Ref
from .fence import Hold
from .polling import until
from .telling import waiting_for

MOST_NAMED = 10
"""Objects that an error names."""

EVERY = 0.5
"""Seconds between two looks: what is not gone at the first is held by something that takes its time."""

IN_PLACE = 2.0
"""Seconds of looks by the attempt that deleted. The place that a step which runs Helm has is wanted by others, and what
holds an object may do so for hours: it is given back, and later attempts take one look each."""


async def see_gone(cluster: Cluster, work: Work, hold: Hold, deleted: Sequence[Ref] | None = None) -> None:
    """See that no object of the release is being deleted any more. A purge waits for the whole namespace instead.

    Args:
        cluster: where to look.
        work: the operation's.
        hold: this attempt's.
        deleted: what may be on its way; None: an attempt before this one knew, so all of the namespace is looked at,
            and what that one noted of other places.

    Raises:
        Pending: something still holds them; named object by object.
    """
    if work.purges:
        return
    held: list[str] = []

    async def gone() -> bool:
        asked = hold.outside if deleted is None else deleted
        found: list[Manifest | None] = list(await asyncio.gather(*(cluster.get(ref) for ref in asked)))
        if deleted is None:
            found += await cluster.contents(work.namespace)
        held[:] = [str(Ref.to(each)) for each in found if each and _is_going(each, work)]
        if held:
            waiting_for(f"deleted objects to go: {', '.join(sorted(held)[:MOST_NAMED])}")
        return not held

    if await gone():
        return
    longest = 0.0 if deleted is None else min(IN_PLACE, hold.patience)
    if not await until(gone, at_most=longest, every=EVERY):
        raise Pending(
            f"objects of release {work.release} are still being deleted: {', '.join(sorted(held)[:MOST_NAMED])}",
            code="ObjectsHeld",
            object=min(held, default=""),
            fix="remove what holds them, or their finalizers; nothing foreign is stripped",
        )


def _is_going(manifest: Manifest, work: Work) -> bool:
    return bool(manifest["metadata"].get("deletionTimestamp")) and release_of(manifest) == work.release
