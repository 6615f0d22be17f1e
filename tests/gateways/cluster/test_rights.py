"""What a user may do follows its bindings, in memory and on a real API server."""

from __future__ import annotations

import asyncio

import pytest
from helm_stage import PATIENCE, ROLE, let_in

from innkeeper.model.errors import Permanent
from innkeeper.model.ports import Cluster, Ref

FIRST, SECOND = "innkeeper:tests:1:0a", "innkeeper:tests:2:0a"


async def test_a_binding_gives_its_user_rights_in_its_namespace_and_nobody_else(
    cluster: Cluster, namespace: str
) -> None:
    assert not await cluster.may(FIRST, "create", "v1", "Secret", namespace=namespace)
    await let_in(cluster, namespace, FIRST)
    assert await cluster.may(FIRST, "delete", "apps/v1", "Deployment", namespace=namespace)
    assert not await cluster.may(FIRST, "create", "v1", "Secret", namespace="default")
    assert not await cluster.may(SECOND, "create", "v1", "Secret", namespace=namespace)
    await let_in(cluster, namespace, SECOND, former=FIRST)
    assert not await cluster.may(FIRST, "delete", "apps/v1", "Deployment", namespace=namespace)


async def test_a_binding_gives_what_is_in_its_role_and_nothing_when_it_is_gone(
    cluster: Cluster, namespace: str
) -> None:
    name = f"{ROLE}-{namespace}"
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [
            {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies", "ingresses"], "verbs": ["get"]}
        ],
    }
    made = await cluster.create(role)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "narrow", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": FIRST}],
    }
    bound = await cluster.create(binding)
    group = "networking.k8s.io/v1"
    async with asyncio.timeout(PATIENCE):
        while not await cluster.may(FIRST, "get", group, "NetworkPolicy", namespace=namespace):
            await asyncio.sleep(0.05)
    assert await cluster.may(FIRST, "get", group, "Ingress", namespace=namespace)
    assert not await cluster.may(FIRST, "delete", group, "Ingress", namespace=namespace)
    assert not await cluster.may(FIRST, "get", "v1", "Secret", namespace=namespace)
    await cluster.delete(Ref.to(binding), uid=bound["metadata"]["uid"])
    async with asyncio.timeout(PATIENCE):
        while await cluster.may(FIRST, "get", group, "Ingress", namespace=namespace):
            await asyncio.sleep(0.05)
    await cluster.delete(Ref.to(role), uid=made["metadata"]["uid"])


async def test_rights_to_a_kind_that_nobody_knows_cannot_be_told(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(Permanent, match="Guest"):
        await cluster.may(FIRST, "get", "stable.example.com/v1", "Guest", namespace=namespace)
