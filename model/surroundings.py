"""The objects that Innkeeper itself makes around a release: pure, from a plan and an instance."""

from __future__ import annotations

from collections.abc import Mapping

from . import fence, marks
from .catalog import Plan
from .messages import Work
from .ports import Manifest

QUOTA = "innkeeper"
LIMITS = "innkeeper"
POLICY = "innkeeper-isolated"

KINDS: tuple[tuple[str, str], ...] = (
    (fence.RBAC, "RoleBinding"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "LimitRange"),
    ("v1", "ResourceQuota"),
)
"""The kinds of `around` and `release_binding`, in the order in which they are taken away."""


def _meta(work: Work, name: str, *, namespaced: bool = True, labels: Mapping[str, str] | None = None) -> Manifest:
    ours = marks.labels(instance=work.instance, tenant=work.tenant, plan=work.plan)
    meta: Manifest = {
        "name": name,
        "labels": {**ours, **(labels or {})},
        "annotations": {marks.CREATED_BY: work.request_id},
    }
    if namespaced:
        meta["namespace"] = work.namespace
    return meta


def namespace(work: Work, plan: Plan) -> Manifest:
    """The instance's namespace, with the plan's Pod Security level enforced."""
    levels = {f"pod-security.kubernetes.io/{mode}": plan.pod_security for mode in ("enforce", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": _meta(work, work.namespace, namespaced=False, labels=levels),
    }


def around(work: Work, plan: Plan) -> list[Manifest]:
    """Quota, limits and network policy: what the plan asks for, in the order in which they are made."""
    made: list[Manifest] = []
    if plan.quota:
        hard = {key: str(value) for key, value in plan.quota.items()}
        made.append(
            {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": _meta(work, QUOTA), "spec": {"hard": hard}}
        )
    if plan.container_defaults:
        limit = {"type": "Container", **plan.container_defaults}
        made.append(
            {"apiVersion": "v1", "kind": "LimitRange", "metadata": _meta(work, LIMITS), "spec": {"limits": [limit]}}
        )
    if plan.network == "isolated":
        made.append(_isolation(work))
    return made


def _isolation(work: Work) -> Manifest:
    """Pods hear from their own namespace and from namespaces that are no instance's (ingress, monitoring)."""
    others = {"matchExpressions": [{"key": marks.INSTANCE, "operator": "DoesNotExist"}]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _meta(work, POLICY),
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}, {"namespaceSelector": others}]}],
        },
    }


def release_binding(work: Work) -> Manifest:
    """The binding that says whose Helm may write: nobody's, until an attempt takes it (`model.fence`)."""
    return {
        "apiVersion": fence.RBAC,
        "kind": "RoleBinding",
        "metadata": _meta(work, fence.BINDING),
        "roleRef": fence.role_ref(),
        "subjects": [],
    }


def secret(work: Work, name: str, content: Mapping[str, str], *, data: bool) -> Manifest:
    """A Secret of the instance; `content` is base64 already. `data` marks what only purge may delete."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _meta(work, name, labels={marks.DATA: "true"} if data else {}),
        "type": "Opaque",
        "data": dict(content),
    }


def no_pods(work: Work) -> Manifest:
    """The quota that keeps a stopped instance stopped, whatever wants to start pods."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": _meta(work, marks.STOP_QUOTA),
        "spec": {"hard": {"pods": "0"}},
    }


def probe_pod(work: Work) -> Manifest:
    """A pod for dry runs only, which every Pod Security level and quota lets pass: what is refused is all pods."""
    little = {"cpu": "1m", "memory": "1Mi", "ephemeral-storage": "1Mi"}
    container: Manifest = {
        "name": "probe",
        "image": "probe",
        "resources": {"requests": little, "limits": little},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "innkeeper-probe", "namespace": work.namespace},
        "spec": {"containers": [container], "securityContext": security},
    }


def why_it_stays(namespace: Manifest) -> str:
    """What the cluster says of a namespace that is being deleted and is still there, as the end of a sentence."""
    conditions = (namespace.get("status") or {}).get("conditions") or ()
    told = [str(each["message"]) for each in conditions if each.get("status") == "True" and each.get("message")]
    return f": {'; '.join(told)}" if told else ""
