"""Whose the namespace is, asked before anything in it is changed: it may have been deleted and made anew by others."""

from __future__ import annotations

from ..model import marks
from ..model.errors import Permanent
from ..model.messages import Work
from ..model.ports import Cluster, Ref


async def has_home(cluster: Cluster, work: Work) -> bool:
    """Whether the instance's namespace is there.

    Raises:
        NotOurs: one of that name is, without this instance's mark.
    """
    found = await cluster.get(Ref("v1", "Namespace", work.namespace))
    if found is None:
        return False
    marks.demand_ours(found, work.instance, work.tenant)
    return True


async def demand_home(cluster: Cluster, work: Work) -> None:
    """Pass only if the instance's namespace is there and its own.

    Raises:
        NotOurs: it is somebody else's.
        Permanent: there is none.
    """
    if not await has_home(cluster, work):
        raise Permanent(
            f"Namespace {work.namespace} is not there",
            code="NamespaceMissing",
            object=f"Namespace {work.namespace}",
            fix="repair the instance to have it made anew; what was in the namespace went with it",
        )
