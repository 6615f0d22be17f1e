"""What an operation left in an instance's namespace that should not be there: named where it could not be undone."""

from __future__ import annotations

from collections.abc import Sequence

from . import marks
from .manifests import HOOK, is_kept, release_of
from .messages import Work
from .ports import Manifest, Ref
from .revision import STORAGE_TYPE

MOST_NAMED = 20
"""Objects that are named; the rest is counted."""

_USUAL = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
"""What every namespace holds."""


def leftovers(objects: Sequence[Manifest], work: Work) -> list[str]:
    """The objects that tell a person what is left, in words.

    Left out is what stays on purpose (data, except where it was to be purged; what another operation put around the
    release), what somebody else put there, what follows from an object that is named (pods of a workload), and Helm's
    own storage.
    """
    there = {item["metadata"].get("uid") for item in objects}
    told = [str(Ref.to(item)) for item in objects if _is_left(item, work) and not _follows(item, there)]
    more = len(told) - MOST_NAMED
    return [*told[:MOST_NAMED], f"and {more} more objects"] if more > 0 else told


def _follows(item: Manifest, there: set[str | None]) -> bool:
    return any(owner.get("uid") in there for owner in item["metadata"].get("ownerReferences") or [])


def _is_left(item: Manifest, work: Work) -> bool:
    meta = item["metadata"]
    if (item["kind"], meta["name"]) in _USUAL or item.get("type") == STORAGE_TYPE:
        return False
    if work.purges:
        return True
    if item["kind"] == "PersistentVolumeClaim" or is_kept(item) or marks.DATA in (meta.get("labels") or {}):
        return False
    if marks.is_ours(item, work.instance, work.tenant):
        return marks.created_by(item) == work.request_id
    return _is_of_release(item, work) or bool(meta.get("ownerReferences"))


def _is_of_release(item: Manifest, work: Work) -> bool:
    """Whether Helm made the object: it writes its release's name on all but hooks, and those say that they are some."""
    return release_of(item) == work.release or HOOK in (item["metadata"].get("annotations") or {})
