"""Every failure ends somewhere named: done, undone or left behind; the row says why and the cluster agrees."""

from __future__ import annotations

import asyncio

import pytest

from innkeeper.client import OperationHandle
from innkeeper.model import marks
from innkeeper.model.catalog import ChartRef
from innkeeper.model.errors import Forbidden, OperationFailed, Refused, ReleaseFailed, Unreachable
from innkeeper.model.instance import Status
from innkeeper.model.messages import OperationResult, Outcome, StepState
from innkeeper.model.ports import Ref, Release

from .conftest import World


def foreign_release(name: str) -> Release:
    """Somebody else's release that happens to have the instance's name."""
    return Release(name=name, namespace=f"inn-{name}", chart=ChartRef(path="room"), values={}, mark="theirs")


async def failed(handle: OperationHandle) -> OperationResult:
    """The end of an operation that must fail."""
    with pytest.raises(OperationFailed) as told:
        await handle.result()
    assert told.value.result is not None
    return told.value.result


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


@pytest.mark.parametrize("call", ["cluster.create", "cluster.list_objects", "helm.upgrade", "db.claim", "db.finish"])
async def test_what_fails_for_a_while_is_tried_again(world: World, call: str) -> None:
    world.faults.fail(call, Unreachable("gone for a moment"), times=3)
    result = await world.provisioned("retry-" + call.replace(".", "-").replace("_", "-"))
    assert result.outcome is Outcome.DONE
    assert world.faults.unplayed == []


@pytest.mark.parametrize("call", ["cluster.create", "helm.upgrade", "db.claim", "db.finish"])
async def test_an_answer_that_is_lost_after_the_effect_changes_nothing(world: World, call: str) -> None:
    name = "lost-" + call.replace(".", "-")
    world.faults.fail(call, Unreachable("the answer was lost"), when="after")
    result = await world.provisioned(name)
    assert (result.outcome, result.generation) == (Outcome.DONE, 1)
    assert (await world.row(name)).status is Status.RUNNING
    assert world.faults.unplayed == []


async def test_the_database_may_be_down_for_long_while_a_helm_failure_is_recorded(world: World) -> None:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"))
    world.faults.fail("db.finish", Unreachable("the database is down"), times=8)
    result = await failed(await world.innkeeper.provision("fail-both", tenant="t1", plan="starter"))
    row = await world.row("fail-both")
    assert (result.outcome, row.status) == (Outcome.UNDONE, Status.ERROR)
    assert row.cause is not None
    assert "chart says no" in row.cause.message


async def test_what_cannot_be_undone_is_left_behind_and_named(world: World) -> None:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    world.faults.fail("helm.uninstall", Forbidden("uninstall is forbidden"), times=None)
    result = await failed(await world.innkeeper.provision("fail-undo", tenant="t1", plan="starter"))
    assert result.outcome is Outcome.LEFT_BEHIND
    assert result.cause is not None
    assert "Left behind: release: uninstall is forbidden" in result.cause.message
    assert StepState.LEFT_BEHIND in {event.state for event in result.steps}


@pytest.mark.parametrize("call", ["db.claim", "cluster.create", "helm.upgrade"])
async def test_a_cancelled_provision_takes_back_what_it_made(world: World, call: str) -> None:
    name = "cancel-" + call.replace(".", "-")
    await world.provisioned("warm-" + name)
    hang = world.faults.hang(call, when="after")
    handle = await world.innkeeper.provision(name, tenant="t1", plan="starter")
    await hang.reached.wait()
    await handle.cancel()
    await asyncio.sleep(0.3)
    hang.release()
    with pytest.raises(OperationFailed) as told:
        await handle.result()
    assert told.value.cause.code == "Cancelled"
    row = await world.database.instance(name)
    assert row is None or row.status is Status.ERROR
    assert "Deployment" not in await world.kinds(name)


async def test_a_cancelled_stop_brings_back_what_ran(world: World) -> None:
    await world.provisioned("cancel-stop")
    before = await world.replicas("cancel-stop")
    hang = world.faults.hang("cluster.patch", when="after")
    handle = await world.innkeeper.stop("cancel-stop")
    await hang.reached.wait()
    await handle.cancel()
    await asyncio.sleep(0.3)
    hang.release()
    result = await failed(handle)
    assert result.outcome is Outcome.CANCELLED
    assert (await world.row("cancel-stop")).status is Status.RUNNING
    assert await world.replicas("cancel-stop") == before


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


