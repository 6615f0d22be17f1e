"""RBAC of the cluster in memory: what the bindings there give to a user, asked at each request as a real one does."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.errors import Forbidden
from ..model.ports import Manifest, Ref
from .memory_store import Key, Store

_RBAC = "rbac.authorization.k8s.io/v1"


def allows(store: Store, user: str, verb: str, ref: Ref) -> bool:
    """Whether any binding gives the user this right."""
    key = Key.of(ref)
    return any(_grants(rule, verb, key) for rule in _rules(store, user, key.namespace))


def demand(store: Store, user: str | None, verb: str, ref: Ref) -> None:
    """Pass only if the user has this right; None is the administrator.

    Raises:
        Forbidden: in the API server's words.
    """
    if user is None or allows(store, user, verb, ref):
        return
    key, resource = Key.of(ref), _plural(ref.kind)
    where = f'in the namespace "{key.namespace}"' if key.namespace else "at the cluster scope"
    name = f' "{ref.name}"' if ref.name else ""
    told = (
        f'{resource}{name} is forbidden: User "{user}" cannot {verb} resource "{resource}" in API group "{key.group}"'
    )
    raise Forbidden(f"{told} {where}", object=str(ref))


def _rules(store: Store, user: str, namespace: str) -> Iterator[Manifest]:
    inside = store.select("RoleBinding", namespace=namespace) if namespace else []
    for binding in [*store.select("ClusterRoleBinding"), *inside]:
        if any(one.get("kind") == "User" and one.get("name") == user for one in binding.get("subjects") or ()):
            role = binding["roleRef"]
            found = store.get(Ref(_RBAC, role["kind"], role["name"], namespace))
            yield from (found or {}).get("rules") or ()


def _grants(rule: Manifest, verb: str, key: Key) -> bool:
    asked = (("verbs", verb), ("apiGroups", key.group), ("resources", _plural(key.kind)))
    return all({"*", wanted} & set(rule.get(part) or ()) for part, wanted in asked)


def _plural(kind: str) -> str:
    name = kind.lower()
    return name[:-1] + "ies" if name.endswith("y") else name + ("es" if name.endswith("s") else "s")
