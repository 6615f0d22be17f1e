"""Whose Helm may write in an instance's namespace: the one user that a RoleBinding there names.

Each attempt of a step that runs Helm puts a user of its own into the binding, and its Helm acts as that user. RBAC is
asked at each request, so from then on every Helm of an earlier attempt is refused, however long it was stopped: a
pending revision that is read afterwards has nobody at work on it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from . import marks
from .errors import NotOurs
from .ports import Manifest, Ref

RBAC = "rbac.authorization.k8s.io/v1"
ROLE = "innkeeper-release"
"""The ClusterRole with what Helm may do in an instance's namespace."""
BINDING = "innkeeper-release"
"""The RoleBinding that gives it to one user."""

UNFENCED_UNTIL = marks.PREFIX + "unfenced-until"
"""Annotation on the binding: until then a Helm may be at work that acts as no user of the binding's."""

OUTSIDE = marks.PREFIX + "outside"
"""Annotation on the binding: the objects outside the namespace that the release had when a Helm could delete them."""

_USER = re.compile(r"innkeeper:([-a-z0-9]+):([1-9][0-9]*):([0-9a-f]+)")


def binding_ref(namespace: str) -> Ref:
    """Where the binding is."""
    return Ref(RBAC, "RoleBinding", BINDING, namespace)


def subject(user: str) -> Manifest:
    """The user as a binding names it."""
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}


def role_ref() -> Manifest:
    """The role as a binding names it."""
    return {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": ROLE}


def widest_role() -> Manifest:
    """The role for a cluster that has none: everything, which only ever holds inside one namespace."""
    return {
        "apiVersion": RBAC,
        "kind": "ClusterRole",
        "metadata": {"name": ROLE, "labels": {marks.MANAGED_BY: marks.MANAGER}},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    }


def holder_of(binding: Manifest) -> str | None:
    """The user that the binding names; None where it names nobody, or not as we do."""
    subjects = binding.get("subjects") or []
    name = str(subjects[0].get("name")) if len(subjects) == 1 and subjects[0].get("kind") == "User" else ""
    found = _USER.fullmatch(name)
    return name if found and found[1] == binding["metadata"]["namespace"] else None


def successor(namespace: str, former: str | None, life: str) -> str:
    """The user after `former`, ``innkeeper:<namespace>:<epoch>:<life>``, that no Helm has acted as yet.

    The epoch counts up. `life` is hexadecimal and drawn anew for the first one: a namespace or a binding that was
    deleted and made again must not wake a Helm of the former one.
    """
    found = _USER.fullmatch(former or "")
    return f"innkeeper:{namespace}:{int(found[2]) + 1}:{found[3]}" if found else f"innkeeper:{namespace}:1:{life}"


def unfenced_until(binding: Manifest) -> datetime | None:
    """Until when a Helm may be at work that acts as no user of the binding's; None where there is none."""
    text = _annotation(binding, UNFENCED_UNTIL)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def noted(outside: Iterable[Ref]) -> str:
    """The value of `OUTSIDE` for these objects."""
    return json.dumps([list(ref[:3]) for ref in outside])


def outside_of(binding: Manifest) -> list[Ref]:
    """The objects that `OUTSIDE` names; none where somebody wrote something else there."""
    try:
        return [Ref(*map(str, each)) for each in json.loads(_annotation(binding, OUTSIDE) or "[]")]
    except (TypeError, ValueError):
        return []


def _annotation(binding: Manifest, name: str) -> str | None:
    found: str | None = (binding["metadata"].get("annotations") or {}).get(name)
    return found


def demand_ours(binding: Manifest, instance: str, tenant: str) -> None:
    """Pass only if the binding is this instance's and binds what it should.

    Raises:
        NotOurs: it does not. The code tells it from a namespace that is not ours: there may well be a release here.
    """
    if marks.is_ours(binding, instance, tenant) and binding.get("roleRef") == role_ref():
        return
    where = f"RoleBinding {binding['metadata']['namespace']}/{BINDING}"
    raise NotOurs(
        f"{where} is not this instance's, so nobody can be given the right to run Helm there",
        code="FenceNotOurs",
        object=where,
        fix="remove it if it is not needed, then ask again; it was not touched",
    )
