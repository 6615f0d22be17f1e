"""Somebody's release becomes an instance: as it runs, in its own namespace, and like any other from then on."""

from __future__ import annotations

import asyncio
from typing import Any

import by_hand
import pytest
from asking import ask
from following import failed

from innkeeper.client import OperationHandle
from innkeeper.model import fence, marks, surroundings
from innkeeper.model.catalog import ChartRef
from innkeeper.model.errors import NeverReady, Refused
from innkeeper.model.instance import Instance, Kind, Status
from innkeeper.model.messages import OperationResult, Outcome
from innkeeper.model.ports import Manifest, Ref, Release
from innkeeper.model.preview import Adoption
from innkeeper.model.release import revisions_of, storage_labels

from .conftest import World

SHOP = "shop"
WEB_AGAIN = Release(name="web", namespace=SHOP, chart=by_hand.ROOM, values={}, mark="")
WEB = Ref("apps/v1", "Deployment", "web-web", SHOP)


async def shop(world: World, *, namespace: str = SHOP, release: str = "web", **more: Any) -> None:
    await by_hand.install(world.cluster, world.helm, namespace, release, **more)


async def adopting(world: World, name: str = "acme", **other: Any) -> OperationHandle:
    told = {"namespace": SHOP, "release": "web", "tenant": "t1", "plan": "starter", **other}
    return await world.innkeeper.adopt(name, **told)


async def adopted(world: World, name: str = "acme", **other: Any) -> OperationResult:
    return await (await adopting(world, name, **other)).result()


async def previewed(world: World, name: str = "acme", **other: Any) -> Adoption:
    told = {"namespace": SHOP, "release": "web", "tenant": "t1", "plan": "starter", **other}
    return await world.innkeeper.preview_adoption(name, **told)


async def objects(world: World, kind: str, version: str = "v1") -> list[Manifest]:
    return await world.cluster.list_objects(version, kind, namespace=SHOP)


async def pods(world: World) -> set[str]:
    return {pod["metadata"]["uid"] for pod in await objects(world, "Pod")}


async def states(world: World) -> list[str]:
    found = await world.cluster.list_objects("v1", "Secret", namespace=SHOP, labels=storage_labels("web"))
    return [each.state.value for each in revisions_of(found)]


async def around(world: World) -> set[tuple[str, str]]:
    return {
        (kind, each["metadata"]["name"])
        for version, kind in surroundings.KINDS
        for each in await objects(world, kind, version)
    }


async def everything(world: World) -> list[Manifest]:
    """All that is in the namespace and the namespace itself, to compare; versions count writes, not content."""
    space = await world.cluster.get(Ref("v1", "Namespace", SHOP))
    assert space is not None
    found = [space, *await world.cluster.contents(SHOP)]
    for each in found:
        for name in ("resourceVersion", "managedFields"):
            each["metadata"].pop(name, None)
        for name in ("labels", "annotations"):
            each["metadata"][name] = each["metadata"].get(name) or {}
    return sorted(found, key=lambda each: str(each["metadata"]["uid"]))


OURS = {marks.MANAGED_BY: "innkeeper", marks.INSTANCE: "acme", marks.TENANT: "t1", marks.PLAN: "starter"}


async def test_a_release_of_somebodys_becomes_an_instance_as_it_runs(world: World) -> None:
    await shop(world)
    before = await pods(world)
    result = await adopted(world)
    assert (result.outcome, result.status, result.revision) == (Outcome.DONE, Status.RUNNING, 1)
    assert [event.step for event in result.steps if event.state == "done"] == [
        "check",
        "claim",
        "mark",
        "ready",
        "record",
    ]
    row = await world.row("acme")
    assert (row.namespace, row.release, row.status, row.tenant) == (SHOP, "web", Status.RUNNING, "t1")
    assert (row.plan, row.revision, row.url) == ("starter", 1, "https://acme.rooms.example")
    assert (await pods(world), await states(world)) == (before, ["deployed"])
    found = await by_hand.marks_of(world.cluster, SHOP)
    assert found["Namespace"][0].items() >= OURS.items()
    assert found["Secret"][0] == {**OURS, marks.DATA: "true"}
    secret = await world.cluster.get(Ref("v1", "Secret", by_hand.CREDENTIALS, SHOP))
    assert secret is not None
    assert secret["data"] == {"password": by_hand.PASSWORD}
    assert await around(world) == {
        ("ResourceQuota", surroundings.QUOTA),
        ("NetworkPolicy", surroundings.POLICY),
        ("RoleBinding", fence.BINDING),
    }
    web = await world.cluster.get(WEB)
    assert web is not None
    assert marks.PREFIX not in str(web)


async def row_after(world: World, kind: Kind, plan: str | None = None) -> Instance:
    await (await ask(world.client, kind, "acme", plan=plan)).result()
    return await world.row("acme")


