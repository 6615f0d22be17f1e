"""An upgrade goes forward or back to what ran; of a stopped instance it is remembered, and start applies it."""

from __future__ import annotations

import pytest
from asking import ask
from in_memory import World

from innkeeper.client import OperationHandle
from innkeeper.model import marks
from innkeeper.model.errors import Forbidden, OperationFailed, Refused, ReleaseFailed
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import OperationResult, Outcome
from innkeeper.model.ports import Ref

from .agreement import agree


async def upgraded(world: World, name: str, plan: str | None = None) -> OperationResult:
    return await (await ask(world.client, Kind.UPGRADE, name, plan=plan)).result()


async def failed(handle: OperationHandle) -> OperationResult:
    with pytest.raises(OperationFailed) as told:
        await handle.result()
    assert told.value.result is not None
    return told.value.result


async def data_of(world: World, name: str) -> list[tuple[str, object]]:
    """What only purge may delete, by identity and content."""
    namespace = f"inn-{name}"
    claims = await world.cluster.list_objects("v1", "PersistentVolumeClaim", namespace=namespace)
    made = await world.cluster.list_objects("v1", "Secret", namespace=namespace, labels={marks.DATA: "true"})
    return [(item["metadata"]["uid"], item.get("data")) for item in [*claims, *made]]


async def test_an_upgrade_to_another_plan_runs_what_that_plan_says(world: World) -> None:
    await world.provisioned("up")
    before = await data_of(world, "up")
    result = await upgraded(world, "up", "crowded")
    row = await world.row("up")
    assert (result.outcome, row.status, row.plan, row.revision) == (Outcome.DONE, Status.RUNNING, "crowded", 2)
    assert (await world.replicas("up"))["up-web"] == 3
    assert "ResourceQuota" not in await world.kinds("up")
    assert await data_of(world, "up") == before != []


async def test_an_upgrade_to_what_runs_changes_nothing(world: World) -> None:
    await world.provisioned("up-same")
    pods = await world.pod_uids("up-same")
    assert (await upgraded(world, "up-same")).revision == 1
    assert await world.pod_uids("up-same") == pods


async def test_a_failed_upgrade_goes_back_to_the_revision_and_the_plan_that_ran(world: World) -> None:
    await world.provisioned("up-back")
    before = await data_of(world, "up-back")
    result = await failed(await ask(world.client, Kind.UPGRADE, "up-back", plan="narrow"))
    row = await world.row("up-back")
    assert (result.outcome, result.status) == (Outcome.UNDONE, Status.RUNNING)
    assert result.cause is not None
    assert "exceeded quota" in result.cause.message
    assert (row.status, row.plan, row.cause, row.revision) == (Status.RUNNING, "starter", None, 3)
    assert len(await world.pods("up-back")) == sum((await world.replicas("up-back")).values())
    quota = await world.cluster.get(Ref("v1", "ResourceQuota", "innkeeper", "inn-up-back"))
    assert quota is not None
    assert quota["spec"]["hard"] == {"pods": "20"}
    assert await data_of(world, "up-back") == before


async def test_an_upgrade_that_helm_refuses_goes_back(world: World) -> None:
    await world.provisioned("up-refused")
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"))
    result = await failed(await ask(world.client, Kind.UPGRADE, "up-refused", plan="crowded"))
    row = await world.row("up-refused")
    assert (result.outcome, row.status, row.plan) == (Outcome.UNDONE, Status.RUNNING, "starter")
    assert (await world.replicas("up-refused"))["up-refused-web"] == 1


async def test_an_upgrade_that_cannot_go_back_is_left_behind_and_named(world: World) -> None:
    await world.provisioned("up-stuck")
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    world.faults.fail("helm.rollback", Forbidden("rollback is forbidden"), times=None)
    result = await failed(await ask(world.client, Kind.UPGRADE, "up-stuck", plan="crowded"))
    assert result.outcome is Outcome.LEFT_BEHIND
    assert [(each.step, each.undo, each.choice, each.operator) for each in result.decisions] == [
        ("release", True, "skip", "deadline")
    ]
    assert result.cause is not None
    assert "Deployment inn-up-stuck/up-stuck-web" in result.cause.message
    record = await world.database.operation(result.request_id)
    assert record is not None
    assert record.decisions == result.decisions
    assert (await world.row("up-stuck")).status is Status.ERROR


async def test_an_upgrade_that_meets_somebody_elses_object_goes_back_to_what_runs(world: World) -> None:
    name = "up-foreign"
    await (await world.innkeeper.provision(name, tenant="t1", plan="crowded")).result()
    meta = {"name": "innkeeper", "namespace": f"inn-{name}"}
    foreign = await world.cluster.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta})
    result = await failed(await ask(world.client, Kind.UPGRADE, name, plan="starter"))
    row = await world.row(name)
    assert result.cause is not None
    assert (result.cause.code, result.outcome) == ("ObjectNotOurs", Outcome.UNDONE)
    assert (row.status, row.plan, row.revision) == (Status.RUNNING, "crowded", 1)
    assert await world.cluster.get(Ref.to(foreign)) == foreign


