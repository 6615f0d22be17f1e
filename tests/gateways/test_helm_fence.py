"""A Helm that acts as a user does what that user may at that moment and no more, in memory and as a real child."""

from __future__ import annotations

import asyncio

import pytest
from helm_stage import LIMIT, Stage, Wish, end_hook, history, let_in, live, settle, states

from innkeeper.model.errors import Forbidden, Pending
from innkeeper.model.ports import Cluster, Helm, Ref

FIRST, SECOND = "innkeeper:tests:1:0a", "innkeeper:tests:2:0a"


async def test_a_user_with_rights_in_the_namespace_alone_does_all_that_helm_does(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await let_in(cluster, namespace, FIRST)
    await helm.upgrade(wish("hooked"), limit=LIMIT, acting_as=FIRST)
    await helm.upgrade(wish("claims", "m2", keep_volumes=True), limit=LIMIT, acting_as=FIRST)
    await helm.rollback("acme", namespace, 1, limit=LIMIT, acting_as=FIRST)
    assert await states(cluster, namespace) == ["superseded", "superseded", "deployed"]
    await helm.uninstall("acme", namespace, limit=LIMIT, acting_as=FIRST)
    assert await states(cluster, namespace) == []


async def test_a_user_without_rights_is_refused_and_a_refusal_is_not_read_as_a_release_that_is_gone(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await helm.upgrade(wish(), limit=LIMIT)
    for act in (
        helm.upgrade(wish(mark="m2"), limit=LIMIT, acting_as=FIRST),
        helm.rollback("acme", namespace, 1, limit=LIMIT, acting_as=FIRST),
        helm.uninstall("acme", namespace, limit=LIMIT, acting_as=FIRST),
    ):
        with pytest.raises(Forbidden, match=FIRST):
            await act
    assert [(each.state.value, each.mark) for each in await history(cluster, namespace)] == [("deployed", "m1")]


@pytest.mark.parametrize("before", [[], ["room"]])
async def test_a_helm_whose_user_was_replaced_while_it_was_stopped_changes_nothing_when_it_goes_on(
    stage: Stage, helm: Helm, cluster: Cluster, namespace: str, wish: Wish, before: list[str]
) -> None:
    await let_in(cluster, namespace, FIRST)
    for chart in before:
        await helm.upgrade(wish(chart, values={"note": "before"}), limit=LIMIT, acting_as=FIRST)
    zombies = wish("slow", "m2", values={"note": "zombie"})
    stopped = await stage.stop_in_hooks(zombies, FIRST)
    await let_in(cluster, namespace, SECOND, former=FIRST)
    found = await states(cluster, namespace)
    await end_hook(cluster, zombies)
    stopped.wake()
    with pytest.raises((Forbidden, Pending)) as refused:
        await stopped.act
    assert FIRST in str(refused.value) or refused.value.cause.code == "HelmTooSlow"
    assert await states(cluster, namespace) == found
    config = await live(cluster, namespace, "ConfigMap", "acme-config")
    assert (config or {}).get("data") == ({"note": "before"} if before else None)
    assert (await settle(helm, cluster, wish(mark="m3"), acting_as=SECOND))[-1] == "Nothing"
    assert (await states(cluster, namespace)).count("deployed") == 1


async def test_a_helm_that_is_told_to_stop_after_its_user_was_replaced_leaves_its_revision_as_it_is(
    stage: Stage, cluster: Cluster, namespace: str, wish: Wish
) -> None:
    await let_in(cluster, namespace, FIRST)
    stopped = await stage.stop_in_hooks(wish("slow"), FIRST)
    await let_in(cluster, namespace, SECOND, former=FIRST)
    stopped.act.cancel()
    stopped.wake()
    await asyncio.wait([stopped.act])
    assert stopped.act.cancelled()
    assert await states(cluster, namespace) == ["pending-install"]


@pytest.mark.parametrize(
    ("chart", "words"), [("outside", 'in the namespace "default"'), ("wide", "at the cluster scope")]
)
async def test_a_chart_that_writes_outside_the_namespace_is_refused_before_anything_is_stored(
    helm: Helm, cluster: Cluster, namespace: str, wish: Wish, chart: str, words: str
) -> None:
    await let_in(cluster, namespace, FIRST)
    with pytest.raises(Forbidden, match=words):
        await helm.upgrade(wish(chart), limit=LIMIT, acting_as=FIRST)
    assert await live(cluster, "default", "ConfigMap", "acme-outside") is None
    assert await cluster.get(Ref("rbac.authorization.k8s.io/v1", "ClusterRole", "acme-wide")) is None
    assert await states(cluster, namespace) == []
