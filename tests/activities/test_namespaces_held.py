"""A namespace, and what is around a release in it, may go or be held while it is made or taken away."""

from __future__ import annotations

import asyncio

import pytest

from innkeeper.model import surroundings
from innkeeper.model.errors import AlreadyExists, Conflict, Pending, Permanent
from innkeeper.model.ports import Ref

from .conftest import WORK, Bench

GONE = AlreadyExists("it already exists")
NAMESPACE = Ref("v1", "Namespace", "inn-acme")


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


async def test_an_object_around_the_release_that_goes_between_the_look_and_the_change_is_made_by_the_next_attempt(
    bench: Bench,
) -> None:
    policy = Ref("networking.k8s.io/v1", "NetworkPolicy", surroundings.POLICY, "inn-acme")
    hang = bench.faults.hang("cluster.apply", skip=1)  # the first one is the namespace's
    attempt = asyncio.create_task(bench.attempt(bench.namespaces.prepare))
    async with asyncio.timeout(60):
        await hang.reached.wait()
    await bench.remove(policy)
    hang.release()
    with pytest.raises(Conflict):
        await attempt
    assert await bench.world.get(policy) is None
    await bench.attempt(bench.namespaces.prepare)
    assert await bench.world.get(policy) is not None


async def test_the_namespace_of_what_ran_is_waited_for_while_it_goes_and_not_made_anew(bench: Bench) -> None:
    resident = WORK.model_copy(update={"resident": True})
    held = {"name": "held", "namespace": "inn-acme", "finalizers": ["example.com/hold"]}
    await bench.world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    await bench.remove(NAMESPACE)
    with pytest.raises(Pending, match=r"Namespace inn-acme is being deleted: .*example\.com/hold"):
        await bench.attempt(bench.namespaces.prepare, resident)
    await bench.world.patch(Ref("v1", "ConfigMap", "held", "inn-acme"), {"metadata": {"finalizers": None}})
    with pytest.raises(Permanent, match="Namespace inn-acme is not there"):
        await bench.attempt(bench.namespaces.prepare, resident)
    assert await bench.world.get(NAMESPACE) is None


async def test_what_holds_a_namespace_that_is_to_go_is_named(bench: Bench) -> None:
    held = {"name": "held", "namespace": "inn-acme", "finalizers": ["example.com/hold"]}
    await bench.world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    held_by = r"it holds ConfigMap inn-acme/held: .*example\.com/hold in 1 resource"
    with pytest.raises(Pending, match=f"Namespace inn-acme is still being deleted; {held_by}"):
        await bench.attempt(bench.namespaces.delete, limit=0.4)
    await bench.world.patch(Ref("v1", "ConfigMap", "held", "inn-acme"), {"metadata": {"finalizers": None}})
    await bench.attempt(bench.namespaces.delete)
    await bench.attempt(bench.namespaces.delete)
    assert await bench.world.get(NAMESPACE) is None


async def test_an_undo_waits_for_the_namespace_that_it_made_and_names_what_holds_it(bench: Bench) -> None:
    await bench.remove(NAMESPACE)
    await bench.attempt(bench.namespaces.prepare)
    for secret in await bench.world.list_objects("v1", "Secret", namespace="inn-acme"):
        await bench.remove(Ref.to(secret))
    held = {"name": "held", "namespace": "inn-acme", "finalizers": ["example.com/hold"]}
    await bench.world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    for _ in ("deleted now", "deleted before"):
        with pytest.raises(Permanent, match="Namespace inn-acme is still being deleted; it holds ConfigMap") as caught:
            await bench.attempt(bench.namespaces.undo_prepare, limit=0.4)
        assert caught.value.cause.code == "NamespaceHeld"
    await bench.world.patch(Ref("v1", "ConfigMap", "held", "inn-acme"), {"metadata": {"finalizers": None}})
    await bench.attempt(bench.namespaces.undo_prepare)
    assert await bench.world.get(NAMESPACE) is None
