"""From the moment that an attempt takes a release no earlier one can write, wherever it was stopped."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from innkeeper.activities.storage import read_revisions
from innkeeper.model import fence, marks
from innkeeper.model.errors import Conflict, Forbidden, NotOurs, Pending, Unreachable
from innkeeper.model.ports import Manifest, Ref

from .conftest import WORK, Bench

BIGGER = WORK.model_copy(update={"request_id": "r2", "plan": "bigger", "generation": 2})
"""A later operation, with another wish."""
WIDE = WORK.model_copy(update={"plan": "wide"})
BINDING = fence.binding_ref("inn-acme")
CLUSTER_ROLE = Ref(fence.RBAC, "ClusterRole", "acme-wide")


async def world_of(bench: Bench) -> list[Manifest]:
    return await bench.world.contents("inn-acme")


async def refused_when_it_goes_on(bench: Bench, zombie: asyncio.Task[None], hanging: str) -> None:
    """A later operation ends as asked although an earlier attempt stopped in `hanging`, which then changes nothing."""
    await bench.attempt(bench.releases.release, BIGGER)
    assert (await bench.states())[-1] == "deployed"
    assert (await bench.states()).count("deployed") == 1
    assert await bench.replicas() == 3
    before = await world_of(bench)
    bench.faults.clear()
    with pytest.raises(Conflict) as refused:
        await zombie
    assert refused.value.cause.code == "Fenced", hanging
    assert await world_of(bench) == before


@pytest.mark.parametrize("effect", ["pending", "hooks", "objects", "superseded", "deployed"])
async def test_a_first_install_that_goes_on_after_another_attempt_changes_nothing(bench: Bench, effect: str) -> None:
    hang = bench.faults.hang(f"helm.upgrade.{effect}")
    zombie = asyncio.create_task(bench.attempt(bench.releases.release))
    await hang.reached.wait()
    await refused_when_it_goes_on(bench, zombie, effect)


@pytest.mark.parametrize("effect", ["pending", "hooks", "objects", "superseded", "deployed"])
async def test_an_upgrade_that_goes_on_after_another_attempt_changes_nothing(bench: Bench, effect: str) -> None:
    await bench.attempt(bench.releases.release)
    bench.helm.change_chart(bench.catalog.plan("starter").chart)
    hang = bench.faults.hang(f"helm.upgrade.{effect}")
    zombie = asyncio.create_task(bench.attempt(bench.releases.release))
    await hang.reached.wait()
    await refused_when_it_goes_on(bench, zombie, effect)


@pytest.mark.parametrize("effect", ["uninstalling", "objects", "purged"])
async def test_an_uninstall_that_goes_on_after_another_attempt_changes_nothing(bench: Bench, effect: str) -> None:
    await bench.attempt(bench.releases.release)
    hang = bench.faults.hang(f"helm.uninstall.{effect}")
    zombie = asyncio.create_task(bench.attempt(bench.releases.uninstall))
    await hang.reached.wait()
    await refused_when_it_goes_on(bench, zombie, effect)


@pytest.mark.parametrize("effect", ["pending", "objects", "superseded", "deployed"])
async def test_an_undo_that_goes_on_after_another_attempt_changes_nothing(bench: Bench, effect: str) -> None:
    await bench.attempt(bench.releases.release)
    bench.helm.change_chart(bench.catalog.plan("starter").chart)
    await bench.attempt(bench.releases.release)
    hang = bench.faults.hang(f"helm.rollback.{effect}")
    back = WORK.model_copy(update={"former_revision": 1})
    zombie = asyncio.create_task(bench.attempt(bench.releases.undo_release, back))
    await hang.reached.wait()
    await refused_when_it_goes_on(bench, zombie, effect)


@pytest.mark.parametrize("effect", ["pending", "hooks", "objects", "deployed"])
async def test_what_a_killed_helm_left_is_recovered_by_the_next_attempt_at_once(bench: Bench, effect: str) -> None:
    bench.faults.fail(
        f"helm.upgrade.{effect}", Unreachable("Helm was killed"), when="after" if effect == "pending" else "before"
    )
    with pytest.raises(Unreachable):
        await bench.attempt(bench.releases.release)
    assert await bench.states() == ["pending-install"]
    await bench.attempt(bench.releases.release)
    assert await bench.states() == ["deployed"]


async def test_a_killed_helm_is_uninstalled_and_taken_back_at_once(bench: Bench) -> None:
    for act in (bench.releases.uninstall, bench.releases.undo_release):
        bench.faults.fail("helm.upgrade.objects", Unreachable("Helm was killed"))
        with pytest.raises(Unreachable):
            await bench.attempt(bench.releases.release)
        assert await bench.states() == ["pending-install"]
        await bench.attempt(act)
        assert await bench.states() == []


async def test_each_attempt_takes_the_release_and_preparing_it_again_gives_it_back_to_nobody(bench: Bench) -> None:
    assert await bench.epoch() == 0
    await bench.attempt(bench.releases.release)
    assert await bench.epoch() == 1
    held = await bench.binding()
    await bench.attempt(bench.namespaces.prepare, BIGGER)
    assert await bench.binding() == held
    await bench.attempt(bench.releases.release, BIGGER)
    found = await bench.binding()
    assert found is not None
    assert (marks.created_by(found), found["metadata"]["labels"][marks.PLAN]) == ("r1", "bigger")
    await bench.attempt(bench.releases.uninstall, BIGGER)
    assert await bench.epoch() == 3


async def test_of_two_attempts_that_take_a_release_at_once_one_is_told_to_come_again(bench: Bench) -> None:
    hang = bench.faults.hang("cluster.patch")
    late = asyncio.create_task(bench.attempt(bench.releases.release))
    await hang.reached.wait()
    await bench.attempt(bench.releases.release)
    hang.release()
    with pytest.raises(Conflict):
        await late
    assert await bench.epoch() == 1


async def test_a_binding_of_somebody_else_is_refused_and_left_as_it_is(bench: Bench) -> None:
    await bench.attempt(bench.releases.release)
    await bench.remove(BINDING)
    foreign = {
        "apiVersion": fence.RBAC,
        "kind": "RoleBinding",
        "metadata": {"name": fence.BINDING, "namespace": "inn-acme"},
        "roleRef": fence.role_ref(),
        "subjects": [fence.subject("somebody")],
    }
    made = await bench.world.create(foreign)
    for act in (bench.releases.release, bench.releases.undo_release, bench.releases.uninstall):
        with pytest.raises(NotOurs) as refused:
            await bench.attempt(act)
        assert refused.value.cause.code == "FenceNotOurs"
    with pytest.raises(NotOurs):
        await bench.attempt(bench.namespaces.prepare)
    await bench.attempt(bench.namespaces.undo_prepare)
    assert await bench.binding() == made
    assert await bench.states() == ["deployed"]


async def test_a_binding_that_was_deleted_by_hand_is_made_anew_for_a_user_that_nobody_was(bench: Bench) -> None:
    await bench.attempt(bench.releases.release)
    former = fence.holder_of(await bench.binding() or {})
    await bench.remove(BINDING)
    await bench.attempt(bench.releases.uninstall)
    assert await bench.states() == []
    assert await bench.epoch() == 1
    assert fence.holder_of(await bench.binding() or {}) != former


async def test_where_the_binding_is_gone_a_pending_revision_may_be_a_live_helms(bench: Bench) -> None:
    bench.faults.fail("helm.upgrade.objects", Unreachable("Helm was killed"))
    with pytest.raises(Unreachable):
        await bench.attempt(bench.releases.release)
    await bench.remove(BINDING)
    for _ in range(2):
        with pytest.raises(Pending, match=r"revision 1 \(pending-install\) may be a live Helm's"):
            await bench.attempt(bench.releases.release)
    assert await bench.states() == ["pending-install"]


async def test_a_binding_that_is_being_made_by_another_is_read_again(bench: Bench) -> None:
    await bench.remove(BINDING)
    hang = bench.faults.hang("cluster.create")
    late = asyncio.create_task(bench.attempt(bench.releases.release))
    await hang.reached.wait()
    await bench.attempt(bench.releases.release)
    hang.release()
    with pytest.raises(Conflict, match="made a moment ago"):
        await late


@pytest.mark.parametrize("skip", [0, 1])
async def test_a_binding_that_goes_while_it_is_taken_is_no_hold(bench: Bench, skip: int) -> None:
    hang = bench.faults.hang("cluster.patch", skip=skip)
    taking = asyncio.create_task(bench.attempt(bench.releases.release, WIDE))
    await hang.reached.wait()
    await bench.remove(BINDING)
    hang.release()
    with pytest.raises(Pending, match="deleted a moment ago"):
        await taking
    assert await bench.states() == []


async def test_what_an_operation_made_around_a_release_goes_with_its_undo_the_binding_too(bench: Bench) -> None:
    await bench.world.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "kept", "namespace": "inn-acme", "labels": {marks.DATA: "true"}},
        }
    )
    await bench.attempt(bench.namespaces.undo_prepare, BIGGER)
    assert await bench.binding() is not None
    await bench.attempt(bench.namespaces.undo_prepare)
    assert await bench.binding() is None


@pytest.mark.parametrize("times", [1, 2])
async def test_a_refusal_for_want_of_rights_is_tried_once_more_and_then_believed(bench: Bench, times: int) -> None:
    await bench.world.patch(BINDING, {"subjects": [fence.subject("innkeeper:inn-acme:7:0a")]})
    refusal = Forbidden('services is forbidden: User "innkeeper:inn-acme:8:0a" cannot get resource "services"')
    bench.faults.fail("helm.upgrade", refusal, times=times)
    if times == 1:
        await bench.attempt(bench.releases.release)
        assert await bench.states() == ["deployed"]
    else:
        with pytest.raises(Forbidden):
            await bench.attempt(bench.releases.release)
    assert bench.faults.count("helm.upgrade") == 2


async def test_a_refusal_that_names_no_user_is_believed_at_once(bench: Bench) -> None:
    bench.faults.fail("helm.upgrade", Forbidden("exceeded quota"))
    with pytest.raises(Forbidden, match="exceeded quota"):
        await bench.attempt(bench.releases.release)


async def test_a_cluster_whose_role_lets_nobody_in_is_named(bench: Bench) -> None:
    await bench.remove(Ref(fence.RBAC, "ClusterRole", fence.ROLE))
    with pytest.raises(Pending, match=r"RoleBinding inn-acme/innkeeper-release does not decide who may write") as open_:
        await bench.attempt(bench.releases.release, limit=0.4)
    assert open_.value.cause.code == "FenceOpen"
    assert "deploy/worker-rights.yaml" in open_.value.cause.fix


async def test_a_cluster_that_still_lets_the_former_user_in_is_named(bench: Bench) -> None:
    await bench.attempt(bench.releases.release)
    everybody = {
        "apiVersion": fence.RBAC,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "everybody"},
        "roleRef": fence.role_ref(),
        "subjects": [fence.subject(fence.holder_of(await bench.binding() or {}) or "")],
    }
    await bench.world.create(everybody)
    with pytest.raises(Pending) as open_:
        await bench.attempt(bench.releases.uninstall, limit=0.4)
    assert open_.value.cause.code == "FenceOpen"
    assert await bench.states() == ["deployed"]


async def test_a_plan_with_objects_outside_the_namespace_acts_as_the_worker_and_is_waited_for(bench: Bench) -> None:
    bench.faults.fail("helm.upgrade.superseded", Unreachable("Helm was killed"))
    with pytest.raises(Unreachable):
        await bench.attempt(bench.releases.release, WIDE)
    assert await bench.world.get(CLUSTER_ROLE) is not None
    noted = fence.unfenced_until(await bench.binding() or {})
    assert noted is not None
    assert noted > datetime.now(UTC) + timedelta(seconds=500)
    for work in (WIDE, BIGGER):
        with pytest.raises(Pending, match="may be a live Helm's"):
            await bench.attempt(bench.releases.release, work)
    assert await bench.states() == ["pending-install"]


async def test_once_the_note_is_old_nobody_is_waited_for_any_more_and_it_goes(bench: Bench) -> None:
    bench.faults.fail("helm.upgrade.objects", Unreachable("Helm was killed"))
    with pytest.raises(Unreachable):
        await bench.attempt(bench.releases.release)
    old = {fence.UNFENCED_UNTIL: "2026-01-01T00:00:00+00:00"}
    await bench.world.patch(BINDING, {"metadata": {"annotations": old}})
    await bench.attempt(bench.releases.release)
    assert await bench.states() == ["deployed"]
    assert fence.unfenced_until(await bench.binding() or {}) is None


async def test_what_is_installed_outside_the_namespace_is_removed_although_the_plan_no_longer_says_so(
    bench: Bench,
) -> None:
    await bench.attempt(bench.releases.release, WIDE)
    assert await bench.world.get(CLUSTER_ROLE) is not None
    await bench.attempt(bench.releases.uninstall, WORK)
    assert await bench.world.get(CLUSTER_ROLE) is None
    assert await bench.states() == []


async def test_a_record_that_cannot_be_read_gives_helm_no_rights_outside_the_namespace(bench: Bench) -> None:
    await bench.attempt(bench.releases.release)
    (secret,) = await bench.world.list_objects("v1", "Secret", namespace="inn-acme", labels={"owner": "helm"})
    broken = {"metadata": {"labels": {"status": "failed"}}, "data": {"release": "bm9uc2Vuc2U="}}
    await bench.world.patch(Ref("v1", "Secret", secret["metadata"]["name"], "inn-acme"), broken)
    hold = await bench.attempt(bench.fence.take)
    await hold.reach(None, await read_revisions(bench.cluster, WORK))
    async with hold.acting() as user:
        assert user == fence.holder_of(await bench.binding() or {})


@pytest.mark.parametrize("act", ["uninstall", "undo_release"])
async def test_in_a_namespace_that_is_being_deleted_there_is_no_release_to_take(bench: Bench, act: str) -> None:
    await bench.world.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "held", "namespace": "inn-acme", "finalizers": ["example.com/hold"]},
        }
    )
    await bench.remove(Ref("v1", "Namespace", "inn-acme"))
    assert await bench.binding() is None
    await bench.attempt(getattr(bench.releases, act))
    with pytest.raises(Conflict) as refused:
        await bench.attempt(bench.releases.release)
    assert refused.value.cause.code == "NamespaceTerminating"


@pytest.mark.parametrize("act", ["uninstall", "undo_release"])
async def test_a_namespace_that_went_a_moment_ago_has_no_release_either(bench: Bench, act: str) -> None:
    await bench.remove(BINDING)
    hang = bench.faults.hang("cluster.create")
    attempt = asyncio.create_task(bench.attempt(getattr(bench.releases, act)))
    await hang.reached.wait()
    await bench.remove(Ref("v1", "Namespace", "inn-acme"))
    hang.release()
    await attempt