async def test_an_adopted_instance_lives_like_any_other_where_somebody_had_put_it(world: World) -> None:
    await shop(world)
    await adopted(world)
    assert (await row_after(world, Kind.STOP)).status is Status.STOPPED
    assert await pods(world) == set()
    assert (await row_after(world, Kind.START)).status is Status.RUNNING
    assert await states(world) == ["deployed"]
    ran = await pods(world)
    assert (await row_after(world, Kind.RESTART)).status is Status.RUNNING
    assert not ran & await pods(world)
    assert (await row_after(world, Kind.REPAIR)).revision == 1
    assert (await row_after(world, Kind.UPGRADE, "crowded")).revision == 2
    web = await world.cluster.get(WEB)
    assert web is not None
    assert web["spec"]["replicas"] == 3
    assert (await row_after(world, Kind.UNINSTALL)).status is Status.UNINSTALLED
    assert (await states(world), len(await objects(world, "PersistentVolumeClaim"))) == ([], 1)
    # Its data is there, so there it comes back.
    await (await world.innkeeper.provision("acme", tenant="t1", plan="starter")).result()
    row = await world.row("acme")
    assert (row.status, row.namespace, row.release) == (Status.RUNNING, SHOP, "web")
    assert await states(world) == ["deployed"]
    assert await world.namespace("acme") is None
    secret = await world.cluster.get(Ref("v1", "Secret", by_hand.CREDENTIALS, SHOP))
    assert secret is not None
    assert secret["data"] == {"password": by_hand.PASSWORD}
    await row_after(world, Kind.UNINSTALL)
    assert (await row_after(world, Kind.PURGE)).status is Status.PURGED
    assert await world.cluster.get(Ref("v1", "Namespace", SHOP)) is None
    # What is purged has no place any more, and is made in one of its own.
    await world.provisioned("acme")
    assert (await world.row("acme")).namespace == "inn-acme"


async def test_volumes_of_an_adopted_release_that_forgets_to_keep_them_are_kept(world: World) -> None:
    await shop(world, chart=ChartRef(path="claims"))
    await adopted(world)
    result = await failed(await ask(world.client, Kind.UNINSTALL, "acme"))
    assert result.cause is not None
    assert (result.cause.code, result.outcome) == ("WouldLoseData", Outcome.LEFT_BEHIND)
    assert len(await objects(world, "PersistentVolumeClaim")) == 2
    assert await states(world) == ["deployed"]


async def test_an_adoption_that_fails_leaves_everything_as_it_was(world: World) -> None:
    await shop(world, labels={marks.MANAGED_BY: "argocd", "team": "a"})
    before = await everything(world)
    world.faults.fail("acme ready cluster.watch", NeverReady("it will never be", object="Pod shop/web-0"), times=None)
    result = await failed(await adopting(world))
    assert (result.outcome, result.status) == (Outcome.UNDONE, Status.PURGED)
    assert result.cause is not None
    assert result.cause.message == "it will never be"
    assert await everything(world) == before
    # Name and namespace are free again, for each other or for others.
    world.faults.clear()
    assert (await adopted(world, "globex", tenant="t2")).status is Status.RUNNING
    assert (await world.row("acme")).status is Status.PURGED


async def test_an_adoption_of_what_was_uninstalled_here_goes_back_to_that_where_it_fails(world: World) -> None:
    await shop(world)
    await adopted(world)
    await row_after(world, Kind.UNINSTALL)
    await world.helm.upgrade(WEB_AGAIN, limit=60)
    before = await everything(world)
    world.faults.fail("acme ready cluster.watch", NeverReady("it will never be"), times=None)
    result = await failed(await adopting(world, plan="crowded"))
    assert (result.outcome, result.status) == (Outcome.UNDONE, Status.UNINSTALLED)
    assert (await world.row("acme")).plan == "starter"
    assert await everything(world) == before
    world.faults.clear()
    assert (await adopted(world)).status is Status.RUNNING


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"plan": "nowhere"}, "plan: 'nowhere' is not in the catalog"),
        ({"namespace": "nowhere"}, "namespace: 'nowhere' is not in the cluster"),
        ({"namespace": "innkeeper-system"}, "is not in the cluster, or Innkeeper's own"),
        ({"namespace": "inn-other"}, "carries the marks of another instance"),
        ({"release": "cobweb"}, "release: 'cobweb' is no release in namespace shop; there is web"),
    ],
)
async def test_what_cannot_be_adopted_is_refused_and_nothing_touched(
    world: World, other: dict[str, str], said: str
) -> None:
    await shop(world)
    await world.provisioned("other")
    before, foreign = await everything(world), await world.cluster.contents("inn-other")
    for refused in (adopted, previewed):
        with pytest.raises(Refused) as told:
            await refused(world, **other)
        assert said in told.value.cause.message
        assert told.value.cause.fix
    assert (await everything(world), await world.cluster.contents("inn-other")) == (before, foreign)
    assert await world.database.instance("acme") is None


async def spoil_the_storage(world: World) -> None:
    """Let somebody's Helm be at work on the release."""
    [record] = await world.cluster.list_objects("v1", "Secret", namespace=SHOP, labels=storage_labels("web"))
    ref = Ref("v1", "Secret", record["metadata"]["name"], SHOP)
    await world.cluster.patch(ref, {"metadata": {"labels": {"status": "pending-upgrade"}}})


