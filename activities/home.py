"""Whose the namespace is, asked before anything in it is changed: it may have been deleted and made anew by others."""

from __future__ import annotations

from ..model import marks
from ..model.errors import Permanent
from ..model.messages import Work
from ..model.ports import Cluster, Manifest, Ref


async def has_home(cluster: Cluster, work: Work) -> bool:
    """Whether the instance's namespace is there.

    Raises:
        NotOurs: one of that name is, without this instance's mark.
    """
    return await _home(cluster, work) is not None


async def demand_home(cluster: Cluster, work: Work) -> Manifest:
    """The instance's namespace, which must be there and its own.

    Raises:
        NotOurs: it is somebody else's.
        Permanent: there is none.
    """
    found = await _home(cluster, work)
    if found is None:
        raise Permanent(
            f"Namespace {work.namespace} is not there",
            code="NamespaceMissing",
            object=f"Namespace {work.namespace}",
            fix="repair the instance to have it made anew; what was in the namespace went with it",
        )
    return found


async def _home(cluster: Cluster, work: Work) -> Manifest | None:
    found = await cluster.get(Ref("v1", "Namespace", work.namespace))
    if found is not None:
        marks.demand_ours(found, work.instance, work.tenant)
    return found
