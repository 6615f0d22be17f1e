"""A namespace, and what is around a release in it: its plan changes and changes back, it goes meanwhile or is held."""

from __future__ import annotations

import pytest

from innkeeper.model import surroundings
from innkeeper.model.errors import AlreadyExists, Pending, Permanent
from innkeeper.model.messages import Work
from innkeeper.model.ports import Ref

from .conftest import WORK, Bench

ENFORCED = "pod-security.kubernetes.io/enforce"
GONE = AlreadyExists("it already exists")
NAMESPACE = Ref("v1", "Namespace", "inn-acme")


def under(plan: str, request_id: str, former: str | None = None) -> Work:
    return WORK.model_copy(update={"plan": plan, "request_id": request_id, "former_plan": former})


async def level(bench: Bench) -> str:
    found = await bench.world.get(Ref("v1", "Namespace", "inn-acme"))
    assert found is not None
    return str(found["metadata"]["labels"][ENFORCED])


async def test_taking_back_another_plan_gives_the_namespace_its_former_pod_security_level(bench: Bench) -> None:
    assert await level(bench) == "baseline"
    stricter = under("strict", "r-2", "starter")
    await bench.attempt(bench.namespaces.prepare, stricter)
    assert await level(bench) == "restricted"
    await bench.attempt(bench.namespaces.undo_prepare, stricter)
    assert await level(bench) == "baseline"


async def test_a_namespace_that_goes_just_as_it_is_looked_at_is_tried_again(bench: Bench) -> None:
    await bench.remove(NAMESPACE)
    bench.faults.fail("cluster.create", GONE)
    with pytest.raises(Pending, match="Namespace inn-acme was deleted a moment ago"):
        await bench.attempt(bench.namespaces.prepare)
    await bench.attempt(bench.namespaces.prepare)
    assert await bench.world.get(NAMESPACE) is not None


async def test_an_object_around_the_release_that_goes_just_then_is_made_anew_by_the_next_attempt(bench: Bench) -> None:
    policy = Ref("networking.k8s.io/v1", "NetworkPolicy", surroundings.POLICY, "inn-acme")
    await bench.remove(policy)
    bench.faults.fail("cluster.create", GONE, skip=1)
    with pytest.raises(Pending, match=f"NetworkPolicy inn-acme/{surroundings.POLICY} was deleted a moment ago"):
        await bench.attempt(bench.namespaces.prepare)
    await bench.attempt(bench.namespaces.prepare)
    assert await bench.world.get(policy) is not None


async def test_what_holds_a_namespace_that_is_to_go_is_named(bench: Bench) -> None:
    held = {"name": "held", "namespace": "inn-acme", "finalizers": ["example.com/hold"]}
    await bench.world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    with pytest.raises(Pending, match="Namespace inn-acme is still being deleted; it holds ConfigMap inn-acme/held"):
        await bench.attempt(bench.namespaces.delete, limit=0.4)
    await bench.world.patch(Ref("v1", "ConfigMap", "held", "inn-acme"), {"metadata": {"finalizers": None}})
    await bench.attempt(bench.namespaces.delete)
    await bench.attempt(bench.namespaces.delete)
    assert await bench.world.get(NAMESPACE) is None


async def test_a_former_plan_that_left_the_catalog_is_named_where_its_surroundings_cannot_be_given_back(
    bench: Bench,
) -> None:
    stricter = under("strict", "r-2", "given-up")
    await bench.attempt(bench.namespaces.prepare, stricter)
    with pytest.raises(Permanent, match="plan given-up is in the catalog no more, so namespace inn-acme") as refused:
        await bench.attempt(bench.namespaces.undo_prepare, stricter)
    assert (refused.value.cause.code, refused.value.cause.object) == ("FormerPlanGone", "Namespace inn-acme")
    assert await level(bench) == "restricted"


async def test_an_undo_takes_the_copied_secrets_that_its_own_operation_made_and_no_others(bench: Bench) -> None:
    before, own = under("starter", "r-1"), under("starter", "r-2")
    for work, name, data in ((before, "earlier", False), (own, "pull", False), (own, "made", True)):
        await bench.world.create(surroundings.secret(work, name, {"key": "dmFsdWU="}, data=data))
    theirs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs", "namespace": "inn-acme"}}
    await bench.world.create(theirs)
    await bench.attempt(bench.namespaces.undo_prepare, own)
    left = await bench.world.list_objects("v1", "Secret", namespace="inn-acme")
    assert sorted(item["metadata"]["name"] for item in left) == ["earlier", "made", "theirs"]
