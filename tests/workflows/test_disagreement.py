"""Row and cluster disagree before an operation starts: it begins from what it observes, and ends where they agree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from asking import ask

from innkeeper.client import OperationHandle
from innkeeper.model import marks, surroundings
from innkeeper.model.catalog import ChartRef
from innkeeper.model.errors import OperationFailed, ReleaseFailed
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import OperationResult, Outcome
from innkeeper.model.ports import Manifest, Ref, Release

from .agreement import agree, data_of
from .conftest import World

ByHand = Callable[[World, str], Awaitable[None]]


def web(name: str) -> Ref:
    return Ref("apps/v1", "Deployment", f"{name}-web", f"inn-{name}")


async def uninstall_the_release(world: World, name: str) -> None:
    await world.helm.uninstall(name, f"inn-{name}", limit=60)


async def upgrade_the_release(world: World, name: str) -> None:
    wanted = Release(name=name, namespace=f"inn-{name}", chart=ChartRef(path="room"), values={"replicas": 2}, mark="")
    await world.helm.upgrade(wanted, limit=60)


async def scale_up(world: World, name: str) -> None:
    await world.cluster.patch(web(name), {"spec": {"replicas": 4}})


async def change_the_image(world: World, name: str) -> None:
    pod = {"containers": [{"name": "web", "image": "example/web:hotfix"}]}
    await world.cluster.patch(web(name), {"spec": {"template": {"spec": pod}}})


async def scale_to_nothing(world: World, name: str) -> None:
    await world.cluster.patch(web(name), {"spec": {"replicas": 0}})


async def delete(world: World, ref: Ref) -> None:
    found = await world.cluster.get(ref)
    assert found is not None
    await world.cluster.delete(ref, uid=found["metadata"]["uid"])


async def delete_the_namespace(world: World, name: str) -> None:
    await delete(world, Ref("v1", "Namespace", f"inn-{name}"))


async def delete_a_workload(world: World, name: str) -> None:
    await delete(world, web(name))


async def delete_the_plans_quota(world: World, name: str) -> None:
    await delete(world, Ref("v1", "ResourceQuota", surroundings.QUOTA, f"inn-{name}"))


async def delete_the_stops_quota(world: World, name: str) -> None:
    await delete(world, Ref("v1", "ResourceQuota", marks.STOP_QUOTA, f"inn-{name}"))


async def done(world: World, kind: Kind, name: str, plan: str | None = None) -> OperationResult:
    result = await (await ask(world.client, kind, name, plan=plan)).result()
    assert result.outcome is Outcome.DONE
    return result


async def failed(handle: OperationHandle) -> OperationResult:
    with pytest.raises(OperationFailed) as told:
        await handle.result()
    assert told.value.result is not None
    return told.value.result


async def image_of(world: World, name: str) -> str:
    found = await world.cluster.get(web(name))
    assert found is not None
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


CASES: list[tuple[Kind, ByHand, int | None]] = [
    (Kind.STOP, uninstall_the_release, 1),
    (Kind.STOP, upgrade_the_release, 2),
    (Kind.STOP, scale_up, 4),
    (Kind.START, uninstall_the_release, 1),
    (Kind.START, upgrade_the_release, 1),
    (Kind.START, scale_up, 1),
    (Kind.RESTART, uninstall_the_release, 1),
    (Kind.RESTART, upgrade_the_release, 2),
    (Kind.RESTART, scale_up, 4),
    (Kind.UPGRADE, uninstall_the_release, 3),
    (Kind.UPGRADE, upgrade_the_release, 3),
    (Kind.UPGRADE, scale_up, 3),
    (Kind.UPGRADE, delete_a_workload, 3),
    (Kind.UNINSTALL, uninstall_the_release, None),
    (Kind.UNINSTALL, upgrade_the_release, None),
    (Kind.UNINSTALL, scale_up, None),
    (Kind.UNINSTALL, delete_a_workload, None),
    (Kind.UNINSTALL, delete_the_namespace, None),
    (Kind.REPAIR, uninstall_the_release, 1),
    (Kind.REPAIR, upgrade_the_release, 2),
    (Kind.REPAIR, scale_up, 1),
    (Kind.REPAIR, change_the_image, 1),
    (Kind.REPAIR, scale_to_nothing, 1),
    (Kind.REPAIR, delete_a_workload, 1),
    (Kind.REPAIR, delete_the_plans_quota, 1),
    (Kind.REPAIR, delete_the_namespace, 1),
]
"""The operation, what was done by hand before it, and the replicas of what runs after it (a stop: and a start)."""


def named(kind: Kind, by_hand: ByHand) -> str:
    short = by_hand.__name__.replace("_the_", "-").replace("_", "-")
    return f"{kind.value}-{short}"[:40]


@pytest.mark.parametrize(("kind", "by_hand", "runs"), CASES, ids=[named(kind, hand) for kind, hand, _ in CASES])
async def test_an_operation_converges_from_what_it_observes(
    world: World, kind: Kind, by_hand: ByHand, runs: int | None
) -> None:
    name = named(kind, by_hand)
    await world.provisioned(name)
    if kind is Kind.START:
        await done(world, Kind.STOP, name)
    data = await data_of(world, name)
    await by_hand(world, name)
    await done(world, kind, name, plan="crowded" if kind is Kind.UPGRADE else None)
    if kind is Kind.STOP:
        await agree(world, name, Status.STOPPED)
        await done(world, Kind.START, name)
    await agree(world, name, Status.UNINSTALLED if runs is None else Status.RUNNING)
    assert (await world.replicas(name)).get(f"{name}-web") == runs
    assert runs is None or await image_of(world, name) == "example/web:1"
    assert by_hand is delete_the_namespace or await data_of(world, name) == data != []
    assert not (await world.row(name)).upgrade_pending
    quota = await world.cluster.get(Ref("v1", "ResourceQuota", surroundings.QUOTA, f"inn-{name}"))
    assert (quota is None) == (kind is Kind.UPGRADE or (by_hand is delete_the_namespace and runs is None))


@pytest.mark.parametrize("kind", [Kind.STOP, Kind.START, Kind.RESTART, Kind.UPGRADE])
async def test_a_namespace_that_is_gone_with_its_data_is_named_and_not_made_anew(world: World, kind: Kind) -> None:
    name = f"homeless-{kind.value}"
    await world.provisioned(name)
    if kind is Kind.START:
        # The start of what was upgraded meanwhile prepares a namespace, too.
        await done(world, Kind.STOP, name)
        await done(world, Kind.UPGRADE, name, plan="crowded")
    await delete_the_namespace(world, name)
    result = await failed(await ask(world.client, kind, name, plan="crowded" if kind is Kind.UPGRADE else None))
    assert result.cause is not None
    assert (result.cause.code, result.outcome, result.status) == ("NamespaceMissing", Outcome.UNDONE, Status.ERROR)
    assert await world.namespace(name) is None
    await done(world, Kind.REPAIR, name)
    await agree(world, name, Status.RUNNING)


async def test_a_workload_that_is_gone_is_named_by_a_start_and_brought_back_by_a_repair(world: World) -> None:
    await (await world.innkeeper.provision("part-gone", tenant="t1", plan="hasty")).result()
    await delete_a_workload(world, "part-gone")
    await done(world, Kind.STOP, "part-gone")
    await agree(world, "part-gone", Status.STOPPED)
    result = await failed(await ask(world.client, Kind.START, "part-gone"))
    assert result.cause is not None
    assert "Deployment part-gone-web: not there yet" in result.cause.message
    assert (result.outcome, result.status) == (Outcome.UNDONE, Status.ERROR)
    await done(world, Kind.REPAIR, "part-gone")
    await agree(world, "part-gone", Status.RUNNING)
    assert (await world.replicas("part-gone"))["part-gone-web"] == 1


STOPPED: list[ByHand] = [scale_up, delete_the_stops_quota, upgrade_the_release, uninstall_the_release]


@pytest.mark.parametrize("by_hand", STOPPED, ids=[each.__name__ for each in STOPPED])
async def test_a_repair_holds_a_stopped_instance_stopped(world: World, by_hand: ByHand) -> None:
    name = named(Kind.REPAIR, by_hand).replace("repair", "held")
    await world.provisioned(name)
    await done(world, Kind.STOP, name)
    await by_hand(world, name)
    result = await done(world, Kind.REPAIR, name)
    assert result.status is Status.STOPPED
    await agree(world, name, Status.STOPPED)
    assert (await world.row(name)).upgrade_pending == (by_hand is uninstall_the_release)
    await done(world, Kind.START, name)
    await agree(world, name, Status.RUNNING)
    assert (await world.replicas(name))[f"{name}-web"] == 1


async def test_a_repair_of_an_uninstalled_instance_removes_a_release_that_came_back_and_keeps_the_data(
    world: World,
) -> None:
    await world.provisioned("came-back")
    await done(world, Kind.UNINSTALL, "came-back")
    data = await data_of(world, "came-back")
    await upgrade_the_release(world, "came-back")
    await done(world, Kind.REPAIR, "came-back")
    await agree(world, "came-back", Status.UNINSTALLED)
    assert await data_of(world, "came-back") == data != []


async def test_a_repair_of_a_purged_instance_deletes_nothing(world: World) -> None:
    await world.provisioned("restored")
    namespace = await world.namespace("restored")
    assert namespace is not None
    await done(world, Kind.UNINSTALL, "restored")
    await done(world, Kind.PURGE, "restored")
    labels = namespace["metadata"]["labels"]
    back: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inn-restored", "labels": labels}}
    made = await world.cluster.create(back)
    assert (await done(world, Kind.REPAIR, "restored")).status is Status.PURGED
    assert await world.namespace("restored") == made


async def test_an_upgrade_to_the_same_plan_takes_back_what_somebody_upgraded_by_hand(world: World) -> None:
    await world.provisioned("same-plan")
    await upgrade_the_release(world, "same-plan")
    assert (await done(world, Kind.UPGRADE, "same-plan")).revision == 3
    assert (await world.replicas("same-plan"))["same-plan-web"] == 1
    await agree(world, "same-plan", Status.RUNNING)


async def test_a_failed_upgrade_goes_back_to_what_somebody_upgraded_by_hand_before(world: World) -> None:
    await world.provisioned("hand-back")
    await upgrade_the_release(world, "hand-back")
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    result = await failed(await ask(world.client, Kind.UPGRADE, "hand-back", plan="crowded"))
    assert (result.outcome, result.status) == (Outcome.UNDONE, Status.RUNNING)
    assert (await world.replicas("hand-back"))["hand-back-web"] == 2
    assert (await world.row("hand-back")).plan == "starter"


async def test_a_failed_start_of_what_lost_its_release_leaves_nothing_running_and_asks_nobody(world: World) -> None:
    await world.provisioned("start-gone")
    await done(world, Kind.STOP, "start-gone")
    await uninstall_the_release(world, "start-gone")
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    result = await failed(await ask(world.client, Kind.START, "start-gone"))
    assert (result.outcome, result.status, result.decisions) == (Outcome.UNDONE, Status.ERROR, [])
    assert await world.pods("start-gone") == []
    await done(world, Kind.REPAIR, "start-gone")
    await agree(world, "start-gone", Status.RUNNING)


async def test_workloads_whose_records_were_deleted_are_stopped_and_found_again(world: World) -> None:
    await world.provisioned("no-records")
    for secret in await world.cluster.list_objects(
        "v1", "Secret", namespace="inn-no-records", labels={"owner": "helm"}
    ):
        await delete(world, Ref.to(secret))
    await done(world, Kind.STOP, "no-records")
    await agree(world, "no-records", Status.STOPPED)
    await done(world, Kind.START, "no-records")
    await agree(world, "no-records", Status.RUNNING)
    ref = web("no-records")
    found = await world.cluster.get(ref)
    assert found is not None
    assert marks.STOPPED not in (found["metadata"].get("annotations") or {})


async def test_a_repair_leaves_replicas_that_an_autoscaler_decides_on_and_what_was_injected(world: World) -> None:
    await world.provisioned("scaled")
    await world.cluster.create(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": "inn-scaled"},
            "spec": {
                "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "scaled-web"},
            },
        }
    )
    containers = [{"name": "web", "image": "example/web:1"}, {"name": "proxy", "image": "example/proxy:1"}]
    patch = {"spec": {"replicas": 4, "template": {"spec": {"containers": containers}}}}
    await world.cluster.patch(web("scaled"), patch)
    await done(world, Kind.REPAIR, "scaled")
    assert (await world.replicas("scaled"))["scaled-web"] == 4
    assert await world.storage("scaled") == ["deployed"]


async def test_a_repair_of_a_lost_start_brings_back_what_ran_before_the_stop(world: World) -> None:
    await world.provisioned("lost-start")
    await scale_up(world, "lost-start")
    await done(world, Kind.STOP, "lost-start")
    hang = world.faults.hang("cluster.patch", when="after")
    handle = await ask(world.client, Kind.START, "lost-start")
    await hang.reached.wait()
    await world.client.get_workflow_handle("instance/lost-start", run_id=handle.run_id).terminate("by hand")
    world.faults.clear()
    await done(world, Kind.REPAIR, "lost-start")
    assert (await world.replicas("lost-start"))["lost-start-web"] == 4
