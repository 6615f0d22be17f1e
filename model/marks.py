"""The marks by which everything that Innkeeper makes in a cluster is known, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import NotOurs

MANAGER = "innkeeper"
PREFIX = "innkeeper.dev/"

MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE = PREFIX + "instance"
TENANT = PREFIX + "tenant"
PLAN = PREFIX + "plan"

DATA = PREFIX + "data"
"""Label on what only purge may delete: generated Secrets."""

CREATED_BY = PREFIX + "created-by"
"""Annotation: the request id of the operation that made the object; only that operation may undo it."""

ADOPTED_BY = PREFIX + "adopted-by"
"""Annotation: the request id of the adoption that marked the object, which somebody else had made."""

BEFORE_ADOPTION = PREFIX + "before-adoption"
"""Annotation: what the marked object's labels were before, as JSON; null for one that was not there."""

STOPPED = PREFIX + "stopped"
"""Annotation on a stopped workload: what start must bring back, as JSON."""

RESTARTED_BY = PREFIX + "restarted-by"
"""Annotation on a pod template: the request id of the restart that rolled it."""

RESTARTED_BEFORE = PREFIX + "restarted-before"
"""Annotation on a workload that was rolled: the request id of the restart before, for taking the roll back."""

STOP_QUOTA = "innkeeper-stopped"
"""The ResourceQuota of no pods that exists while an instance is stopped."""


def labels(*, instance: str, tenant: str, plan: str) -> dict[str, str]:
    """The labels of everything made for an instance."""
    return {MANAGED_BY: MANAGER, INSTANCE: instance, TENANT: tenant, PLAN: plan}


def created_by(manifest: Mapping[str, Any]) -> str | None:
    """The request id of the operation that made the object, None where the mark is missing."""
    found: str | None = (manifest["metadata"].get("annotations") or {}).get(CREATED_BY)
    return found


def is_ours(manifest: Mapping[str, Any], instance: str, tenant: str) -> bool:
    """Whether the object carries the mark of this instance as this tenant's.

    The tenant counts, too: where the rows were lost or restored from an old backup, a namespace that is still there
    must not become another customer's.
    """
    found = manifest["metadata"].get("labels") or {}
    return bool(found.get(MANAGED_BY) == MANAGER and found.get(INSTANCE) == instance and found.get(TENANT) == tenant)


def demand_ours(manifest: Mapping[str, Any], instance: str, tenant: str) -> None:
    """Pass only if the object carries this instance's mark.

    Raises:
        NotOurs: it does not; names the object and whose it seems to be. The code tells an object in the namespace
            from the namespace itself: beside the one there may well be something of the instance's, not in the other.
    """
    if is_ours(manifest, instance, tenant):
        return
    meta = manifest["metadata"]
    where = f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else meta["name"]
    manager = (meta.get("labels") or {}).get(MANAGED_BY, "nobody named")
    fix = "use another name for the instance, or remove the object if it is not needed; it was not touched"
    if manager == MANAGER:
        fix = "use another name for the instance: this is part of another one, maybe of another tenant's"
    raise NotOurs(
        f"{manifest.get('kind', 'Object')} {where} exists and is not this instance's (managed by {manager})",
        code="ObjectNotOurs" if meta.get("namespace") else "NotOurs",
        object=f"{manifest.get('kind', 'Object')} {where}",
        fix=fix,
    )
