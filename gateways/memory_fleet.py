"""The fleet in memory, held to the same contract tests as the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from ..model.drift_picture import Look
from ..model.ports import Manifest
from .memory_cluster import MemoryCluster

PAGE = 2
"""Objects of one page: few, so that tests have several."""


class MemoryFleet:
    """`drift_ports.Fleet` over a cluster in memory; its calls are `cluster.list_objects` to that one's faults."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster

    async def pages(self, look: Look, *, namespace: str | None = None) -> AsyncIterator[list[Manifest]]:
        """See `drift_ports.Fleet.pages`."""
        found = await self._cluster.list_objects(look.api_version, look.kind, namespace=namespace)
        chosen = [each for each in found if _selected(each, look, namespace)]
        for start in range(0, len(chosen), PAGE):
            yield [_named(each) if look.names_only else each for each in chosen[start : start + PAGE]]


def _selected(manifest: Manifest, look: Look, namespace: str | None) -> bool:
    meta = manifest["metadata"]
    labels = meta.get("labels") or {}
    fields = {"status.phase": (manifest.get("status") or {}).get("phase")}
    mine = look.kind != "Namespace" or namespace in (None, meta["name"])
    return mine and _fits(look.labels, labels) and _fits(look.fields, fields)


def _fits(selector: str, values: Mapping[str, str | None]) -> bool:
    """Whether every requirement of ``a=b,c!=d`` holds."""
    for requirement in filter(None, selector.split(",")):
        name, _, wanted = requirement.partition("=")
        if (values.get(name.removesuffix("!")) == wanted) is name.endswith("!"):
            return False
    return True


def _named(manifest: Manifest) -> Manifest:
    return {name: manifest[name] for name in ("apiVersion", "kind", "metadata")}
