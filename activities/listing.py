"""What there is of some kinds in an instance's namespace: lists that are asked for at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ..model.messages import Work
from ..model.ports import Cluster, Manifest


async def objects_of(cluster: Cluster, work: Work, kinds: Iterable[tuple[str, str]]) -> list[Manifest]:
    """The objects of these kinds (version and kind), in the order of the kinds; each says what it is."""

    async def of_kind(version: str, kind: str) -> list[Manifest]:
        found = await cluster.list_objects(version, kind, namespace=work.namespace)
        return [{**each, "apiVersion": version, "kind": kind} for each in found]

    return [each for found in await asyncio.gather(*(of_kind(*kind) for kind in kinds)) for each in found]