async def test_an_upgrade_of_a_stopped_instance_waits_for_its_start(world: World) -> None:
    await world.provisioned("up-later")
    await (await world.innkeeper.stop("up-later")).result()
    result = await upgraded(world, "up-later", "crowded")
    row = await world.row("up-later")
    assert (result.status, row.status, row.plan, row.upgrade_pending) == (
        Status.STOPPED,
        Status.STOPPED,
        "crowded",
        True,
    )
    assert await world.pods("up-later") == []
    await (await world.innkeeper.stop("up-later")).result()
    assert (await world.row("up-later")).upgrade_pending
    await (await world.innkeeper.start("up-later")).result()
    row = await world.row("up-later")
    assert (row.status, row.upgrade_pending, row.revision) == (Status.RUNNING, False, 2)
    assert (await world.replicas("up-later"))["up-later-web"] == 3


@pytest.mark.parametrize("kind", [Kind.START, Kind.RESTART])
async def test_a_start_that_cannot_apply_a_waiting_upgrade_stays_stopped_and_keeps_it(world: World, kind: Kind) -> None:
    name = f"up-kept-{kind}"
    await world.provisioned(name)
    before = await data_of(world, name)
    await (await world.innkeeper.stop(name)).result()
    await upgraded(world, name, "crowded")
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    result = await failed(await ask(world.client, kind, name))
    row = await world.row(name)
    assert result.outcome is Outcome.UNDONE
    assert (row.status, row.plan, row.upgrade_pending) == (Status.ERROR, "crowded", True)
    assert await world.pods(name) == []
    assert await data_of(world, name) == before
    await (await ask(world.client, kind, name)).result()
    row = await world.row(name)
    assert (row.status, row.upgrade_pending) == (Status.RUNNING, False)
    assert (await world.replicas(name))[f"{name}-web"] == 3


async def test_an_upgrade_that_parks_asks_before_it_goes_back(world: World) -> None:
    await world.provisioned("up-asks")
    result = await failed(await ask(world.client, Kind.UPGRADE, "up-asks", plan="careful"))
    assert [(each.step, each.undo, each.choice) for each in result.decisions] == [("ready", False, "abort")]
    row = await world.row("up-asks")
    assert (result.outcome, row.status, row.plan) == (Outcome.UNDONE, Status.RUNNING, "starter")


async def test_an_upgrade_is_checked_before_anything_is_touched(world: World) -> None:
    await world.provisioned("up-checked")
    for plan in ("nowhere", "broken"):
        with pytest.raises(Refused):
            await upgraded(world, "up-checked", plan)
    row = await world.row("up-checked")
    assert (row.generation, row.plan, row.status) == (1, "starter", Status.RUNNING)


async def test_an_instance_that_does_not_exist_is_not_upgraded(world: World) -> None:
    with pytest.raises(Refused, match="is no instance"):
        await upgraded(world, "up-nobody", "starter")


async def test_a_provision_on_another_plan_that_fails_leaves_the_plan_of_what_runs(world: World) -> None:
    await world.provisioned("replan")
    await (await world.innkeeper.stop("replan")).result()
    await world.spoil("replan", "crash")
    await failed(await world.innkeeper.start("replan"))
    await failed(await world.innkeeper.provision("replan", tenant="t1", plan="cramped"))
    row = await world.row("replan")
    assert (row.status, row.plan) == (Status.ERROR, "starter")


async def test_an_upgrade_of_an_instance_in_error_brings_up_what_the_plan_says(world: World) -> None:
    await world.provisioned("up-error")
    await (await world.innkeeper.stop("up-error")).result()
    await world.spoil("up-error", "crash")
    await failed(await world.innkeeper.start("up-error"))
    assert (await world.row("up-error")).status is Status.ERROR
    await world.spoil("up-error", None)
    result = await upgraded(world, "up-error", "crowded")
    row = await world.row("up-error")
    assert (result.outcome, row.status, row.plan, row.cause) == (Outcome.DONE, Status.RUNNING, "crowded", None)
    assert (await world.replicas("up-error"))["up-error-web"] == 3


async def test_what_starts_after_an_upgrade_that_was_not_wholly_taken_back_is_the_plan_that_the_row_names(
    world: World,
) -> None:
    await (await world.innkeeper.provision("half-back", tenant="t1", plan="prompt")).result()
    world.faults.fail("half-back release helm.upgrade", ReleaseFailed("chart says no"), when="after")
    world.faults.fail("half-back undo-prepare *", Forbidden("patching is forbidden"), times=None)
    ended = await failed(await ask(world.client, Kind.UPGRADE, "half-back", plan="prompt-more"))
    assert ended.outcome is Outcome.LEFT_BEHIND
    world.faults.clear()
    await (await ask(world.client, Kind.START, "half-back")).result()
    await agree(world, "half-back", Status.RUNNING)
    row = await world.row("half-back")
    assert (row.plan, row.upgrade_pending) == ("prompt-more", False)
    assert (await world.replicas("half-back"))["half-back-web"] == 3