async def test_an_operation_whose_instance_was_claimed_by_another_writes_nothing_more(world: World) -> None:
    hang = world.faults.hang("helm.upgrade")
    first = await world.innkeeper.provision("overtaken", tenant="t1", plan="starter")
    await hang.reached.wait()
    row = await world.row("overtaken")
    workflow = world.client.get_workflow_handle("instance/overtaken", run_id=first.run_id)
    await workflow.terminate()
    hang.release()
    await (await world.innkeeper.uninstall("overtaken")).result()
    after = await world.row("overtaken")
    assert (after.generation, after.status) == (row.generation + 1, Status.UNINSTALLED)
    record = (await world.innkeeper.operations("overtaken")).items[-1]
    assert record.outcome is Outcome.SUPERSEDED


@pytest.mark.parametrize("kind", ["stop", "start", "restart", "uninstall"])
async def test_a_namespace_that_others_made_anew_under_the_same_name_is_not_touched(world: World, kind: str) -> None:
    name = f"anew-{kind}"
    await world.provisioned(name)
    namespace = await world.namespace(name)
    assert namespace is not None
    await world.cluster.delete(Ref("v1", "Namespace", f"inn-{name}"), uid=namespace["metadata"]["uid"])
    await world.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"inn-{name}"}})
    await world.helm.upgrade(foreign_release(name), limit=10)
    before = await world.cluster.contents(f"inn-{name}")
    result = await failed(await getattr(world.innkeeper, kind)(name))
    assert result.cause is not None
    assert (result.cause.code, result.outcome) == ("NotOurs", Outcome.UNDONE)
    assert await world.cluster.contents(f"inn-{name}") == before


@pytest.mark.parametrize("kind", ["stop", "start", "restart"])
async def test_a_namespace_that_is_gone_is_named(world: World, kind: str) -> None:
    name = f"homeless-{kind}"
    await world.provisioned(name)
    namespace = await world.namespace(name)
    assert namespace is not None
    await world.cluster.delete(Ref("v1", "Namespace", f"inn-{name}"), uid=namespace["metadata"]["uid"])
    result = await failed(await getattr(world.innkeeper, kind)(name))
    assert result.cause is not None
    assert (result.cause.code, result.outcome) == ("NamespaceMissing", Outcome.UNDONE)
    assert (await (await world.innkeeper.uninstall(name)).result()).status is Status.UNINSTALLED


async def test_a_cancelled_operation_without_an_undo_says_that_what_it_did_stands(world: World) -> None:
    await world.provisioned("cancel-uninstall")
    hang = world.faults.hang("helm.uninstall", when="after")
    handle = await world.innkeeper.uninstall("cancel-uninstall")
    await hang.reached.wait()
    await handle.cancel()
    await asyncio.sleep(0.3)
    hang.release()
    result = await failed(handle)
    row = await world.row("cancel-uninstall")
    assert (result.outcome, row.status) == (Outcome.LEFT_BEHIND, Status.ERROR)
    assert row.cause is not None
    assert row.cause.code == "Cancelled"
    assert "what uninstall did" in row.cause.message


async def test_a_database_that_refuses_for_a_while_keeps_no_row_in_transition(world: World) -> None:
    world.faults.fail("db.claim", Unreachable("the answer was lost"), when="after")
    world.faults.fail("db.claim", Forbidden("the key was changed"), times=2, skip=1)
    world.faults.fail("db.finish", Forbidden("the key was changed"), times=2)
    assert (await world.provisioned("refused-rows")).outcome is Outcome.DONE
    row = await world.row("refused-rows")
    assert (row.status, row.generation) == (Status.RUNNING, 1)
    assert world.faults.unplayed == []


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


async def test_a_namespace_of_another_tenant_is_never_handed_over(world: World) -> None:
    await world.provisioned("handed")
    del world.database.rows["handed"]
    handle = await world.innkeeper.provision("handed", tenant="t2", plan="starter")
    with pytest.raises(Refused, match="not this instance's"):
        await handle.result()
    assert await world.database.instance("handed") is None


async def test_a_failed_operation_leaves_the_address_of_what_runs(world: World) -> None:
    await world.provisioned("address")
    url = (await world.row("address")).url
    world.faults.fail("cluster.patch", Forbidden("patching is forbidden"))
    await failed(await world.innkeeper.restart("address"))
    assert (await world.row("address")).url == url


async def test_a_request_that_ended_is_answered_although_its_plan_is_gone_since(world: World) -> None:
    first = await world.provisioned("known", request_id="known-1")
    foreign = await world.namespace("known")
    assert foreign is not None
    await world.cluster.patch(Ref("v1", "Namespace", "inn-known"), {"metadata": {"labels": {marks.INSTANCE: "other"}}})
    assert await world.provisioned("known", request_id="known-1") == first
