"""What fails for good is undone, with its cause in the row; what cannot be undone is left behind and named."""

from __future__ import annotations

import pytest
from following import failed
from in_memory import World, send_to

from innkeeper.model import marks
from innkeeper.model.errors import Forbidden, ReleaseFailed
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome, StepState


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("cluster.create", Forbidden("namespaces is forbidden", fix="give the worker the right")),
        ("helm.upgrade", ReleaseFailed("chart says no")),
    ],
)
async def test_a_permanent_failure_of_a_provision_is_undone_with_its_cause(
    world: World, call: str, error: Exception
) -> None:
    name = "fail-" + call.replace(".", "-")
    await world.provisioned("fail-warm-" + call.replace(".", "-"))  # so that the check is cached, and creates nothing
    world.faults.fail(call, error)
    result = await failed(await world.innkeeper.provision(name, tenant="t1", plan="starter"))
    row = await world.row(name)
    assert result.outcome is Outcome.UNDONE
    assert row.status is Status.ERROR
    assert row.cause is not None
    assert str(error).split(" Fix")[0] in str(row.cause)
    assert "Deployment" not in await world.kinds(name)


async def test_generated_secrets_outlive_a_failed_provision(world: World) -> None:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"))
    await failed(await world.innkeeper.provision("fail-data", tenant="t1", plan="starter"))
    kept = await world.cluster.list_objects("v1", "Secret", namespace="inn-fail-data", labels={marks.DATA: "true"})
    await world.provisioned("fail-data")
    again = await world.cluster.list_objects("v1", "Secret", namespace="inn-fail-data", labels={marks.DATA: "true"})
    assert [item["data"] for item in kept] == [item["data"] for item in again] != []
    assert (await world.row("fail-data")).cause is None


async def test_a_workload_that_never_gets_ready_fails_with_the_object_and_the_reason(world: World) -> None:
    result = await failed(await world.innkeeper.provision("fail-quota", tenant="t1", plan="cramped"))
    assert result.cause is not None
    assert "inn-fail-quota/" in result.cause.object
    assert "exceeded quota" in result.cause.message
    assert "Deployment" not in await world.kinds("fail-quota")


async def test_what_cannot_be_undone_is_left_behind_and_named(world: World) -> None:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    world.faults.fail("helm.uninstall", Forbidden("uninstall is forbidden"), times=None)
    result = await failed(await world.innkeeper.provision("fail-undo", tenant="t1", plan="starter"))
    assert result.outcome is Outcome.LEFT_BEHIND
    assert result.cause is not None
    assert "Left behind: release: uninstall is forbidden" in result.cause.message
    assert StepState.LEFT_BEHIND in {event.state for event in result.steps}


async def test_what_is_left_behind_is_named_by_its_steps_where_nobody_can_look(world: World) -> None:
    world.faults.fail("fail-blind release helm.upgrade", ReleaseFailed("chart says no"), when="after")
    world.faults.fail("helm.uninstall", Forbidden("uninstall is forbidden"), times=None)
    world.faults.fail("fail-blind survey *", Forbidden("namespaces is forbidden"), times=None)
    result = await failed(await world.innkeeper.provision("fail-blind", tenant="t1", plan="starter"))
    assert result.outcome is Outcome.LEFT_BEHIND
    assert result.cause is not None
    assert result.cause.message.endswith("; what else is there could not be listed: namespaces is forbidden")
    assert world.faults.unplayed == []


async def test_a_failure_that_is_asked_for_again_is_the_same_failure_and_changes_nothing(world: World) -> None:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    first = await failed(await world.innkeeper.provision("fail-again", tenant="t1", plan="starter", request_id="f-1"))
    await world.provisioned("fail-again", request_id="f-2")
    again = await failed(await world.innkeeper.provision("fail-again", tenant="t1", plan="starter", request_id="f-1"))
    assert again == first
    assert (again.outcome, again.cause and again.cause.message) == (Outcome.UNDONE, "chart says no")
    row = await world.row("fail-again")
    assert (row.status, row.generation) == (Status.RUNNING, 2)


