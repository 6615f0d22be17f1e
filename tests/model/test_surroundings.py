"""What Innkeeper makes around a release, field by field: the API server takes what it is given."""

from __future__ import annotations

from typing import Any

import pytest
from works import work

from innkeeper.model import surroundings
from innkeeper.model.catalog import Plan

WORK = work()
MARKS = {
    "app.kubernetes.io/managed-by": "innkeeper",
    "innkeeper.dev/instance": "acme",
    "innkeeper.dev/tenant": "t1",
    "innkeeper.dev/plan": "starter",
}
BY = {"innkeeper.dev/created-by": "r1"}


def plan(**told: Any) -> Plan:
    return Plan.model_validate({"chart": {"path": "room"}, **told})


def inside(name: str, **labels: str) -> dict[str, Any]:
    """The metadata of something in the instance's namespace."""
    return {"name": name, "namespace": "inn-acme", "labels": {**MARKS, **labels}, "annotations": BY}


QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": inside("innkeeper"),
    "spec": {"hard": {"pods": "10", "requests.cpu": "500m"}},
}
LIMITS = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": inside("innkeeper"),
    "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "100m"}}]},
}
POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": inside("innkeeper-isolated"),
    "spec": {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [
                    {"podSelector": {}},
                    {
                        "namespaceSelector": {
                            "matchExpressions": [{"key": "innkeeper.dev/instance", "operator": "DoesNotExist"}]
                        }
                    },
                ]
            }
        ],
    },
}

SIZES = {"quota": {"pods": 10, "requests.cpu": "500m"}}
DEFAULTS = {"container_defaults": {"default": {"cpu": "1"}, "defaultRequest": {"cpu": "100m"}}}


@pytest.mark.parametrize("level", ["privileged", "baseline", "restricted"])
def test_a_namespace_carries_its_marks_and_the_plans_pod_security(level: str) -> None:
    levels = {"pod-security.kubernetes.io/enforce": level, "pod-security.kubernetes.io/warn": level}
    assert surroundings.namespace(WORK, plan(pod_security=level)) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "inn-acme", "labels": {**MARKS, **levels}, "annotations": BY},
    }


@pytest.mark.parametrize(
    ("told", "made"),
    [
        ({}, [POLICY]),
        (SIZES, [QUOTA, POLICY]),
        (DEFAULTS, [LIMITS, POLICY]),
        ({**SIZES, **DEFAULTS}, [QUOTA, LIMITS, POLICY]),
        ({**SIZES, "network": "open"}, [QUOTA]),
        ({"network": "open"}, []),
    ],
)
def test_around_a_release_is_what_the_plan_asks_for(told: dict[str, Any], made: list[Any]) -> None:
    assert surroundings.around(WORK, plan(**told)) == made


def test_what_is_around_is_taken_away_in_the_order_opposite_to_its_making() -> None:
    made = [*surroundings.around(WORK, plan(**SIZES, **DEFAULTS)), surroundings.release_binding(WORK)]
    assert list(surroundings.KINDS) == [(each["apiVersion"], each["kind"]) for each in reversed(made)]


def test_nobodys_helm_may_write_before_an_attempt_takes_the_binding() -> None:
    assert surroundings.release_binding(WORK) == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": inside("innkeeper-release"),
        "roleRef": {
            "kind": "ClusterRole",
            "apiGroup": "rbac.authorization.k8s.io",
            "name": "innkeeper-release",
        },
        "subjects": [],
    }


@pytest.mark.parametrize(("data", "labels"), [(True, {"innkeeper.dev/data": "true"}), (False, {})])
def test_a_secret_says_whether_it_is_the_customers_data(data: bool, labels: dict[str, str]) -> None:
    content = {"password": "aHVudGVyMg=="}
    assert surroundings.secret(WORK, "credentials", content, data=data) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": inside("credentials", **labels),
        "type": "Opaque",
        "data": content,
    }


def test_a_stopped_instance_is_allowed_no_pod() -> None:
    assert surroundings.no_pods(WORK) == {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": inside("innkeeper-stopped"),
        "spec": {"hard": {"pods": "0"}},
    }


def test_the_probe_is_a_pod_that_the_strictest_level_and_quota_let_pass() -> None:
    little = {"cpu": "1m", "memory": "1Mi", "ephemeral-storage": "1Mi"}
    assert surroundings.probe_pod(WORK) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "innkeeper-probe", "namespace": "inn-acme"},
        "spec": {
            "containers": [
                {
                    "name": "probe",
                    "image": "probe",
                    "resources": {"requests": little, "limits": little},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65534,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
    }


def test_a_namespace_that_stays_says_what_holds_it_as_far_as_the_cluster_does() -> None:
    held = {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "example.com/hold in 1 pods"}
    fine = {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "all is well"}
    more = {"type": "NamespaceContentRemaining", "status": "True", "message": "pods. has 1 resource instances"}
    told = surroundings.why_it_stays({"status": {"conditions": [held, fine, {"status": "True"}, more]}})
    assert told == ": example.com/hold in 1 pods; pods. has 1 resource instances"
    assert surroundings.why_it_stays({}) == ""