async def another_release(world: World) -> None:
    release = WEB_AGAIN.model_copy(update={"name": "second"})
    await world.helm.upgrade(release, limit=60)


async def a_binding_of_others(world: World) -> None:
    meta = {"name": fence.BINDING, "namespace": SHOP}
    binding = {"apiVersion": fence.RBAC, "kind": "RoleBinding", "metadata": meta, "roleRef": fence.role_ref()}
    await world.cluster.create(binding)


async def delete_the_namespace(world: World) -> None:
    ref = Ref("v1", "Namespace", SHOP)
    await world.cluster.patch(ref, {"metadata": {"finalizers": ["example.com/held"]}})
    found = await world.cluster.get(ref)
    assert found is not None
    await world.cluster.delete(ref, uid=found["metadata"]["uid"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoil_the_storage, "is not settled: its newest is revision 1 (pending-upgrade)"),
        (another_release, "holds other releases, too: second"),
        (a_binding_of_others, "RoleBinding shop/innkeeper-release is not this instance's"),
        (delete_the_namespace, "is being deleted"),
    ],
)
async def test_a_namespace_or_release_that_is_not_fit_for_an_instance_is_refused(
    world: World, change: Any, said: str
) -> None:
    await shop(world)
    await change(world)
    with pytest.raises(Refused) as told:
        await adopted(world)
    assert said in told.value.cause.message
    space = await world.cluster.get(Ref("v1", "Namespace", SHOP))
    assert marks.PREFIX not in str(space)


@pytest.mark.parametrize(
    ("chart", "said"), [("outside", "has ConfigMap default/web-outside"), ("wide", "has a ClusterRole")]
)
async def test_a_release_that_reaches_out_of_its_namespace_is_refused(world: World, chart: str, said: str) -> None:
    await shop(world, chart=ChartRef(path=chart))
    with pytest.raises(Refused) as told:
        await adopted(world)
    assert said in told.value.cause.message


async def test_a_name_that_is_an_instances_is_refused(world: World) -> None:
    await shop(world)
    await world.provisioned("acme")
    for other, said in (({}, "exists already and is running"), ({"tenant": "t2"}, "is taken")):
        for refused in (adopted, previewed):
            with pytest.raises(Refused) as told:
                await refused(world, **other)
            assert said in told.value.cause.message
    await row_after(world, Kind.UNINSTALL)
    with pytest.raises(Refused, match="has release acme in namespace inn-acme, and may have data there"):
        await adopted(world)


async def test_two_names_never_have_one_namespace(world: World) -> None:
    await shop(world)
    ended = await asyncio.gather(
        *(adopted(world, name) for name in ("acme", "globex", "initech")), return_exceptions=True
    )
    assert sum(isinstance(each, OperationResult) for each in ended) == 1
    told = [each.cause.code for each in ended if isinstance(each, Refused)]
    assert len(told) == 2
    assert set(told) <= {"DuplicateName", "NotOurs"}
    assert [row.namespace for row in world.database.rows.values() if row.status is not Status.PURGED] == [SHOP]


async def test_a_namespace_that_was_adopted_is_not_provisioned_into(world: World) -> None:
    await shop(world, namespace="inn-globex")
    await adopted(world, namespace="inn-globex")
    with pytest.raises(Refused, match="is not this instance's"):
        await (await world.innkeeper.provision("globex", tenant="t1", plan="starter")).result()


async def test_a_namespace_that_goes_while_it_is_adopted_is_named(world: World) -> None:
    await shop(world)
    hang = world.faults.hang("acme mark cluster.get")
    handle = await adopting(world)
    async with asyncio.timeout(60):
        await hang.reached.wait()
    found = await world.cluster.without_faults().get(Ref("v1", "Namespace", SHOP))
    assert found is not None
    await world.cluster.without_faults().delete(Ref("v1", "Namespace", SHOP), uid=found["metadata"]["uid"])
    hang.release()
    result = await failed(handle)
    assert result.cause is not None
    assert (result.cause.code, result.outcome) == ("NamespaceMissing", Outcome.UNDONE)


async def test_a_mark_that_meets_a_change_is_put_on_what_is_there_now(world: World) -> None:
    await shop(world)
    hang = world.faults.hang("acme mark cluster.patch")
    handle = await adopting(world)
    async with asyncio.timeout(60):
        await hang.reached.wait()
    quiet = world.cluster.without_faults()
    await quiet.patch(Ref("v1", "Namespace", SHOP), {"metadata": {"labels": {marks.MANAGED_BY: "flux"}}})
    hang.release()
    assert (await handle.result()).outcome is Outcome.DONE
    space = await quiet.get(Ref("v1", "Namespace", SHOP))
    assert space is not None
    assert f'"{marks.MANAGED_BY}": "flux"' in space["metadata"]["annotations"][marks.BEFORE_ADOPTION]
