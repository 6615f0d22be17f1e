"""Whether a pod serves, as the tests that compare whole worlds judge it: by themselves, not by the product's rules."""

from __future__ import annotations

from innkeeper.model.ports import Manifest


def is_serving(pod: Manifest) -> bool:
    """The pod is ready and not about to go."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")