async def test_a_failed_start_stops_again_and_says_why(world: World) -> None:
    await world.provisioned("fail-start")
    await (await world.innkeeper.stop("fail-start")).result()
    await world.spoil("fail-start", "crash")
    result = await failed(await world.innkeeper.start("fail-start"))
    assert result.outcome is Outcome.UNDONE
    assert (await world.row("fail-start")).status is Status.ERROR
    assert await world.pods("fail-start") == []
    await world.spoil("fail-start", None)
    await (await world.innkeeper.start("fail-start")).result()
    assert (await world.row("fail-start")).status is Status.RUNNING


async def test_a_provision_brings_up_what_a_failed_start_stopped_again(world: World) -> None:
    await world.provisioned("back-up")
    before = await world.replicas("back-up")
    await (await world.innkeeper.stop("back-up")).result()
    await world.spoil("back-up", "crash")
    await failed(await world.innkeeper.start("back-up"))
    await world.spoil("back-up", None)
    await world.provisioned("back-up")
    assert (await world.row("back-up")).status is Status.RUNNING
    assert await world.replicas("back-up") == before
    assert len(await world.pods("back-up")) == sum(before.values())


async def test_a_plan_with_more_replicas_gets_them_after_a_failed_start(world: World) -> None:
    await world.provisioned("bigger")
    await (await world.innkeeper.stop("bigger")).result()
    await world.spoil("bigger", "crash")
    await failed(await world.innkeeper.start("bigger"))
    await world.spoil("bigger", None)
    handle = await world.innkeeper.provision("bigger", tenant="t1", plan="crowded")
    await handle.result()
    assert (await world.replicas("bigger"))["bigger-web"] == 3
    assert "ResourceQuota" not in await world.kinds("bigger")


async def test_a_failed_operation_leaves_the_address_of_what_runs(world: World) -> None:
    await world.provisioned("address")
    url = (await world.row("address")).url
    world.faults.fail("cluster.patch", Forbidden("patching is forbidden"))
    await failed(await world.innkeeper.restart("address"))
    assert (await world.row("address")).url == url


async def test_a_claim_that_was_never_bound_and_was_kept_is_named_by_the_next_provision(world: World) -> None:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"))
    await failed(await world.innkeeper.provision("unbound", tenant="t1", plan="prompt"))
    metadata = {"name": "data-unbound-db-0", "namespace": "inn-unbound"}
    spec = {"storageClassName": "nowhere", "accessModes": ["ReadWriteOnce"]}
    kept = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    await world.cluster.create(kept)
    cause = (await failed(await world.innkeeper.provision("unbound", tenant="t1", plan="prompt"))).cause
    assert cause is not None
    assert (cause.code, cause.object) == ("VolumeUnbound", "PersistentVolumeClaim inn-unbound/data-unbound-db-0")
    assert "StatefulSet unbound-db: 0 of 1 pods ready: Pod unbound-db-0: waits for PersistentVolumeClaim" in str(cause)
    assert 'storageclass.storage.k8s.io "nowhere" not found' in cause.message
    assert "kubectl delete persistentvolumeclaim data-unbound-db-0 --namespace inn-unbound" in cause.fix


async def test_a_pod_that_no_node_takes_ends_an_operation_at_its_deadline_by_name(world: World) -> None:
    await (await world.innkeeper.provision("no-node", tenant="t1", plan="prompt")).result()
    await (await world.innkeeper.stop("no-node")).result()
    await send_to(world, "no-node", {"moon": "full"})
    cause = (await failed(await world.innkeeper.start("no-node"))).cause
    assert cause is not None
    assert (cause.code, cause.object.partition("/")[0]) == ("Unschedulable", "Pod inn-no-node")
    assert "; still waiting for Deployment no-node-web: 0 of 1 pods available: Pod no-node-web-" in cause.message
    assert "no node can take it (0/2 nodes are available" in cause.message


async def test_a_pod_that_no_node_takes_is_waited_for_until_there_is_one(world: World) -> None:
    await world.provisioned("one-node-more")
    await (await world.innkeeper.stop("one-node-more")).result()
    await send_to(world, "one-node-more", {"moon": "full"})
    starting = await world.innkeeper.start("one-node-more")
    async with world.cluster.watch("inn-one-node-more") as watch:
        while "Unschedulable" not in str(watch.objects()):
            await watch.changed()
    assert (await starting.describe()).outcome is Outcome.RUNNING
    await send_to(world, "one-node-more", None)
    assert (await starting.result()).status is Status.RUNNING
